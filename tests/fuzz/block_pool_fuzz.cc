// Bytes as calls of a BlockPool, on six streams that come and go and a device of which only the order of work exists,
// beside a model that predicts every address.
//
// Two bytes choose the tier; then each operation is a byte, kind in its low half and argument in its high half, with up
// to two more bytes. Checked at each: the address (so no overlap, the lowest hole, the alignment), the size, and that
// the block's stream comes after the last users of every unit of it; and which freed blocks may be had back. Often: the
// statistics against the model, live + waste + cached + pending == reserved, which block has an address. Now and then:
// the pool's own invariants. At the end all is freed: nothing may be pending and nothing lost.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/container/inlined_vector.h"
#include "allocator/block_pool.h"
#include "base/check.h"
#include "fuzz/ordering_device.h"
#include "fuzz/pool_model.h"

namespace tierlib::fuzz {
namespace {

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  bool empty() const { return at_ == end_; }
  std::uint8_t Next() { return empty() ? std::uint8_t{0} : *at_++; }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

// Used again by every run: making them costs more than a run.
OrderingDevice& Device() {
  static OrderingDevice& device = *new OrderingDevice;
  return device;
}
PoolModel& Model() {
  static PoolModel& model = *new PoolModel;
  return model;
}

class Run {
 public:
  Run(const std::uint8_t* data, std::size_t size) : bytes_(data, size), device_(Device()), model_(Model()) {
    const std::uint8_t shape = bytes_.Next();
    const std::size_t granularity = std::size_t{256} << 2 * (shape % 4);
    const std::size_t growth = std::size_t{256} << 3 * (shape / 4 % 4);
    const std::size_t unit_bytes = shape / 16 % 2 == 0 ? 256 : 512;
    const std::uint64_t capacity = (std::uint64_t{bytes_.Next()} + 16) * unit_bytes + shape / 32;
    device_.Reset(capacity, granularity);
    model_.Reset(static_cast<std::size_t>(capacity / granularity * granularity / unit_bytes), unit_bytes);
    pool_ = std::make_unique<BlockPool>(BlockPool::Options{
        .source = MakeDeviceSource(device_).value(), .device = &device_, .alignment = unit_bytes, .growth = growth});
  }

  void All() {
    while (!bytes_.empty()) {
      const std::uint8_t operation = bytes_.Next();
      Step(operation % 16, operation / 16);
    }
    CheckStatistics();
    End();
  }

 private:
  void Step(std::size_t kind, std::size_t argument) {
    switch (kind) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: return Allocate(argument % kSlots, bytes_.Next(), static_cast<trace::Tag>(kind + argument / kSlots));
      case 5: return FreeWhereAllocated(argument);
      case 6: return FreeOnOne(argument, bytes_.Next());
      case 7: return Free(argument, bytes_.Next());
      case 8: return FreeWhereAllocated(bytes_.Next());
      case 9: return pool_->Tick(device_.StreamOf(argument % kSlots));
      case 10: return device_.CompleteEvent(argument);
      case 11: return Look(argument);
      case 12: return Change(argument % kSlots, argument / kSlots);
      case 13: return Trim();
      case 14: return Trouble(argument);
      case 15: return Follow(argument, bytes_.Next());
      default: return;
    }
  }

  std::size_t AddressOf(std::size_t unit) const { return (std::size_t{1} << 40) + unit * model_.unit_bytes(); }
  void* BlockOf(const LiveBlock& block) const { return reinterpret_cast<void*>(AddressOf(block.offset)); }

  // Whether there is a stream in the slot now.
  bool Revive(std::size_t slot) { return device_.exists(slot) || device_.Create(slot, slot < 4); }

