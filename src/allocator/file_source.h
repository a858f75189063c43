// The MemorySource over a file: for bytes that host memory has no room for.
#ifndef TIERLIB_SRC_ALLOCATOR_FILE_SOURCE_H_
#define TIERLIB_SRC_ALLOCATOR_FILE_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "allocator/memory_source.h"
#include "tierlib/status.h"

namespace tierlib {

// A file in `directory` that has no name, so that nothing is left of it however the process ends; only this user may
// read it. It is mapped into memory, shared. Room on the disk is taken before addresses are handed out: a full disk, a
// quota and a limit on the size of files are ResourceExhausted of Grow and Commit, and no signal. (A file system that
// copies on every write, and cannot be told not to, may still run out later: it raises SIGBUS.) So does touching a part
// of the mapping that the disk does not give back any more; Read answers that with DataLoss.
//
// InvalidArgument names a directory that is none or in which no file may be made; ResourceExhausted where the address
// space or the table of open files is full.
StatusOr<std::unique_ptr<MemorySource>> MakeFileSource(const std::string& directory, std::uint64_t capacity);

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_FILE_SOURCE_H_
