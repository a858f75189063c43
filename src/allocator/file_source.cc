#include "allocator/file_source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "allocator/numa_topology.h"
#include "allocator/piece_list.h"
#include "base/failpoint.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

constexpr std::size_t kBaseAlignment = MiB(2);

Failpoint disk_is_full("file.reserve");
Failpoint has_no_nameless_files("file.nameless");
Failpoint cannot_read("file.read");

std::string ErrnoText(int error) { return strerrordesc_np(error) != nullptr ? strerrordesc_np(error) : "error"; }

Status CannotCreate(const std::string& directory, int error) {
  const std::string message = "file_directory " + directory + ": no file can be made there: " + ErrnoText(error);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return ResourceExhaustedError(message);
    default: return InvalidArgumentError(message);
  }
}

// A descriptor of a file without a name.
StatusOr<int> OpenNameless(const std::string& directory) {
  if (!has_no_nameless_files.Fails()) {
    const int descriptor = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor >= 0) return descriptor;
    // EISDIR and ENOENT (which also means a folder that is not there): a kernel that does not know the flag.
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT) return CannotCreate(directory, errno);
  }
  std::string path = directory + "/tierlib.XXXXXX";
  const int descriptor = mkostemp(path.data(), O_CLOEXEC);  // 0600
  if (descriptor < 0) return CannotCreate(directory, errno);
  if (unlink(path.c_str()) == 0) return descriptor;
  const int error = errno;
  close(descriptor);
  return CannotCreate(directory, error);
}

// Room that was taken once is then there for every later write, where the file system can do that.
void WriteInPlace(int descriptor) {
  int flags = 0;
  if (ioctl(descriptor, FS_IOC_GETFLAGS, &flags) != 0) return;
  flags |= FS_NOCOW_FL;
  (void)ioctl(descriptor, FS_IOC_SETFLAGS, &flags);
}

class FileSource : public MemorySource {
 public:
  FileSource(std::uint64_t capacity, int descriptor, std::byte* mapping, std::uint64_t mapped)
      : capacity_(capacity), descriptor_(descriptor), mapping_(mapping), mapped_(mapped) {
    const auto address = reinterpret_cast<std::uintptr_t>(mapping);
    base_ = mapping + ((kBaseAlignment - address % kBaseAlignment) % kBaseAlignment);
  }

  ~FileSource() override {
    munmap(mapping_, mapped_);
    close(descriptor_);
  }

  Tier tier() const override { return Tier::kFile; }
  std::uint64_t capacity() const override { return capacity_; }
  std::size_t granularity() const override { return PageBytes(); }
  std::byte* base() const override { return base_; }
  std::size_t base_alignment() const override { return kBaseAlignment; }
  std::size_t grown() const override { return pieces_.grown(); }
  std::size_t locked() const override { return 0; }
  std::size_t absent() const override { return pieces_.absent(); }
  std::size_t AbsentIn(std::size_t offset, std::size_t bytes) const override { return pieces_.AbsentIn(offset, bytes); }
  std::size_t MissingFor(std::size_t offset, std::size_t bytes) const override {
    return pieces_.MissingFor(offset, bytes);
  }

  Status Grow(std::size_t bytes) override {
    if (bytes == 0 || bytes % PageBytes() != 0) {
      return InvalidArgumentError("growing a file by " + std::to_string(bytes) + " bytes: not a multiple of a page");
    }
    if (bytes > capacity_ - grown()) return Status(StatusCode::kResourceExhausted);
    pieces_.PrepareAppend();
    const std::size_t begin = grown();
    const Status status = TakeRoom(begin, bytes);
    if (!status.ok()) {
      (void)ftruncate(descriptor_, static_cast<off_t>(begin));
      return status;
    }
    // Over the place that was reserved for it; beyond the end of the file no mapping is made.
    void* const mapped = mmap(base_ + begin, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor_,
                              static_cast<off_t>(begin));
    if (mapped == MAP_FAILED) {
      (void)ftruncate(descriptor_, static_cast<off_t>(begin));
      return Status(StatusCode::kResourceExhausted);
    }
    pieces_.Append(bytes, 0);
    return OkStatus();
  }

