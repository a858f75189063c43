// What the operating system's error numbers mean as a Status. Stateless; any thread.
#ifndef TIERLIB_SRC_IO_ERRNO_STATUS_H_
#define TIERLIB_SRC_IO_ERRNO_STATUS_H_

#include <string>
#include <string_view>

#include "tierlib/status.h"

namespace tierlib::io {

// `text` with control characters, quotes and backslashes escaped, and at most 200 characters of it: names out of files
// and paths stay on the one line of a message.
std::string Printable(std::string_view text);

// "PATH: WHAT: reason". ENOENT and ENOTDIR are NotFound; EACCES, EPERM and EROFS PermissionDenied; a full disk, quota
// or file size limit ResourceExhausted; the rest Unavailable.
Status ErrnoStatus(int error, const std::string& path, std::string_view what);

}  // namespace tierlib::io

#endif  // TIERLIB_SRC_IO_ERRNO_STATUS_H_
