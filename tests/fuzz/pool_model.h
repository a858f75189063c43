// PoolModel: what a BlockPool may do, in its plainest form: an array of units, a sorted list of live blocks, and for
// every unit the moment after which it may be touched. It predicts the address of every block, and aborts where the
// pool hands out a unit to a stream that is not ordered after the unit's last users.
//
// Thread-safety: none.
#ifndef TIERLIB_TESTS_FUZZ_POOL_MODEL_H_
#define TIERLIB_TESTS_FUZZ_POOL_MODEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "fuzz/ordering_device.h"
#include "trace/event.h"

namespace tierlib::fuzz {

inline constexpr std::size_t kUnitsMost = 272;

struct LiveBlock {
  std::size_t offset = 0;  // in units
  std::size_t units = 0;
  std::size_t asked = 0;  // in bytes
  trace::Tag tag = trace::Tag::kNone;
  std::size_t stream_number = 0;  // that it was handed out to
  std::uint64_t owner = 0;        // 0 since it was handed out or taken back
};

// A block that was freed with bytes that may be wanted back.
struct FreedBlock {
  LiveBlock block;  // as it was
  std::uint64_t ticket = 0;
};

class PoolModel {
 public:
  // Nothing is live. REQUIRES: at most kUnitsMost units.
  void Reset(std::size_t units, std::size_t unit_bytes);

  // Where the next block of this size goes, both in units; nothing where no hole and no end of the tier holds it.
  std::optional<std::size_t> Place(std::size_t units, std::size_t alignment_units) const;
  // Takes note of a block that the pool handed out, and checks that its stream comes after its last users.
  void Allocated(const LiveBlock& block, const Moment& seen, const Moment& done);
  // The live block of index `which` is freed: its units may be touched after `item` of each stream, and after what they
  // had to wait for before.
  void Freed(std::size_t which, const Moment& items);
  // The same; the pool gave a ticket for its bytes.
  void FreedWithBytes(std::size_t which, const Moment& items, std::uint64_t ticket);
  // The freed block of index `which` is live again under `tag`; its units wait for what they had to wait for.
  void TakenBack(std::size_t which, trace::Tag tag);
  // The live block that has this unit has a new owner.
  void SetOwner(std::size_t unit, std::uint64_t owner);
  // Nobody can have a freed block back any more, that one or any.
  void Forgot(std::size_t which);
  void ForgotAll();
  // Checks that the work before every free of these units, from `begin` up, is covered by `seen` and `done`.
  void CheckEnded(std::size_t begin, std::size_t end, const Moment& seen, const Moment& done) const;

  const std::vector<LiveBlock>& live() const { return live_; }     // by offset
  const std::vector<FreedBlock>& freed() const { return freed_; }  // that may be had back
  const FreedBlock& gone() const { return gone_; }  // the last that may not be had back any more; ticket 0: none
  const LiveBlock* Find(std::size_t unit) const;    // the live block that has it, or null
  std::size_t units() const { return units_; }
  std::size_t unit_bytes() const { return unit_bytes_; }
  std::size_t Extent() const { return live_.empty() ? 0 : live_.back().offset + live_.back().units; }
  std::size_t LargestHole() const;  // in units, below the extent
  std::size_t extent_peak() const { return extent_peak_; }
  std::size_t asked() const { return asked_; }            // bytes of live blocks
  std::size_t live_units() const { return live_units_; }  // that they take
  std::size_t live_peak() const { return live_peak_; }    // the most units that were live
  // Units that are not live below `end`, of which the work has ended.
  std::size_t EndedUnits(std::size_t end, const Moment& done) const;

 private:
  void Insert(const LiveBlock& block);

  std::size_t units_ = 0;
  std::size_t unit_bytes_ = 0;
  std::vector<LiveBlock> live_;
  std::vector<FreedBlock> freed_;
  FreedBlock gone_;
  std::array<Moment, kUnitsMost> moments_{};
  std::size_t touched_ = 0;  // units below it may have moments
  std::size_t extent_peak_ = 0;
  std::size_t asked_ = 0;
  std::size_t live_units_ = 0;
  std::size_t live_peak_ = 0;
};

}  // namespace tierlib::fuzz

#endif  // TIERLIB_TESTS_FUZZ_POOL_MODEL_H_
