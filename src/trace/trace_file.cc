#include "trace/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/failpoint.h"
#include "tierlib/bytes.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14; older kernels answer EINVAL
#endif

namespace tierlib::trace {
namespace {

constexpr std::uint64_t kChunksPerPiece = 32;

Failpoint disk_is_full("trace.reserve");
Failpoint page_is_refused("trace.touch");
Failpoint no_memory_for_moves("trace.move_memory");
Failpoint no_locks_here("trace.lock");

std::string ErrnoText(int error) { return strerrordesc_np(error) != nullptr ? strerrordesc_np(error) : "error"; }

Status CannotCreate(const std::string& path, int error) {
  const std::string message = "cannot create the trace " + path + ": " + ErrnoText(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR: return NotFoundError(message + "; its folder must be there");
    case EACCES:
    case EPERM:
    case EROFS: return Status(StatusCode::kPermissionDenied, message);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return ResourceExhaustedError(message);
    case ENAMETOOLONG: return InvalidArgumentError(message);
    default: return Status(StatusCode::kUnknown, message);
  }
}

Status Occupied(const std::string& path, const std::string& what) {
  return Status(StatusCode::kAlreadyExists, "cannot create the trace " + path + ": " + what +
                                                "; remove it or choose another path (%p gives the process id)");
}

// Locks the file, where its file system has locks. False where somebody else holds the lock: nothing else that flock
// may answer is a conflict.
bool TryLock(int descriptor) {
  if (no_locks_here.Fails()) return true;
  return flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

// Removes an earlier trace at `path` that nobody is writing. Anything else stays and is named in the error.
Status RemoveEarlierTrace(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) {
    if (errno == ENOENT) return OkStatus();  // went away by itself
    if (errno == ELOOP) return Occupied(path, "a symbolic link stands there");
    if (errno == EACCES) return Occupied(path, "a file that may not be read stands there");
    return CannotCreate(path, errno);
  }
  Status result = OkStatus();
  struct stat opened;
  struct stat named;
  unsigned char magic[sizeof kMagic];
  if (fstat(descriptor, &opened) != 0 || !S_ISREG(opened.st_mode) ||
      pread(descriptor, magic, sizeof magic, 0) != static_cast<ssize_t>(sizeof magic) ||
      memcmp(magic, kMagic, sizeof magic) != 0) {
    result = Occupied(path, "something that is not a trace stands there");
  } else if (!TryLock(descriptor)) {
    result = Occupied(path, "a running program is writing it");
  } else if (lstat(path.c_str(), &named) != 0 || named.st_dev != opened.st_dev || named.st_ino != opened.st_ino) {
    result = Occupied(path, "another program changes the path");
  } else if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    result = CannotCreate(path, errno);
  }
  close(descriptor);
  return result;
}

// Makes a chunk's pages present: one call instead of sixteen page faults; and where the file system cannot give a page
// after all (a copy-on-write one that ran full), an error instead of SIGBUS. Returns an errno value, 0 where all is
// well.
int TouchPages(unsigned char* chunk) {
  if (page_is_refused.Fails()) return EFAULT;
  const std::uintptr_t page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(chunk) / page * page;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(chunk) + kChunkBytes;
  if (madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_WRITE) == 0) return 0;
  return errno == EINVAL || errno == ENOSYS ? 0 : errno;  // a kernel without it: pages come by faults
}

// Keeps a file-size limit (RLIMIT_FSIZE) from killing the program: the signal that comes with EFBIG is swallowed.
class SizeSignalBlock {
 public:
  SizeSignalBlock() {
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGXFSZ) == 1;
    sigemptyset(&signal_);
    sigaddset(&signal_, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signal_, &before_);
  }
  ~SizeSignalBlock() {
    if (!was_pending_) {
      const timespec now = {};
      while (sigtimedwait(&signal_, nullptr, &now) > 0) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t signal_;
  sigset_t before_;
  bool was_pending_ = false;
};

}  // namespace

StatusOr<int> CreateFileForTrace(const std::string& path) {
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int descriptor = open(path.c_str(), kFlags, 0600);
  if (descriptor < 0 && errno == EEXIST) {
    TIERLIB_RETURN_IF_ERROR(RemoveEarlierTrace(path));
    descriptor = open(path.c_str(), kFlags, 0600);
    if (descriptor < 0 && errno == EEXIST) return Occupied(path, "another program created it just now");
  }
  if (descriptor < 0) return CannotCreate(path, errno);
  return descriptor;
}

StatusOr<std::string> ExpandTracePath(const std::string& path, int rank) {
  std::string expanded;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      expanded += path[i];
      continue;
    }
    const char letter = ++i < path.size() ? path[i] : '\0';
    if (letter == 'p') {
      expanded += std::to_string(getpid());
    } else if (letter == 'r') {
      expanded += std::to_string(rank);
    } else if (letter == '%') {
      expanded += '%';
    } else {
      return InvalidArgumentError("trace path " + path + ": after % comes p (process id), r (rank) or another %");
    }
  }
  if (expanded.empty() || expanded.find('\0') != std::string::npos) {
    return InvalidArgumentError("the path of a trace must be a file name");
  }
  return expanded;
}

