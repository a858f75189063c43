#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "numbers.h"

namespace tierlib::trace_viewer {
namespace {

using Write = absl::FunctionRef<bool(std::FILE*)>;

constexpr int kSaid = -1;  // in place of an errno: what is wrong was said

// Writes, and closes the file but for standard output. 0, an errno or kSaid.
int WriteAndClose(std::FILE* file, Write write) {
  if (file == nullptr) return errno;
  errno = 0;
  int error = write(file) ? 0 : kSaid;
  if (error == 0 && (std::ferror(file) != 0 || std::fflush(file) != 0)) error = errno != 0 ? errno : EIO;
  if (file != stdout && std::fclose(file) != 0 && error == 0) error = errno;
  return error;
}

// The file itself, behind links, that a new one may take the place of; "" where there is no such thing: a device, a
// pipe or what a process has open.
std::string ReplaceableFile(const std::string& path) {
  struct stat info;
  if (path.starts_with("/dev/") || path.starts_with("/proc/")) return "";
  if (stat(path.c_str(), &info) != 0) return path;
  if (!S_ISREG(info.st_mode)) return "";
  char* const real = realpath(path.c_str(), nullptr);
  const std::string target = real == nullptr ? path : real;
  std::free(real);
  return target;
}

// Puts a new file with the bytes in the place of `path`, so that nobody sees half of it and an error leaves what was
// there. It may hold what a trace holds, so its owner alone may read it. 0, an errno or kSaid.
int Replace(const std::string& path, Write write) {
  std::string temporary = path + ".XXXXXX";
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);  // 0600
  if (descriptor < 0) return errno;
  int error = WriteAndClose(fdopen(descriptor, "wb"), write);
  if (error == 0 && rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) unlink(temporary.c_str());
  return error;
}

}  // namespace

bool SameFile(const std::string& a, const std::string& b) {
  struct stat first;
  struct stat second;
  return stat(a.c_str(), &first) == 0 && stat(b.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

bool IsStandardOutput(const std::string& path) {
  struct stat named;
  struct stat opened;
  return path == "-" || (stat(path.c_str(), &named) == 0 && fstat(STDOUT_FILENO, &opened) == 0 &&
                         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino);
}

bool HasRoomForJson(const std::string& output) {
  if (!IsStandardOutput(output)) return true;
  std::fprintf(stderr,
               "tierlib-trace: --json says what was written, and standard output has that itself: name a file "
               "with -o\n");
  return false;
}

bool IsBeingWritten(const std::string& file) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (descriptor < 0) return false;
  const bool locked = flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  close(descriptor);  // and our lock goes
  return locked;
}

bool WriteOutput(const std::string& path, std::string_view bytes) {
  return WriteOutputPieces(path, [bytes](std::FILE* file) {
    (void)std::fwrite(bytes.data(), 1, bytes.size(), file);
    return true;
  });
}

bool WriteOutputPieces(const std::string& path, absl::FunctionRef<bool(std::FILE*)> write) {
  const std::string shown = path == "-" ? "to standard output" : Printable(path, 200);
  const std::string target = path == "-" ? path : ReplaceableFile(path);
  if (!target.empty() && IsBeingWritten(target)) {
    std::fprintf(stderr, "tierlib-trace: cannot write %s: a running program writes its trace there\n", shown.c_str());
    return false;
  }
  const int error = path == "-"      ? WriteAndClose(stdout, write)
                    : target.empty() ? WriteAndClose(std::fopen(path.c_str(), "wb"), write)
                                     : Replace(target, write);
  if (error > 0) std::fprintf(stderr, "tierlib-trace: cannot write %s: %s\n", shown.c_str(), strerror(error));
  return error == 0;
}

bool MayColour(int descriptor) {
  const char* const no_color = std::getenv("NO_COLOR");
  const char* const term = std::getenv("TERM");
  if (no_color != nullptr && *no_color != '\0') return false;
  return isatty(descriptor) == 1 && (term == nullptr || strcmp(term, "dumb") != 0);
}

}  // namespace tierlib::trace_viewer
