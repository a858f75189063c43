// How AtomicFile keeps its promise: a temporary beside the target (the same file system, so that rename is atomic),
// created O_EXCL and O_NOFOLLOW under a random name, fsync before the rename (bytes before name) and fsync of the
// directory after it. Everything goes through a descriptor of the directory, so that a directory renamed meanwhile
// stays the same directory.
#include "tierlib/io/atomic_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <utility>

#include "io/errno_status.h"

namespace tierlib::io {
namespace {

constexpr std::size_t kLongestName = 255;  // NAME_MAX of every file system in use
constexpr int kAttempts = 16;              // at a random name that is free

// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { Reset(-1); }
  void Reset(int fd) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }
  // Closes and tells whether that worked: some file systems report a failed write only here.
  bool Close() { return close(std::exchange(fd_, -1)) == 0; }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Where the path's symbolic links end. A link to nothing is an error: creating a file in a place that somebody else's
// link chose is not what the caller asked for.
StatusOr<std::string> FollowLinks(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return path;
  char* resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return ErrnoStatus(errno, path, "the symbolic link cannot be followed");
  std::string target(resolved);
  std::free(resolved);
  return target;
}

// ".NAME.PID.RANDOM.tmp", NAME shortened where the whole would be too long.
std::string TemporaryName(const std::string& name) {
  std::uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    random = reinterpret_cast<std::uintptr_t>(&random);  // O_EXCL keeps it safe; only luck is lost
  }
  char tail[64];
  std::snprintf(tail, sizeof tail, ".%ld.%016llx.tmp", static_cast<long>(getpid()),
                static_cast<unsigned long long>(random));
  const std::string end(tail);
  return "." + name.substr(0, kLongestName - 1 - end.size()) + end;
}

// `write(next, count)` writes up to `count` bytes and returns how many, as the system call does.
template <class Write>
Status WriteAll(const std::string& path, const void* data, std::size_t bytes, const Write& write) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    constexpr std::size_t kLargestWrite = std::size_t{1} << 30;  // Linux moves at most 2 GiB - 4 KiB a call
    const ssize_t written = write(next, std::min(bytes, kLargestWrite));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, path, "cannot be written");
    next += written;
    bytes -= static_cast<std::size_t>(written);
  }
  return OkStatus();
}

}  // namespace

// I1: while `linked`, `temporary` names the file of `file` in `directory`, and nobody but this object knows its name.
struct AtomicFile::State {
  std::string path;  // as the caller wrote it, for messages
  std::string name;  // of the target, in `directory`
  std::string temporary;
  Descriptor directory;
  Descriptor file;
  bool linked = false;

  ~State() {
    if (linked) unlinkat(directory.get(), temporary.c_str(), 0);
  }

  Status OpenDirectory() {
    StatusOr<std::string> target = FollowLinks(path);
    if (!target.ok()) return target.status();
    const std::size_t slash = target->rfind('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : target->substr(0, slash);
    name = slash == std::string::npos ? *target : target->substr(slash + 1);
    if (name.empty() || name == "." || name == "..") {
      return InvalidArgumentError(Printable(path) + ": names a directory, not a file");
    }
    directory.Reset(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid()) return ErrnoStatus(errno, path, "cannot open its directory");
    return OkStatus();
  }

  Status MakeTemporary() {
    struct stat target;
    const bool exists = fstatat(directory.get(), name.c_str(), &target, AT_SYMLINK_NOFOLLOW) == 0;
    if (!exists && errno != ENOENT) return ErrnoStatus(errno, path, "cannot be written");
    if (exists && !S_ISREG(target.st_mode)) {
      // rename would replace the device, pipe or socket itself.
      return InvalidArgumentError(Printable(path) + ": is not a regular file, so it cannot be replaced");
    }
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      temporary = TemporaryName(name);
      file.Reset(openat(directory.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                        exists ? 0600 : 0666));
      if (file.valid() || errno != EEXIST) break;
    }
    if (!file.valid()) return ErrnoStatus(errno, path, "cannot create a file beside it");
    linked = true;
    if (exists && fchmod(file.get(), target.st_mode & 07777) != 0) {
      return ErrnoStatus(errno, path, "cannot keep its permissions");
    }
    return OkStatus();
  }
};

AtomicFile::AtomicFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
AtomicFile::AtomicFile(AtomicFile&&) noexcept = default;
AtomicFile& AtomicFile::operator=(AtomicFile&&) noexcept = default;
AtomicFile::~AtomicFile() = default;

StatusOr<AtomicFile> AtomicFile::Create(const std::string& path) {
  if (path.empty()) return InvalidArgumentError("the path of a file to write is empty");
  if (path.find('\0') != std::string::npos) return InvalidArgumentError(Printable(path) + ": has a NUL character");
  auto state = std::make_unique<State>();
  state->path = path;
  TIERLIB_RETURN_IF_ERROR(state->OpenDirectory());
  TIERLIB_RETURN_IF_ERROR(state->MakeTemporary());
  return AtomicFile(std::move(state));
}

Status AtomicFile::Append(const void* data, std::size_t bytes) {
  if (!state_ || !state_->file.valid()) return FailedPreconditionError("Append after Commit");
  const auto append = [&](const char* next, std::size_t count) { return write(state_->file.get(), next, count); };
  return WriteAll(state_->path, data, bytes, append);
}

Status AtomicFile::WriteAt(std::uint64_t offset, const void* data, std::size_t bytes) {
  if (!state_ || !state_->file.valid()) return FailedPreconditionError("WriteAt after Commit");
  const auto at = [&](const char* next, std::size_t count) {
    const ssize_t written = pwrite(state_->file.get(), next, count, static_cast<off_t>(offset));
    if (written > 0) offset += static_cast<std::uint64_t>(written);
    return written;
  };
  return WriteAll(state_->path, data, bytes, at);
}

Status AtomicFile::Reserve(std::uint64_t bytes) {
  if (!state_ || !state_->file.valid()) return FailedPreconditionError("Reserve after Commit");
  if (bytes == 0) return OkStatus();
  if (bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return ErrnoStatus(EFBIG, state_->path, "cannot get " + std::to_string(bytes) + " bytes");
  }
  int result = 0;
  do {
    result = fallocate(state_->file.get(), 0, 0, static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return OkStatus();
  if (errno == EOPNOTSUPP || errno == ENOSYS) {  // then the write that finds the disk full says so
    if (ftruncate(state_->file.get(), static_cast<off_t>(bytes)) == 0) return OkStatus();
  }
  return ErrnoStatus(errno, state_->path, "cannot get " + std::to_string(bytes) + " bytes");
}

Status AtomicFile::Commit() {
  if (!state_ || !state_->file.valid()) return FailedPreconditionError("Commit more than once");
  State& s = *state_;
  if (fsync(s.file.get()) != 0) return ErrnoStatus(errno, s.path, "cannot be synced to disk");
  if (!s.file.Close()) return ErrnoStatus(errno, s.path, "cannot be closed");
  if (renameat(s.directory.get(), s.temporary.c_str(), s.directory.get(), s.name.c_str()) != 0) {
    return ErrnoStatus(errno, s.path, "cannot be replaced");
  }
  s.linked = false;
  // The new file is in place whatever this says; file systems without directory sync answer EINVAL.
  if (fsync(s.directory.get()) != 0 && errno != EINVAL && errno != EROFS) {
    return ErrnoStatus(errno, s.path, "is written, but its directory cannot be synced to disk");
  }
  return OkStatus();
}

}  // namespace tierlib::io