  void Allocate(std::size_t slot, std::uint8_t size, trace::Tag tag) {
    if (!Revive(slot)) return;
    const std::size_t unit_bytes = model_.unit_bytes();
    const std::size_t units = size % 32 + std::size_t{1};
    const std::size_t form = size / 32;
    static constexpr std::size_t kSlack[] = {0, 1, 255, 128, 0, 3, 0, 17};  // of the last unit, not asked for
    static constexpr std::size_t kAlignment[] = {1, 1, 1, 8, 512, 1024, 2048, 4096};
    std::size_t asked = units * unit_bytes - kSlack[form];
    if (units == 1 && form == 3) asked = 0;  // takes a unit all the same
    if (units == 32 && form == 3) return AllocateTooMuch(slot);
    const std::size_t alignment_units = std::max<std::size_t>(1, kAlignment[form] / unit_bytes);
    const bool broken_before = device_.broken();
    const std::optional<std::size_t> place = model_.Place(units, alignment_units);
    const bool fits = place.has_value() && Grows((*place + units) * unit_bytes);
    const StatusOr<void*> block = pool_->Allocate(asked, device_.StreamOf(slot), tag, kAlignment[form]);
    if (!block.ok()) {
      const bool full = block.status().code() == StatusCode::kResourceExhausted;
      TIERLIB_CHECK(full ? !fits : fits && (broken_before || device_.broken()), "Allocate fails without a cause");
      return;
    }
    TIERLIB_CHECK(fits, "Allocate succeeds where nothing holds the block");
    TIERLIB_CHECK(*block == reinterpret_cast<void*>(AddressOf(*place)), "not the lowest place that holds the block");
    TIERLIB_CHECK(pool_->BlockBytes(*block) == units * unit_bytes, "the size of a block");
    model_.Allocated({*place, units, asked, tag, device_.NumberOf(slot)}, device_.Seen(slot), device_.done());
    TIERLIB_CHECK(device_.reserved() >= model_.Extent() * unit_bytes, "a block beyond what is reserved");
    device_.Work(slot);
  }

  void AllocateTooMuch(std::size_t slot) {
    for (const std::size_t bytes : {(model_.units() + 1) * model_.unit_bytes(), ~std::size_t{0}}) {
      const StatusOr<void*> block = pool_->Allocate(bytes, device_.StreamOf(slot));
      TIERLIB_CHECK(block.status() == Status(StatusCode::kResourceExhausted), "more than everything was handed out");
    }
  }

  // Whether the device has memory up to `end`, or more of it to reserve.
  bool Grows(std::size_t end) const {
    const std::size_t reserved = device_.reserved();
    if (end <= reserved) return true;
    const std::size_t unit = device_.info().granularity;
    const std::size_t needed = (end - reserved + unit - 1) / unit * unit;
    return reserved + needed <= std::min(device_.info().capacity, device_.reserve_limit);
  }

  void FreeWhereAllocated(std::size_t which) {
    if (model_.live().empty()) return;
    const std::size_t number = model_.live()[which % model_.live().size()].stream_number;
    std::size_t slot = 0;
    while (slot < kSlots && (!device_.exists(slot) || device_.NumberOf(slot) != number)) ++slot;
    if (slot < kSlots) Free(which, std::size_t{1} << slot);
  }

  void FreeOnOne(std::size_t which, std::size_t form) {
    Free(which, std::size_t{1} << form % kSlots, /*with_bytes=*/form / kSlots % 2 == 1);
  }

  // Frees one of the live blocks on the streams of a mask. Of those that are gone, only the device's may be named.
  void Free(std::size_t which, std::size_t mask, bool with_bytes = false) {
    if (model_.live().empty()) return;
    which %= model_.live().size();
    const LiveBlock block = model_.live()[which];
    Moment items{};
    absl::InlinedVector<Stream, kSlots> streams;
    for (std::size_t slot = 0; slot < kSlots; ++slot) {
      if ((mask >> slot & 1) == 0 || (!device_.exists(slot) && !device_.own(slot))) continue;
      streams.push_back(device_.StreamOf(slot));
      if (!device_.exists(slot)) continue;
      device_.Work(slot);
      items[device_.NumberOf(slot)] = device_.Seen(slot)[device_.NumberOf(slot)];
    }
    const std::uint64_t notes = device_.notes();
    if (with_bytes) {
      const std::uint64_t ticket = pool_->FreeWithBytes(BlockOf(block), streams);
      TIERLIB_CHECK(ticket != 0, "FreeWithBytes gives no ticket");
      TIERLIB_CHECK(device_.notes() == notes, "bytes that may be wanted back are called dead");
      return model_.FreedWithBytes(which, items, ticket);
    }
    pool_->Free(BlockOf(block), streams);
    // What is told to be dead may be overwritten in the order of that stream.
    if (device_.notes() != notes) {
      model_.CheckEnded(block.offset, block.offset + block.units, device_.noted(), device_.done());
    }
    model_.Freed(which, items);
  }

