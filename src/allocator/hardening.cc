#include "allocator/hardening.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace tierlib {
namespace {

constexpr std::size_t kReadBackBytes = std::size_t{1} << 20;

// Index of the first byte that is not `value`; `bytes` where there is none.
std::size_t FirstOther(const std::byte* begin, std::size_t bytes, std::uint8_t value) {
  const std::byte expected{value};
  if (bytes == 0 || (begin[0] == expected && std::memcmp(begin, begin + 1, bytes - 1) == 0)) return bytes;
  return static_cast<std::size_t>(std::find_if(begin, begin + bytes, [&](std::byte b) { return b != expected; }) -
                                  begin);
}

}  // namespace

Hardening::Hardening(PlainBlocks& blocks, const Settings& settings)
    : blocks_(blocks),
      device_(*settings.device),
      unit_(settings.unit),
      own_(settings.stream),
      most_(settings.quarantine_bytes),
      has_bytes_(!device_.info().shape_only),
      read_back_(has_bytes_ && on_device() ? kReadBackBytes : 0) {}

Hardening::~Hardening() {
  {
    MutexLock lock(mutex_);
    while (!quarantine_.empty()) ReleaseOldest();
    for (auto& [address, guarded] : live_) {  // against the contract, but what was written behind them is worth telling
      if (!has_bytes_) break;
      if (!on_device()) {
        CheckGuards(guarded, guarded.block, guarded.block + guarded.front + guarded.asked);
        continue;
      }
      const auto seen = std::make_unique<std::byte[]>(guarded.front + guarded.rear());
      const bool read = EnqueueGuardCopy(guarded, seen.get()).ok() && device_.SynchronizeStream(own_).ok();
      if (read) CheckGuards(guarded, seen.get(), seen.get() + guarded.front);
      if (guarded.filled != 0) device_.DestroyEvent(guarded.filled);
    }
  }
  (void)device_.DestroyStream(own_);
}

StatusOr<void*> Hardening::Allocate(std::size_t bytes, Stream stream, trace::Tag tag, std::size_t alignment) {
  Blocks made;  // before the block, which is not to be lost where there is no memory for this
  Blocks::node_type node = made.extract(made.emplace(nullptr, Guarded()).first);
  MutexLock lock(mutex_);
  Poll();
  Guarded guarded;
  guarded.front = std::max(alignment, unit_);
  guarded.asked = bytes;
  guarded.tag = tag;
  const std::size_t guards = guarded.front + unit_;
  // A size that no tier has is the pool's to refuse.
  const std::size_t wanted = bytes > ~std::size_t{0} - guards ? bytes : bytes + guards;
  while (!quarantine_.empty() && blocks_.LargestFree() < wanted) ReleaseOldest();
  StatusOr<void*> block = blocks_.Allocate(wanted, stream, tag, alignment);
  while (block.status().code() == StatusCode::kResourceExhausted && !quarantine_.empty()) {
    ReleaseOldest();
    block = blocks_.Allocate(wanted, stream, tag, alignment);
  }
  TIERLIB_RETURN_IF_ERROR(block.status());
  guarded.block = static_cast<std::byte*>(*block);
  guarded.bytes = blocks_.BlockBytes(*block);
  if (const Status filled = FillFresh(guarded, stream); !filled.ok()) {
    (void)device_.SynchronizeStream(stream);
    blocks_.Free(guarded.block, {});
    return filled;
  }
  blocks_.Book(guarded.block, bytes, tag);
  std::byte* const address = guarded.block + guarded.front;
  node.key() = address;
  node.mapped() = guarded;
  live_.insert(std::move(node));
  return static_cast<void*>(address);
}

Status Hardening::FillFresh(Guarded& guarded, Stream stream) {
  if (!has_bytes_) return OkStatus();
  if (!on_device()) {
    std::memset(guarded.block, kGuardByte, guarded.bytes);
    std::memset(guarded.block + guarded.front, kFreshByte, guarded.asked);
    return OkStatus();
  }
  TIERLIB_RETURN_IF_ERROR(device_.Fill(guarded.block, kGuardByte, guarded.bytes, stream));
  if (guarded.asked > 0) {
    TIERLIB_RETURN_IF_ERROR(device_.Fill(guarded.block + guarded.front, kFreshByte, guarded.asked, stream));
  }
  TIERLIB_ASSIGN_OR_RETURN(guarded.filled, device_.CreateEvent());
  const Status recorded = device_.RecordEvent(guarded.filled, stream);
  if (!recorded.ok()) device_.DestroyEvent(std::exchange(guarded.filled, 0));
  return recorded;
}

