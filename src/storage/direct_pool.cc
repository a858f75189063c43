#include "storage/direct_pool.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <utility>

#include "allocator/misuse.h"
#include "base/check.h"
#include "tierlib/faults.h"
#include "tierlib/tier.h"

namespace tierlib {

class DirectPool::Plain : public PlainBlocks {
 public:
  explicit Plain(DirectPool& pool) : pool_(pool) {}

  Tier tier() const override { return Tier::kDevice; }
  const std::byte* base() const override { return nullptr; }
  StatusOr<void*> Allocate(std::size_t bytes, Stream stream, trace::Tag tag, std::size_t) override {
    return pool_.AllocateBlock(bytes, stream, tag);
  }
  void Free(void* block, absl::Span<const Stream> streams) override { pool_.FreeBlock(block, streams); }
  void Book(const void* block, std::size_t asked, trace::Tag tag) override {
    MutexLock lock(pool_.mutex_);
    Live& live = pool_.LiveAt(block, "booking")->second;
    pool_.accounts_.Remove(live.tag, live.asked, live.rounded);
    live.tag = tag;
    live.asked = asked;
    pool_.accounts_.Add(tag, asked, live.rounded);
  }
  std::size_t BlockBytes(const void* block) const override {
    MutexLock lock(pool_.mutex_);
    return pool_.LiveAt(block, "size")->second.rounded;
  }
  void Require(const char* use, const void* block) const override {
    MutexLock lock(pool_.mutex_);
    (void)pool_.LiveAt(block, use);
  }
  std::size_t LargestFree() const override { return pool_.capacity() - pool_.live_bytes(); }
  std::size_t live_blocks() const override {
    MutexLock lock(pool_.mutex_);
    return pool_.accounts_.total().blocks;
  }