  void Look(std::size_t argument) {
    if (argument == 0) pool_->CheckInvariants();  // not more often: it takes as long as a run
    if (argument % 4 == 1) return device_.CompleteAll();
    if (argument % 4 == 2) return Find(bytes_.Next(), argument / 4 * 85);
    if (argument % 4 == 3 && argument != 3) return TakeBack(bytes_.Next(), /*forget=*/argument == 7);
    CheckStatistics();
    CheckSnapshot();
  }

  // What has the byte at `inside` of a unit, before and after it is given an owner.
  void Find(std::size_t unit, std::size_t inside) {
    const std::size_t offset = unit * model_.unit_bytes() + inside;
    const void* const address = reinterpret_cast<const void*>(AddressOf(unit) + inside);
    const bool within = offset < device_.reserved() && unit < model_.units();
    TIERLIB_CHECK(pool_->Contains(address) == within, "Contains");
    const LiveBlock* block = model_.Find(unit);
    BlockPool::Place place;
    const BlockPool::Part part = pool_->Find(address, &place);
    if (block == nullptr) {
      TIERLIB_CHECK(part == (within ? BlockPool::Part::kFree : BlockPool::Part::kOutside),
                    "Find where nothing is live");
      return;
    }
    for (const std::uint64_t owner : {block->owner, std::uint64_t{offset + 1}}) {
      if (owner != block->owner) {
        pool_->SetOwner(BlockOf(*block), owner);
        model_.SetOwner(unit, owner);
      }
      TIERLIB_CHECK(pool_->Find(address, &place) == BlockPool::Part::kLive, "Find misses a live block");
      TIERLIB_CHECK(place.offset == block->offset * model_.unit_bytes(), "Find: offset");
      TIERLIB_CHECK(place.bytes == block->units * model_.unit_bytes(), "Find: bytes");
      TIERLIB_CHECK(place.tag == block->tag && place.owner == owner, "Find: tag or owner");
    }
  }

  // A freed block is live again where it was, or forgotten; one whose memory went elsewhere can be neither.
  void TakeBack(std::size_t which, bool forget) {
    const FreedBlock& gone = model_.gone();
    if (gone.ticket != 0) {
      TIERLIB_CHECK(!pool_->MayTakeBack(BlockOf(gone.block), gone.ticket), "MayTakeBack of what is gone");
      TIERLIB_CHECK(!pool_->TakeBack(BlockOf(gone.block), gone.ticket, trace::Tag::kNone), "TakeBack of what is gone");
    }
    if (model_.freed().empty()) return;
    which %= model_.freed().size();
    const FreedBlock freed = model_.freed()[which];
    TIERLIB_CHECK(pool_->MayTakeBack(BlockOf(freed.block), freed.ticket), "MayTakeBack of what is there");
    if (forget) {
      pool_->ForgetFreed(BlockOf(freed.block), freed.ticket);
      return model_.Forgot(which);
    }
    const auto tag = static_cast<trace::Tag>(which % 4);
    TIERLIB_CHECK(pool_->TakeBack(BlockOf(freed.block), freed.ticket, tag), "TakeBack of what is there");
    TIERLIB_CHECK(pool_->BlockBytes(BlockOf(freed.block)) == freed.block.units * model_.unit_bytes(),
                  "the size of a block that was taken back");
    model_.TakenBack(which, tag);
  }

  void CheckStatistics() {
    const TierStatistics now = pool_->statistics();
    const std::size_t unit_bytes = model_.unit_bytes();
    TIERLIB_CHECK(now.live == model_.asked(), "statistics: live");
    TIERLIB_CHECK(now.live + now.waste == model_.live_units() * unit_bytes, "statistics: waste");
    TIERLIB_CHECK(now.reserved == device_.reserved(), "statistics: reserved");
    TIERLIB_CHECK(now.live_peak == model_.live_peak() * unit_bytes, "statistics: live_peak");
    TIERLIB_CHECK(now.extent_peak == model_.extent_peak() * unit_bytes, "statistics: extent_peak");
    std::uint64_t live = 0;
    std::uint64_t waste = 0;
    for (const TagStatistics& tag : now.tags) {
      live += tag.live;
      waste += tag.waste;
    }
    TIERLIB_CHECK(live == now.live && waste == now.waste, "statistics: the tags do not sum up");
    const std::size_t end = (model_.units() - model_.Extent()) * unit_bytes;
    TIERLIB_CHECK(pool_->LargestHole() == std::max(model_.LargestHole() * unit_bytes, end), "LargestHole");
  }