void Hardening::Free(void* address, absl::Span<const Stream> streams) {
  MutexLock lock(mutex_);
  const auto found = live_.find(static_cast<const std::byte*>(address));
  if (found == live_.end()) DieOfAddress("free", address);
  Held held;
  held.guarded = found->second;
  live_.erase(found);
  if (!EnqueueLook(held, streams).ok()) {
    held.blind = true;
    for (const Stream stream : streams) (void)device_.SynchronizeStream(stream);
    (void)device_.SynchronizeStream(own_);
  }
  if (held.guarded.filled != 0) device_.DestroyEvent(std::exchange(held.guarded.filled, 0));
  blocks_.Book(held.guarded.block, 0, trace::Tag::kNone);
  quarantined_ += held.guarded.bytes;
  quarantine_.push_back(std::move(held));
  Poll();
  while (quarantined_ > most_) ReleaseOldest();
}

Status Hardening::OrderAfter(absl::Span<const Stream> streams) {
  for (const Stream stream : streams) {
    TIERLIB_CHECK(stream.device == device_.info().device, "a block was used on a stream of another device");
    TIERLIB_ASSIGN_OR_RETURN(const EventId event, device_.CreateEvent());
    Status status = device_.RecordEvent(event, stream);
    const bool gone = status.code() == StatusCode::kNotFound;  // and with that its work has ended
    if (status.ok()) status = device_.WaitEvent(own_, event);
    device_.DestroyEvent(event);
    if (!status.ok() && !gone) return status;
  }
  return OkStatus();
}

Status Hardening::EnqueueGuardCopy(const Guarded& guarded, std::byte* to) {
  if (guarded.filled != 0) TIERLIB_RETURN_IF_ERROR(device_.WaitEvent(own_, guarded.filled));
  const std::byte* const rear = guarded.block + guarded.front + guarded.asked;
  const CopyRun runs[] = {{to, guarded.block, guarded.front}, {to + guarded.front, rear, guarded.rear()}};
  return device_.Copy(runs, CopyDirection::kDeviceToHost, own_);
}

Status Hardening::EnqueueLook(Held& held, absl::Span<const Stream> streams) {
  TIERLIB_RETURN_IF_ERROR(OrderAfter(streams));
  if (has_bytes_ && on_device()) {
    held.seen = std::make_unique<std::byte[]>(held.guarded.front + held.guarded.rear());
    TIERLIB_RETURN_IF_ERROR(EnqueueGuardCopy(held.guarded, held.seen.get()));
    TIERLIB_RETURN_IF_ERROR(device_.Fill(held.guarded.block, kFreedByte, held.guarded.bytes, own_));
  }
  TIERLIB_ASSIGN_OR_RETURN(held.done, device_.CreateEvent());
  return device_.RecordEvent(held.done, own_);
}

void Hardening::Poll() {
  for (; settled_ < quarantine_.size(); ++settled_) {
    Held& held = quarantine_[settled_];
    if (!held.blind) {
      const StatusOr<bool> done = device_.EventDone(held.done);
      if (done.ok() && !*done) return;
      held.blind = !done.ok();
      if (held.blind) (void)device_.SynchronizeStream(own_);
    }
    Settle(held);
  }
}

void Hardening::Settle(Held& held) {
  if (held.done != 0) device_.DestroyEvent(std::exchange(held.done, 0));
  if (!has_bytes_ || held.blind) return;
  const Guarded& guarded = held.guarded;
  if (on_device()) {
    CheckGuards(guarded, held.seen.get(), held.seen.get() + guarded.front);
    held.seen = nullptr;
    return;
  }
  CheckGuards(guarded, guarded.block, guarded.block + guarded.front + guarded.asked);
  std::memset(guarded.block, kFreedByte, guarded.bytes);
}

void Hardening::ReleaseOldest() {
  Held held = std::move(quarantine_.front());
  quarantine_.pop_front();
  quarantined_ -= held.guarded.bytes;
  if (settled_ > 0) {
    --settled_;
  } else {
    if (!held.blind) held.blind = !device_.SynchronizeEvent(held.done).ok();
    Settle(held);
  }
  if (has_bytes_ && !held.blind) CheckFreed(held.guarded);
  blocks_.Book(held.guarded.block, 0, held.guarded.tag);  // the trace says what was freed
  blocks_.Free(held.guarded.block, {});
}

void Hardening::Flush() {
  MutexLock lock(mutex_);
  while (!quarantine_.empty()) ReleaseOldest();
}

std::size_t Hardening::BlockBytes(const void* address) const {
  MutexLock lock(mutex_);
  const auto found = live_.find(static_cast<const std::byte*>(address));
  if (found == live_.end()) DieOfAddress("size", address);
  return std::max(unit_, (found->second.asked + unit_ - 1) / unit_ * unit_);
}

void Hardening::SetOwner(const void* address, std::uint64_t owner) {
  MutexLock lock(mutex_);
  const auto found = live_.find(static_cast<const std::byte*>(address));
  if (found == live_.end()) DieOfAddress("owner", address);
  found->second.owner = owner;
}

