// SavedStore: device memory, and what is tried in turn where there is none.
//
//   look      what has ended lets go of what it kept
//   flush     copies that wait for each other are enqueued: their blocks go back
//   evict     saved values give their device bytes up, one after the other (make_room.cc)
//   give back what replays of forgotten contents own, and, to an allocator of the program, the pool's unused end
//   wait      for copies and readers that keep memory of the program
//
// After each step that did something the request is tried again. A request that none of them helps fails, and would
// fail again: whatever was about to end has ended.
#include <time.h>

#include <memory>
#include <new>
#include <utility>

#include "allocator/pool_shortfall.h"
#include "base/clock.h"
#include "graph/saved_store.h"

namespace tierlib {
namespace {

// False where the clock reaches `deadline_ns` first.
bool AwaitMark(DeviceBackend& device, const Mark& mark, std::int64_t deadline_ns) {
  for (;;) {
    const StatusOr<bool> done = device.EventDone(mark.event);
    if (!done.ok() || *done) return true;  // of a lost device nothing is waited for
    if (NowNs() >= deadline_ns) return false;
    const timespec pause = {0, 50'000};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace

StatusOr<std::shared_ptr<DeviceBuffer>> SavedStore::AllocateDevice(DeviceTier& tier, std::uint64_t origin,
                                                                   std::uint64_t bytes, Stream stream, trace::Tag tag,
                                                                   bool reload, std::size_t alignment) {
  const std::uint64_t budget = tier.options.reload_budget;
  if (reload && budget > 0) {
    Eviction reloads{/*reloads_only=*/true, /*adopted=*/true};
    while (reloaded_bytes_.load() + bytes > budget && EvictNext(tier, reloads) > 0) {
    }
  }
  RoomRequest request{tier, bytes, stream, tag, reload && tier.options.allocator != nullptr, alignment};
  request.eviction.reloads_only = request.eviction.adopted = request.from_program;
  do {
    StatusOr<std::unique_ptr<DeviceBuffer>> taken = TakeDevice(request, origin);
    if (taken.ok()) {
      if (reload) return Counted(*std::move(taken), stream);
      (*taken)->UsedOn(stream);
      NoteLive(tier);
      return std::shared_ptr<DeviceBuffer>(*std::move(taken));
    }
    if (taken.status().code() != StatusCode::kResourceExhausted) return taken.status();
  } while (MakeRoom(request));
  tier.last_shortage = Explain(request);
  return ResourceExhaustedError(tier.last_shortage->ToString());
}

std::shared_ptr<DeviceBuffer> SavedStore::Counted(std::unique_ptr<DeviceBuffer> reload, Stream stream) {
  reload->UsedOn(stream);
  reloaded_bytes_ += reload->bytes();
  return std::shared_ptr<DeviceBuffer>(reload.release(), [this](DeviceBuffer* gone) {
    reloaded_bytes_ -= gone->bytes();
    delete gone;
  });
}

StatusOr<std::unique_ptr<DeviceBuffer>> SavedStore::TakeDevice(const RoomRequest& request, std::uint64_t origin) {
  DeviceTier& tier = request.tier;
  // A block whose owner has no memory on the host goes back.
  const auto owned = [&](auto& pool, void* block) {
    std::unique_ptr<DeviceBuffer> buffer(new (std::nothrow)
                                             DeviceBuffer(pool, block, origin, request.bytes, request.tag));
    if (buffer != nullptr) return buffer;
    pool.Free(block, {&request.stream, 1});
    throw std::bad_alloc();
  };
  if (!request.from_program && tier.direct != nullptr) {
    TIERLIB_ASSIGN_OR_RETURN(void* const block, tier.direct->Allocate(request.bytes, request.stream, request.tag));
    return owned(*tier.direct, block);
  }
  if (!request.from_program) {
    TIERLIB_ASSIGN_OR_RETURN(void* const block,
                             tier.pool->Allocate(request.bytes, request.stream, request.tag, request.alignment));
    return owned(*tier.pool, block);
  }
  const DeviceAllocator& program = *tier.options.allocator;
  const MutexUnlock unlock(mutex_);  // the program's code runs without our lock
  void* const data = program.allocate(request.bytes, request.stream);
  if (data == nullptr) return Status(StatusCode::kResourceExhausted);
  try {
    return std::make_unique<DeviceBuffer>(tier.options.allocator, *tier.events, deferred_, data, origin, request.bytes);
  } catch (const std::bad_alloc&) {
    program.deallocate(data, request.bytes, request.stream);
    throw;
  }
}

bool SavedStore::MakeRoom(RoomRequest& request) {
  DeviceTier& tier = request.tier;
  const auto goes_on = [&] {
    ++room_steps_;
    return true;
  };
  if (!request.polled) {
    request.polled = true;
    ++tier.shortages.polls;
    // Nothing that is moved in vain.
    if (!request.from_program && request.bytes > tier.backend->info().capacity) return false;
    Poll();
    if (RunDue()) return goes_on();
  }
  if (tier.transfers->has_batch() && tier.transfers->FlushBatch().ok()) {
    (void)RunDue();
    return goes_on();
  }
  if (const std::uint64_t bytes = EvictFor(request)) {
    ++tier.shortages.evictions;
    tier.shortages.evicted_bytes += bytes;
    (void)RunDue();
    return goes_on();
  }
  // What comes now may let the host have room again too, so that more can be given up.
  request.eviction.next = 0;
  request.eviction.evicted = false;
  if (RunDue()) return goes_on();
  Sweep();
  if (RunDue()) return goes_on();
  if (request.from_program && !request.trimmed) {
    request.trimmed = true;
    if (tier.pool->Trim() > 0) return goes_on();
  }
  return AwaitKept(request) && goes_on();
}

bool SavedStore::RunDue() {
  if (!deferred_.pending()) return false;
  const MutexUnlock unlock(mutex_);  // the program's code runs without our lock
  deferred_.Run();
  return true;
}

bool SavedStore::AwaitKept(RoomRequest& request) {
  DeviceTier& tier = request.tier;
  absl::InlinedVector<MarkRef, 2> marks = tier.keepalives->Oldest();
  StorageId kept;  // none where readers keep it
  if (const TransferRef copied = tier.transfers->OldestKeeping()) {
    marks = {copied->end};
    kept = copied->storage;
  }
  if (marks.empty()) return false;
  if (request.deadline_ns == 0) request.deadline_ns = DeadlineIn(options_.shutdown_deadline_ns);
  const std::int64_t begin_ns = NowNs();
  const std::int64_t before_ns = tier.stalls->HostBefore();
  bool ended = true;
  {
    const MutexUnlock unlock(mutex_);  // what we wait for may need the lock to end
    for (const MarkRef& mark : marks) ended = ended && AwaitMark(*tier.backend, *mark, request.deadline_ns);
  }
  const auto waited_ns = static_cast<std::uint64_t>(NowNs() - begin_ns);
  const StatusOr<Storage*> storage = table_.Find(kept);
  const std::string_view label = storage.ok() ? std::string_view((*storage)->label) : std::string_view();
  tier.stalls->HostAfter(before_ns, {kept, label, storage.ok() ? (*storage)->trace_label : 0},
                         trace::StallCause::kAllocation, request.stream);
  ++tier.shortages.waits;
  tier.shortages.wait_ns += waited_ns;
  Poll();
  (void)RunDue();
  return ended;
}

StatusOr<std::shared_ptr<DeviceBuffer>> SavedStore::WhileRoomIsMade(
    DeviceTier& tier, absl::FunctionRef<StatusOr<std::shared_ptr<DeviceBuffer>>()> attempt) {
  // The second finds nothing more to do, unless other threads are at it.
  constexpr int kAttempts = 8;
  bool settled = tier.direct == nullptr;
  for (int i = 0; i < kAttempts; ++i) {
    const std::uint64_t steps = room_steps_;
    StatusOr<std::shared_ptr<DeviceBuffer>> result = attempt();
    if (result.status().code() != StatusCode::kResourceExhausted) return result;
    // Where the device's own allocator puts a block depends on which frees have ended. So the last attempt, and the
    // next call, find all of them ended.
    if (tier.direct != nullptr) {
      const std::int64_t before_ns = tier.stalls->HostBefore();
      {
        const MutexUnlock unlock(mutex_);
        (void)tier.backend->Synchronize();
      }
      tier.stalls->HostAfter(before_ns, {}, trace::StallCause::kAllocation, tier.transfers->in_stream());
    }
    if (room_steps_ == steps && std::exchange(settled, true)) {
      ++tier.shortages.failures;
      return result;
    }
  }
  ++tier.shortages.failures;
  return ResourceExhaustedError(tier.last_shortage ? tier.last_shortage->ToString() : std::string());
}

}  // namespace tierlib