  StatusOr<std::size_t> Shrink(std::size_t bytes) override {
    const std::size_t before = grown();
    const std::size_t kept = before - std::min(bytes, before);
    const std::size_t count = pieces_.Within(kept, before - kept).size();
    for (std::size_t i = 0; i < count; ++i) pieces_.RemoveLast();
    if (count == 0) return std::size_t{0};
    const std::size_t end = grown();
    if (mmap(base_ + end, before - end, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
            MAP_FAILED ||
        ftruncate(descriptor_, static_cast<off_t>(end)) != 0) {
      return Lost("ftruncate");
    }
    return before - end;
  }

  Status Discard(std::size_t offset, std::size_t bytes) override {
    for (const PieceList::Piece& piece : pieces_.Within(offset, bytes)) {
      if (piece.absent) continue;
      if (fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(piece.offset),
                    static_cast<off_t>(piece.bytes)) != 0) {
        return errno == EOPNOTSUPP ? OkStatus() : Lost("fallocate");  // a file system without holes keeps it
      }
      pieces_.MarkAbsent(piece);
    }
    return OkStatus();
  }

  Status Commit(std::size_t offset, std::size_t bytes) override {
    for (const PieceList::Piece& piece : pieces_.Overlapping(offset, bytes)) {
      if (!piece.absent) continue;
      TIERLIB_RETURN_IF_ERROR(TakeRoom(piece.offset, piece.bytes));
      pieces_.MarkPresent(piece, 0);
    }
    return OkStatus();
  }

  Status Read(std::size_t offset, void* to, std::size_t bytes) const override {
    char* at = static_cast<char*>(to);
    while (bytes > 0) {
      const ssize_t got =
          cannot_read.Fails() ? (errno = EIO, -1) : pread(descriptor_, at, bytes, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return DataLossError("the file tier: read: " + ErrnoText(errno));
      if (got == 0) return DataLossError("the file tier: read: the file ends before byte " + std::to_string(offset));
      at += got;
      offset += static_cast<std::size_t>(got);
      bytes -= static_cast<std::size_t>(got);
    }
    return OkStatus();
  }
  bool notes_blocks() const override { return false; }
  void NoteBlock(void*, std::size_t, bool, Stream) override {}

 private:
  static Status Lost(const char* call) {
    return UnavailableError(std::string("the file tier: ") + call + ": " + ErrnoText(errno));
  }

  // Takes room on the disk, so that touching the mapping there raises no signal.
  Status TakeRoom(std::size_t offset, std::size_t bytes) const {
    rlimit limit{};  // beyond it the call raises SIGXFSZ
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && offset + bytes > limit.rlim_cur) {
      return Status(StatusCode::kResourceExhausted);
    }
    int error = EINTR;
    while (error == EINTR) {
      error = disk_is_full.Fails()
                  ? ENOSPC
                  : posix_fallocate(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(bytes));
    }
    switch (error) {
      case 0: return OkStatus();
      case ENOSPC:
      case EDQUOT:
      case EFBIG:
      case ENOMEM: return Status(StatusCode::kResourceExhausted);
      default: return UnavailableError("the file tier: posix_fallocate: " + ErrnoText(error));
    }
  }

  const std::uint64_t capacity_;
  const int descriptor_;
  std::byte* const mapping_;
  const std::uint64_t mapped_;
  std::byte* base_ = nullptr;
  PieceList pieces_{1};
};

}  // namespace

StatusOr<std::unique_ptr<MemorySource>> MakeFileSource(const std::string& directory, std::uint64_t capacity) {
  capacity = capacity / PageBytes() * PageBytes();
  if (capacity > (std::uint64_t{1} << 62)) {
    return ResourceExhaustedError("file memory " + FormatBytes(capacity) + ": no file can be so large");
  }
  TIERLIB_ASSIGN_OR_RETURN(const int descriptor, OpenNameless(directory));
  WriteInPlace(descriptor);
  const std::uint64_t mapped = capacity + kBaseAlignment;
  void* mapping = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    close(descriptor);
    return ResourceExhaustedError("file memory " + FormatBytes(capacity) +
                                  ": the address space of this process does not hold it");
  }
  return std::unique_ptr<MemorySource>(
      std::make_unique<FileSource>(capacity, descriptor, static_cast<std::byte*>(mapping), mapped));
}

}  // namespace tierlib