bool Hardening::Find(const void* address, AddressMap::Found* place) const {
  const auto* const byte = static_cast<const std::byte*>(address);
  MutexLock lock(mutex_);
  auto next = live_.upper_bound(byte);
  if (next == live_.begin()) return false;
  const auto& [begin, guarded] = *--next;
  if (byte >= begin + guarded.asked) return false;
  place->tag = guarded.tag;
  place->in_block = static_cast<std::size_t>(byte - begin);
  place->offset = blocks_.base() == nullptr ? 0 : OffsetOf(begin);
  place->bytes = guarded.asked;
  place->owner = guarded.owner;
  return true;
}

std::size_t Hardening::OffsetOf(const std::byte* address) const {
  return static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(address) -
                                  reinterpret_cast<std::uintptr_t>(blocks_.base()));
}

misuse::BlockName Hardening::NameOf(const Guarded& guarded) const {
  misuse::BlockName name = {blocks_.tier(), OffsetOf(guarded.block) + guarded.front, guarded.asked, guarded.tag};
  name.has_base = blocks_.base() != nullptr;
  return name;
}

void Hardening::CheckGuards(const Guarded& guarded, const std::byte* front, const std::byte* rear) const {
  const std::size_t behind = FirstOther(rear, guarded.rear(), kGuardByte);
  if (behind < guarded.rear()) misuse::DieOfWriteBehind(NameOf(guarded), behind, rear[behind]);
  if (FirstOther(front, guarded.front, kGuardByte) == guarded.front) return;
  std::size_t nearest = guarded.front - 1;
  while (front[nearest] == std::byte{kGuardByte}) --nearest;
  misuse::DieOfWriteBefore(NameOf(guarded), guarded.front - 1 - nearest, front[nearest]);
}

void Hardening::CheckFreed(const Guarded& guarded) {
  const std::size_t step = on_device() ? std::min(guarded.bytes, kReadBackBytes) : guarded.bytes;
  for (std::size_t begin = 0; begin < guarded.bytes; begin += step) {
    const std::size_t bytes = std::min(step, guarded.bytes - begin);
    const std::byte* seen = guarded.block + begin;
    if (on_device()) {
      const CopyRun run = {read_back_.data(), seen, bytes};
      if (!device_.Copy({&run, 1}, CopyDirection::kDeviceToHost, own_).ok()) return;
      if (!device_.SynchronizeStream(own_).ok()) return;
      seen = read_back_.data();
    }
    const std::size_t other = FirstOther(seen, bytes, kFreedByte);
    if (other < bytes) {
      const auto byte = static_cast<std::ptrdiff_t>(begin + other) - static_cast<std::ptrdiff_t>(guarded.front);
      misuse::DieOfWriteAfterFree(NameOf(guarded), byte, seen[other]);
    }
  }
}

void Hardening::DieOfAddress(const char* use, const void* address) const {
  const auto* byte = static_cast<const std::byte*>(address);
  const auto holds = [byte](const Guarded& g) { return byte >= g.block && byte < g.block + g.bytes; };
  for (const auto& [begin, guarded] : live_) {
    if (holds(guarded)) misuse::DieOfInterior(use, address, NameOf(guarded), byte - begin);
  }
  for (const Held& held : quarantine_) {
    if (holds(held.guarded)) misuse::DieOfFreed(use, address, NameOf(held.guarded));
  }
  blocks_.Require(use, address);  // no live block is there, so it aborts
  std::abort();
}

void Hardening::CheckInvariants() const {
  MutexLock lock(mutex_);
  std::size_t quarantined = 0;
  for (const Held& held : quarantine_) {
    quarantined += held.guarded.bytes;
    TIERLIB_CHECK(blocks_.BlockBytes(held.guarded.block) == held.guarded.bytes,
                  "Hardening I1: a block in quarantine is another one in the pool");
  }
  for (const auto& [address, guarded] : live_) {
    TIERLIB_CHECK(blocks_.BlockBytes(guarded.block) == guarded.bytes,
                  "Hardening I1: a block that was handed out is another one in the pool");
  }
  TIERLIB_CHECK(blocks_.live_blocks() == live_.size() + quarantine_.size(),
                "Hardening I1: a block is neither handed out nor in quarantine");
  for (std::size_t i = 0; i < quarantine_.size(); ++i) {
    const bool settled = quarantine_[i].done == 0 && quarantine_[i].seen == nullptr;
    TIERLIB_CHECK(settled == (i < settled_) || quarantine_[i].blind, "Hardening I2: settled out of order");
  }
  TIERLIB_CHECK(quarantined == quarantined_, "Hardening I3: the quarantine is miscounted");
}

}  // namespace tierlib
