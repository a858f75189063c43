#include "input_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>

namespace tierlib::trace_replay {
namespace {

Status Refused() { return Status(StatusCode::kUnknown, std::string("cannot be read: ") + strerror(errno)); }

StatusOr<std::string> ReadDescriptor(int descriptor) {
  try {
    std::string bytes;
    struct stat info;
    if (fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode)) bytes.reserve(static_cast<std::size_t>(info.st_size));
    char buffer[64 << 10];
    for (;;) {
      const ssize_t count = read(descriptor, buffer, sizeof buffer);
      if (count == 0) return bytes;
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Refused();
      bytes.append(buffer, static_cast<std::size_t>(count));
    }
  } catch (const std::bad_alloc&) {
    return ResourceExhaustedError("not enough memory to read it");
  }
}

}  // namespace

StatusOr<std::string> ReadInput(const std::string& path) {
  if (path == "-") return ReadDescriptor(STDIN_FILENO);
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return Refused();
  StatusOr<std::string> bytes = ReadDescriptor(descriptor);
  close(descriptor);
  return bytes;
}

}  // namespace tierlib::trace_replay