TraceFile::TraceFile(std::string path, std::uint64_t limit_bytes) : path_(std::move(path)), limit_bytes_(limit_bytes) {}

StatusOr<std::unique_ptr<TraceFile>> TraceFile::Create(const std::string& path, std::uint64_t limit_bytes) {
  if (limit_bytes != 0 && limit_bytes < kHeaderBytes + kChunkBytes) {
    return InvalidArgumentError("the limit of a trace must be at least " + FormatBytes(kHeaderBytes + kChunkBytes));
  }
  std::unique_ptr<TraceFile> file(new TraceFile(path, limit_bytes));
  TIERLIB_ASSIGN_OR_RETURN(file->descriptor_, CreateFileForTrace(path));
  // From here on the file is ours, and goes away again where it does not become a trace.
  const Status begun = TryLock(file->descriptor_) ? file->MapHeader() : Occupied(path, "another program is writing it");
  if (!begun.ok()) {
    unlink(path.c_str());
    return begun;
  }
  return file;
}

TraceFile::~TraceFile() {
  for (const Piece& piece : pieces_) {
    if (piece.mapping != nullptr) munmap(piece.mapping, piece.mapping_bytes);
  }
  if (header_ != nullptr) munmap(header_, header_mapping_bytes_);
  if (descriptor_ >= 0) close(descriptor_);
}

void TraceFile::Unlock() { (void)flock(descriptor_, LOCK_UN); }

// Returns an errno value, 0 where the bytes are there.
int TraceFile::Reserve(std::uint64_t begin, std::uint64_t bytes) {
  if (disk_is_full.Fails()) return ENOSPC;
  SizeSignalBlock block;
  int error;
  do {
    error = posix_fallocate(descriptor_, static_cast<off_t>(begin), static_cast<off_t>(bytes));
  } while (error == EINTR);
  if (error != 0 && ftruncate(descriptor_, static_cast<off_t>(begin)) != 0) {
    // Part of the bytes may stay reserved behind the end: zeros, which readers skip.
  }
  return error;
}