 private:
  DirectPool& pool_;
};

DirectPool::DirectPool(DeviceBackend& device, EventPool& events, const Options& options, Stream frees)
    : device_(device), events_(events), frees_(frees), options_(options), stream_labels_(device, options.recorder) {}

StatusOr<std::unique_ptr<DirectPool>> DirectPool::Create(DeviceBackend& device, EventPool& events,
                                                         const Options& options) {
  TIERLIB_ASSIGN_OR_RETURN(const Stream frees, device.CreateStream("frees"));
  std::unique_ptr<DirectPool> pool(new DirectPool(device, events, options, frees));
  // A device that cannot says so now.
  TIERLIB_ASSIGN_OR_RETURN(void* const block, device.AllocateInOrder(1, frees));
  TIERLIB_RETURN_IF_ERROR(device.FreeInOrder(block, frees));
  if (options.quarantine_bytes.has_value()) {
    TIERLIB_ASSIGN_OR_RETURN(const Stream own, device.CreateStream("hardening"));
    pool->plain_ = std::make_unique<Plain>(*pool);
    pool->hardening_ = std::make_unique<Hardening>(
        *pool->plain_, Hardening::Settings{&device, device.info().alignment, own, *options.quarantine_bytes});
  }
  return pool;
}

DirectPool::~DirectPool() {
  std::uintptr_t from = 0;
  while (void* const block = [&]() -> void* {
    MutexLock lock(mutex_);
    auto found = live_.lower_bound(from);
    while (found != live_.end() && found->second.freed_in_capture == nullptr) ++found;
    if (found == live_.end()) return nullptr;
    from = found->first + 1;
    return std::exchange(found->second.freed_in_capture, nullptr);
  }()) {
    Free(block, {});
  }
  hardening_.reset();  // it calls this pool
  (void)device_.DestroyStream(frees_);
}

std::size_t DirectPool::PlainRounded(std::size_t bytes) const {
  const std::size_t unit = device_.info().alignment;
  if (bytes == 0) return unit;
  return std::min(bytes, std::numeric_limits<std::size_t>::max() - unit) / unit * unit + (bytes % unit == 0 ? 0 : unit);
}

std::size_t DirectPool::Rounded(std::size_t bytes) const {
  return PlainRounded(hardening_ != nullptr ? hardening_->WithGuards(bytes) : bytes);
}

std::size_t DirectPool::RoomOfTag(trace::Tag tag) const {
  MutexLock lock(mutex_);
  return LimitOfTag(tag) - accounts_.held(tag);
}

StatusOr<void*> DirectPool::Allocate(std::size_t bytes, Stream stream, trace::Tag tag) {
  if (hardening_ != nullptr) return hardening_->Allocate(bytes, stream, tag, /*alignment=*/1);
  return AllocateBlock(bytes, stream, tag);
}

void DirectPool::Free(void* block, absl::Span<const Stream> streams) {
  if (LeaveToGraph(block, streams)) return;
  if (hardening_ != nullptr) return hardening_->Free(block, streams);
  FreeBlock(block, streams);
}

bool DirectPool::LeaveToGraph(void* block, absl::Span<const Stream> streams) {
  if (std::none_of(streams.begin(), streams.end(), [&](Stream stream) { return device_.InCapture(stream); })) {
    return false;
  }
  AddressMap::Found given;
  if (!Find(block, &given) || given.in_block != 0) return false;  // freeing it says what is wrong
  MutexLock lock(mutex_);
  // In hardened mode the block of this pool begins with a guard.
  Live& live = std::prev(live_.upper_bound(reinterpret_cast<std::uintptr_t>(block)))->second;
  if (live.freed_in_capture != nullptr) misuse::DieOfForeign("free", block, Tier::kDevice);
  live.freed_in_capture = block;
  return true;
}

StatusOr<void*> DirectPool::AllocateBlock(std::size_t bytes, Stream stream, trace::Tag tag) {
  const std::size_t rounded = PlainRounded(bytes);
  Blocks made;  // before the block, which is not to be lost where there is no memory for this
  Blocks::node_type node = made.extract(made.emplace(0, Live{bytes, rounded, tag}).first);
  MutexLock lock(mutex_);
  StatusOr<void*> block = Status(StatusCode::kResourceExhausted);
  const std::size_t live = accounts_.total().rounded;
  const std::size_t room = capacity() - live;
  const bool fails = options_.faults != nullptr && !options_.faults->CallAllocate(Tier::kDevice, live, rounded).ok();
  if (!fails && rounded <= room && rounded <= LimitOfTag(tag) - accounts_.held(tag)) {
    block = device_.AllocateInOrder(rounded, stream);
  }
  if (!block.ok()) {
    if (block.status().code() == StatusCode::kResourceExhausted) {
      trace::Write(options_.recorder, trace::Event::kPoolFull, tag, static_cast<std::uint16_t>(Tier::kDevice),
                   stream_labels_.Of(stream), room, rounded);
    }
    return block;
  }
  node.key() = reinterpret_cast<std::uintptr_t>(*block);
  live_.insert(std::move(node));
  accounts_.Add(tag, bytes, rounded);
  trace::Write(options_.recorder, trace::Event::kPoolAllocate, tag, static_cast<std::uint16_t>(Tier::kDevice),
               stream_labels_.Of(stream), reinterpret_cast<std::uintptr_t>(*block), rounded);
  return block;
}

void DirectPool::FreeBlock(void* block, absl::Span<const Stream> streams) {
  Stream last = streams.size() == 1 ? streams.front() : frees_;
  if (streams.size() != 1 || !device_.StreamNumber(last).ok()) {
    last = frees_;
    for (const Stream stream : streams) events_.Order(frees_, stream);
  }
  MutexLock lock(mutex_);
  const auto found = LiveAt(block, "free");
  if (found->second.freed_in_capture != nullptr) misuse::DieOfForeign("free", block, Tier::kDevice);
  const Live live = found->second;
  live_.erase(found);
  accounts_.Remove(live.tag, live.asked, live.rounded);
  trace::Write(options_.recorder, trace::Event::kPoolFree, live.tag, static_cast<std::uint16_t>(Tier::kDevice),
               stream_labels_.Of(streams), reinterpret_cast<std::uintptr_t>(block), live.rounded);
  // A lost device says so elsewhere (health).
  (void)device_.FreeInOrder(block, last);
}

DirectPool::Blocks::iterator DirectPool::LiveAt(const void* block, const char* use) {
  const auto found = live_.find(reinterpret_cast<std::uintptr_t>(block));
  if (found == live_.end()) misuse::DieOfForeign(use, block, Tier::kDevice);
  return found;
}

void DirectPool::SetOwner(const void* block, std::uint64_t owner) {
  if (hardening_ != nullptr) return hardening_->SetOwner(block, owner);
  MutexLock lock(mutex_);
  LiveAt(block, "owner")->second.owner = owner;
}

bool DirectPool::Find(const void* address, AddressMap::Found* found) const {
  if (hardening_ != nullptr) return hardening_->Find(address, found);
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  MutexLock lock(mutex_);
  const auto behind = live_.upper_bound(at);
  if (behind == live_.begin()) return false;
  const auto& [start, live] = *std::prev(behind);
  if (at - start >= live.rounded) return false;
  *found = {.tag = live.tag, .in_block = at - start, .bytes = live.rounded, .owner = live.owner};
  return true;
}

std::size_t DirectPool::live_bytes() const {
  MutexLock lock(mutex_);
  return accounts_.total().rounded;
}

TierStatistics DirectPool::statistics() const {
  MutexLock lock(mutex_);
  const std::size_t rounded = accounts_.total().rounded;
  TierStatistics statistics = accounts_.Figures();
  statistics.capacity = capacity();
  statistics.reserved = std::max<std::uint64_t>(device_.ReservedInOrder(), rounded);
  statistics.cached = statistics.reserved - rounded;
  statistics.extent_peak = statistics.live_peak;
  return statistics;
}

void DirectPool::CheckInvariants() const {
  if (hardening_ != nullptr) hardening_->CheckInvariants();
  MutexLock lock(mutex_);
  TagAccounts counted;
  for (const auto& [start, live] : live_) {
    TIERLIB_CHECK(live.asked <= live.rounded, "DirectPool I1: more was asked for than a block has");
    counted.Add(live.tag, live.asked, live.rounded);
  }
  TIERLIB_CHECK(counted.tags() == accounts_.tags() && counted.total() == accounts_.total(),
                "DirectPool I1: the accounts do not say what is live");
}

}  // namespace tierlib