  TierStatistics CheckSnapshot() {
    const TierStatistics free = pool_->Snapshot();
    const std::size_t unit_bytes = model_.unit_bytes();
    const std::size_t live = model_.live_units() * unit_bytes;
    TIERLIB_CHECK(free.live + free.waste == live && free.reserved == device_.reserved(), "Snapshot: live, reserved");
    TIERLIB_CHECK(live + free.cached + free.pending == device_.reserved(), "live + waste + cached + pending");
    const std::size_t unused = device_.reserved() - model_.Extent() * unit_bytes;
    TIERLIB_CHECK(free.scattered == free.cached + free.pending - std::max(unused, model_.LargestHole() * unit_bytes),
                  "Snapshot: scattered");
    const std::size_t units = (device_.reserved() + unit_bytes - 1) / unit_bytes;
    TIERLIB_CHECK(free.cached <= model_.EndedUnits(units, device_.done()) * unit_bytes,
                  "memory is called cached that is in use");
    return free;
  }

  // A stream goes and, but for one form, another one gets its handle.
  void Change(std::size_t slot, std::size_t form) {
    if (device_.exists(slot)) {
      if (form == 0) {
        (void)device_.SynchronizeStream(device_.StreamOf(slot));
        pool_->Forget(device_.StreamOf(slot));
      }
      device_.Destroy(slot);
      if (form == 1) return;
    }
    (void)device_.Create(slot, bytes_.Next() % 2 == 0);
  }

  void Trim() {
    const std::size_t before = device_.reserved();
    const std::size_t returned = pool_->Trim();
    TIERLIB_CHECK(before - device_.reserved() == returned, "Trim returns other than what it gave back");
    const std::size_t kept = device_.reserved() / model_.unit_bytes();
    TIERLIB_CHECK(device_.reserved() >= model_.Extent() * model_.unit_bytes(), "Trim gave back what is live");
    if (returned == 0) return;
    model_.CheckEnded(kept, kUnitsMost, device_.done(), device_.done());
    model_.ForgotAll();
  }

  // The device's memory or its events run out, or are there again.
  void Trouble(std::size_t argument) {
    device_.reserve_limit = device_.info().capacity;
    device_.events_left = 1 << 30;
    if (argument >= 1 && argument <= 4) device_.events_left = static_cast<int>(argument) - 1;
    if (argument >= 5) device_.reserve_limit = device_.info().capacity / 16 * argument;
  }

  void Follow(std::size_t argument, std::uint8_t other) {
    const std::size_t slot = argument % kSlots;
    if (!device_.exists(slot) || !device_.exists(other % kSlots)) return;
    if (argument >= 12) {
      (void)device_.SynchronizeStream(device_.StreamOf(slot));
    } else if (argument >= kSlots) {
      device_.Work(slot);
    } else {
      device_.Follow(slot, other % kSlots);
    }
  }

  void End() {
    Trouble(0);
    while (!model_.live().empty()) Free(model_.live().size() / 2, std::size_t{1} << model_.live().size() % kSlots);
    device_.CompleteAll();
    const TierStatistics free = CheckSnapshot();
    TIERLIB_CHECK(free.pending == 0, "memory is called pending though all work has ended");
    TIERLIB_CHECK(pool_->LargestHole() == model_.units() * model_.unit_bytes(), "holes are left in an empty pool");
    Trim();
    TIERLIB_CHECK(device_.reserved() == 0, "Trim of an empty pool left something");
    pool_.reset();
    TIERLIB_CHECK(device_.events() == 0, "an event was not destroyed");
  }

  Bytes bytes_;
  OrderingDevice& device_;
  PoolModel& model_;
  std::unique_ptr<BlockPool> pool_;
};

}  // namespace
}  // namespace tierlib::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tierlib::fuzz::Run(data, size).All();
  return 0;
}