Status TraceFile::MapHeader() {
  const int error = Reserve(0, kHeaderBytes);
  if (error != 0) return CannotCreate(path_, error);
  void* mapping = mmap(nullptr, kHeaderBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (mapping == MAP_FAILED) return CannotCreate(path_, errno);
  header_mapping_bytes_ = kHeaderBytes;
  header_ = static_cast<FileHeader*>(mapping);
  return OkStatus();
}

bool TraceFile::Grow(std::uint64_t chunks) {
  const std::uint64_t begin = kHeaderBytes + chunks_ * kChunkBytes;
  const std::uint64_t bytes = chunks * kChunkBytes;
  if (limit_bytes_ != 0 && (begin > limit_bytes_ || limit_bytes_ - begin < bytes)) {
    failure_ = "its limit of " + FormatBytes(limit_bytes_) + " is reached";
    return false;
  }
  const int error = Reserve(begin, bytes);
  if (error != 0) {
    failure_ = "cannot grow beyond " + FormatBytes(begin) + ": " + ErrnoText(error);
    return false;
  }
  // A mapping begins at a whole page, which may be larger than the header.
  const std::uint64_t page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const std::uint64_t before = begin % page;
  const std::size_t mapping_bytes = before + bytes;
  void* mapping =
      mmap(nullptr, mapping_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, static_cast<off_t>(begin - before));
  if (mapping == MAP_FAILED) {
    failure_ = "cannot map more of it: " + ErrnoText(errno);
    return false;
  }
  pieces_.push_back({mapping, mapping_bytes, static_cast<unsigned char*>(mapping) + before, chunks_,
                     static_cast<std::uint32_t>(chunks), 0});
  chunks_ += chunks;
  return true;
}

TraceFile::Chunk TraceFile::Claim() {
  const bool is_first = claimed_ == 0;
  Chunk chunk = ClaimAny();
  if (is_first || chunk.base == nullptr || left_.base != nullptr) return chunk;
  left_ = ClaimAny();
  if (left_.base == nullptr) left_ = std::exchange(chunk, Chunk());
  return chunk;
}

TraceFile::Chunk TraceFile::ClaimForBlocks() {
  const Chunk chunk = ClaimAny();
  return chunk.base != nullptr ? chunk : ClaimLast();
}

TraceFile::Chunk TraceFile::ClaimLast() { return std::exchange(left_, Chunk()); }

TraceFile::Chunk TraceFile::ClaimAny() try {
  if (!free_.empty()) {
    const Chunk chunk = free_.back();
    free_.pop_back();
    return chunk;
  }
  // Near a limit or on a disk that is nearly full a single chunk may still fit.
  if (claimed_ == chunks_ && !Grow(kChunksPerPiece) && !Grow(1)) return {};
  const Piece& piece = pieces_.back();
  unsigned char* base = piece.base + (claimed_ - piece.first_chunk) * kChunkBytes;
  const int error = TouchPages(base);
  if (error != 0) {
    failure_ = "cannot touch its pages: " + ErrnoText(error);
    return {};
  }
  return {base, claimed_++};
} catch (const std::bad_alloc&) {
  failure_ = "no memory";
  return {};
}

void TraceFile::Retire(std::uint64_t index) {
  auto piece = std::upper_bound(pieces_.begin(), pieces_.end(), index,
                                [](std::uint64_t value, const Piece& p) { return value < p.first_chunk; });
  TIERLIB_CHECK(piece != pieces_.begin(), "a retired chunk was claimed");
  --piece;
  TIERLIB_CHECK(piece->mapping != nullptr && piece->retired < piece->chunks, "a chunk is retired once");
  if (++piece->retired < piece->chunks) return;
  munmap(piece->mapping, piece->mapping_bytes);
  piece->mapping = nullptr;
}

void TraceFile::GiveBack(Chunk chunk) {
  try {
    free_.push_back(chunk);
  } catch (const std::bad_alloc&) {  // it is not used again: a hole, which readers skip
  }
}

std::vector<TraceFile::Move> TraceFile::Compact() {
  std::vector<Move> moves;
  if (left_.base != nullptr) GiveBack(ClaimLast());
  std::sort(free_.begin(), free_.end(), [](const Chunk& a, const Chunk& b) { return a.index > b.index; });
  while (!free_.empty()) {
    // The last chunks that are free themselves need no move.
    const std::uint64_t last = claimed_ - 1;
    if (free_.front().index == last) {
      free_.erase(free_.begin());
      --claimed_;
      continue;
    }
    const std::uint64_t to = free_.back().index;
    try {
      if (no_memory_for_moves.Fails()) throw std::bad_alloc();
      moves.push_back({last, to});
    } catch (const std::bad_alloc&) {
      break;
    }
    if (!CopyChunk(last, to)) {
      moves.pop_back();
      break;
    }
    free_.pop_back();
    --claimed_;
  }
  return moves;
}

// The first word comes last: a chunk without it is nobody's.
bool TraceFile::CopyChunk(std::uint64_t from, std::uint64_t to) {
  alignas(8) unsigned char bytes[kChunkBytes];
  constexpr std::size_t kWord = 8;
  const auto begin = static_cast<off_t>(kHeaderBytes + to * kChunkBytes);
  return pread(descriptor_, bytes, sizeof bytes, static_cast<off_t>(kHeaderBytes + from * kChunkBytes)) ==
             static_cast<ssize_t>(sizeof bytes) &&
         pwrite(descriptor_, bytes + kWord, sizeof bytes - kWord, begin + static_cast<off_t>(kWord)) ==
             static_cast<ssize_t>(sizeof bytes - kWord) &&
         pwrite(descriptor_, bytes, kWord, begin) == static_cast<ssize_t>(kWord);
}

std::uint64_t TraceFile::UsedBytes() const {
  if (claimed_ == 0) return kHeaderBytes;
  const std::uint64_t begin = kHeaderBytes + (claimed_ - 1) * kChunkBytes;
  ChunkHeader header;
  if (pread(descriptor_, &header, sizeof header, static_cast<off_t>(begin)) != static_cast<ssize_t>(sizeof header) ||
      header.sealed != 1) {
    return begin + kChunkBytes;
  }
  return begin + sizeof header + header.used_bytes;
}

void TraceFile::Truncate(std::uint64_t bytes) {
  if (ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) {
    // The rest stays as free chunks, which readers skip.
  }
}

bool TraceFile::Append(std::uint64_t offset, const void* data, std::size_t bytes) {
  if (limit_bytes_ != 0 && (bytes > limit_bytes_ || offset > limit_bytes_ - bytes)) return false;
  if (Reserve(offset, bytes) != 0) return false;
  const auto* next = static_cast<const unsigned char*>(data);
  while (bytes > 0) {
    const ssize_t written = pwrite(descriptor_, next, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    next += written;
    offset += static_cast<std::uint64_t>(written);
    bytes -= static_cast<std::size_t>(written);
  }
  return true;
}

Status TraceFile::CopyTo(int descriptor, std::uint64_t bytes) const {
  SizeSignalBlock block;
  alignas(8) unsigned char buffer[kChunkBytes];
  for (std::uint64_t offset = 0; offset < bytes;) {
    const std::size_t most = static_cast<std::size_t>(std::min<std::uint64_t>(sizeof buffer, bytes - offset));
    const ssize_t count = pread(descriptor_, buffer, most, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return ResourceExhaustedError("cannot read " + path_ + ": " + ErrnoText(count < 0 ? errno : EIO));
    for (ssize_t done = 0; done < count;) {
      const ssize_t written = pwrite(descriptor, buffer + done, static_cast<std::size_t>(count - done),
                                     static_cast<off_t>(offset) + static_cast<off_t>(done));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return ResourceExhaustedError("cannot copy " + path_ + ": " + ErrnoText(errno));
      done += written;
    }
    offset += static_cast<std::uint64_t>(count);
  }
  return OkStatus();
}

}  // namespace tierlib::trace
