#include "allocator/emulated/arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <string>

#include "base/check.h"
#include "tierlib/bytes.h"

namespace tierlib::emulated {
namespace {

std::uint64_t PageBytes() {
  static const std::uint64_t bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

std::uint64_t PageDown(std::uint64_t offset) { return offset / PageBytes() * PageBytes(); }
std::uint64_t PageUp(std::uint64_t offset) { return PageDown(offset + PageBytes() - 1); }

Status NotAMultiple(std::size_t bytes) {
  return InvalidArgumentError("reserving " + std::to_string(bytes) + " bytes: not a positive multiple of 256");
}

}  // namespace

StatusOr<std::unique_ptr<Arena>> Arena::Create(std::uint64_t capacity, Protection protection) {
  if (capacity < kGranularity) {
    return InvalidArgumentError("device capacity " + FormatBytes(capacity) + ": at least 256 B are needed");
  }
  const std::uint64_t usable = capacity / kGranularity * kGranularity;
  const auto refused = [capacity] {
    return ResourceExhaustedError("device capacity " + FormatBytes(capacity) +
                                  ": the address space of this process does not hold it");
  };
  if (usable > (std::uint64_t{1} << 62)) return refused();
  void* base = mmap(nullptr, PageUp(usable), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return refused();
  return std::unique_ptr<Arena>(new Arena(static_cast<std::byte*>(base), usable, protection));
}

Arena::Arena(std::byte* base, std::uint64_t capacity, Protection protection)
    : base_(base), capacity_(capacity), protection_(protection) {}

Arena::~Arena() { munmap(base_, PageUp(capacity_)); }

std::uint64_t Arena::Top() const {
  if (pieces_.empty()) return 0;
  const auto& [offset, bytes] = *std::prev(pieces_.end());
  return offset + bytes;
}

std::uint64_t Arena::Place(std::size_t bytes) const {
  if (const std::uint64_t top = Top(); bytes <= capacity_ - top) return top;
  std::uint64_t gap = 0;
  for (const auto& [offset, piece_bytes] : pieces_) {
    if (offset - gap >= bytes) return gap;
    gap = offset + piece_bytes;
  }
  return capacity_;
}

bool Arena::IsFree(std::uint64_t offset, std::size_t bytes) const {
  if (offset > capacity_ || bytes > capacity_ - offset) return false;
  const auto next = pieces_.lower_bound(offset);
  if (next != pieces_.end() && next->first - offset < bytes) return false;
  return next == pieces_.begin() || std::prev(next)->first + std::prev(next)->second <= offset;
}

Status Arena::Take(std::uint64_t offset, std::size_t bytes) {
  if (protection_ == Protection::kOpen || (protection_ == Protection::kGated && gate_open_)) {
    TIERLIB_RETURN_IF_ERROR(Protect(PageDown(offset), PageUp(offset + bytes), true));
  }
  pieces_.emplace(offset, bytes);
  reserved_ += bytes;
  return OkStatus();
}

StatusOr<void*> Arena::Reserve(std::size_t bytes) {
  if (bytes == 0 || bytes % kGranularity != 0) return NotAMultiple(bytes);
  MutexLock lock(mutex_);
  const std::uint64_t offset = Place(bytes);
  if (offset == capacity_) return Status(StatusCode::kResourceExhausted);
  TIERLIB_RETURN_IF_ERROR(Take(offset, bytes));
  return static_cast<void*>(base_ + offset);
}

Status Arena::ReserveAt(void* base, std::size_t bytes) {
  if (bytes == 0 || bytes % kGranularity != 0) return NotAMultiple(bytes);
  const auto offset = reinterpret_cast<std::uintptr_t>(base) - reinterpret_cast<std::uintptr_t>(base_);
  if (offset > capacity_ || offset % kGranularity != 0) {
    return InvalidArgumentError("reserving at an address that is no multiple of 256 bytes into this device's memory");
  }
  MutexLock lock(mutex_);
  return IsFree(offset, bytes) ? Take(offset, bytes) : Status(StatusCode::kResourceExhausted);
}

Status Arena::Release(void* base, std::size_t bytes) {
  MutexLock lock(mutex_);
  const auto piece = Contains(base) ? pieces_.find(OffsetOf(base)) : pieces_.end();
  if (piece == pieces_.end() || piece->second != bytes) {
    return InvalidArgumentError("releasing " + std::to_string(bytes) +
                                " bytes that Reserve did not hand out as one range");
  }
  // Pages shared with a neighbour stay.
  const std::uint64_t low = piece == pieces_.begin() ? 0 : std::prev(piece)->first + std::prev(piece)->second;
  const std::uint64_t high = std::next(piece) == pieces_.end() ? PageUp(capacity_) : std::next(piece)->first;
  std::uint64_t begin = PageDown(piece->first);
  if (begin < low) begin += PageBytes();
  std::uint64_t end = PageUp(piece->first + bytes);
  if (end > high) end -= PageBytes();
  pieces_.erase(piece);
  reserved_ -= bytes;
  if (begin >= end || protection_ == Protection::kNever) return OkStatus();
  madvise(base_ + begin, end - begin, MADV_DONTNEED);
  return Protect(begin, end, false);
}

Status Arena::Protect(std::uint64_t begin, std::uint64_t end, bool accessible) const {
  if (begin >= end) return OkStatus();
  if (mprotect(base_ + begin, end - begin, accessible ? PROT_READ | PROT_WRITE : PROT_NONE) == 0) return OkStatus();
  return ResourceExhaustedError(std::string("mprotect of emulated device memory: ") + std::strerror(errno));
}

Status Arena::SetGate(bool open) {
  if (protection_ != Protection::kGated) return OkStatus();
  MutexLock lock(mutex_);
  TIERLIB_CHECK(gate_open_ != open, "Arena::Open and Close do not alternate");
  // Not [0, Top()): pages that were given back in between stay closed. Pieces mostly touch, so this is one call.
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  for (const auto& [offset, bytes] : pieces_) {
    if (PageDown(offset) > end) {
      TIERLIB_RETURN_IF_ERROR(Protect(begin, end, open));
      begin = PageDown(offset);
    }
    end = PageUp(offset + bytes);
  }
  TIERLIB_RETURN_IF_ERROR(Protect(begin, end, open));
  gate_open_ = open;
  return OkStatus();
}

Status Arena::Open() { return SetGate(true); }
Status Arena::Close() { return SetGate(false); }

bool Arena::Contains(const void* address) const {
  const auto* byte = static_cast<const std::byte*>(address);
  return byte >= base_ && byte < base_ + capacity_;
}

std::size_t Arena::OffsetOf(const void* address) const {
  return static_cast<std::size_t>(static_cast<const std::byte*>(address) - base_);
}

std::uint64_t Arena::reserved() const {
  MutexLock lock(mutex_);
  return reserved_;
}

}  // namespace tierlib::emulated
