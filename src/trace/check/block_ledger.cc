#include "trace/check/block_ledger.h"

#include <iterator>

#include "base/checked_math.h"

namespace tierlib::trace {
namespace {

// "the device block of 512 bytes at offset 4096".
std::string Describe(std::uint16_t tier, std::uint64_t bytes, std::uint64_t offset) {
  return std::string("the ") + TierCodeName(static_cast<TierCode>(tier)) + " block of " + ExactBytes(bytes) +
         " at offset " + std::to_string(offset);
}
std::string Describe(const Record& record) { return Describe(record.detail, record.value, record.subject); }

}  // namespace

BlockLedger::BlockLedger(const Trace& trace, bool several_devices, Findings& findings)
    : trace_(trace), several_devices_(several_devices), findings_(findings) {}

void BlockLedger::Take(const IndexedRecord& at) {
  const Record& record = at.record;
  switch (record.event) {
    case Event::kPoolReserve:
    case Event::kPoolRelease: return Reserve(at);
    case Event::kPoolAllocate:
    case Event::kPoolFree:
    case Event::kPoolFull: break;
    default: return;
  }
  if (record.detail >= kTierCodeCount) {
    return findings_.Add(Rule::kField, at.place, "tier " + std::to_string(record.detail) + " is none");
  }
  if (several_devices_) return;
  TierState& tier = tiers_[record.detail];
  if (record.event == Event::kPoolAllocate) return Allocate(at, tier);
  if (record.event == Event::kPoolFree) return Free(at, tier);
  Full(at, tier);
}

void BlockLedger::Reserve(const IndexedRecord& at) {
  const Record& record = at.record;
  if (record.subject >= kTierCodeCount) {
    return findings_.Add(Rule::kField, at.place, "tier " + std::to_string(record.subject) + " is none");
  }
  TierState& tier = tiers_[record.subject];
  tier.reserves = true;
  if (record.event == Event::kPoolReserve) {
    if (!CheckedAdd(tier.reserved, record.value, &tier.reserved)) {
      findings_.Add(Rule::kField, at.place, "reserves " + ExactBytes(record.value) + ", more than any machine has");
      tier.reserved = ~std::uint64_t{0};
    }
    return;
  }
  if (record.value > tier.reserved) {
    findings_.Add(Rule::kTierReserved, at.place,
                  std::string(TierCodeName(static_cast<TierCode>(record.subject))) + " releases " +
                      ExactBytes(record.value) + " of " + std::to_string(tier.reserved) + " that are reserved");
    tier.reserved = 0;
    return;
  }
  tier.reserved -= record.value;
}

void BlockLedger::TellOverlap(const IndexedRecord& at, std::uint64_t offset, const Block& other) {
  findings_.Add(Rule::kBlockOverlap, at.place,
                Describe(at.record) + " lies over the live one of " + ExactBytes(other.bytes) + " at offset " +
                    std::to_string(offset) + ", which " + other.allocated.ToString() + " allocated");
}

void BlockLedger::Allocate(const IndexedRecord& at, TierState& tier) {
  const Record& record = at.record;
  std::uint64_t end;
  if (!CheckedAdd(record.subject, record.value, &end)) {
    return findings_.Add(Rule::kField, at.place, Describe(record) + " ends beyond any address");
  }
  ++blocks_;
  // What it lies over goes: its free, if there is one, was before.
  for (auto next = tier.live.lower_bound(record.subject); next != tier.live.end() && next->first < end;) {
    TellOverlap(at, next->first, next->second);
    tier.live_bytes -= next->second.bytes;
    next = tier.live.erase(next);
  }
  const auto after = tier.live.lower_bound(record.subject);
  if (after != tier.live.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second.bytes > record.subject) {
      TellOverlap(at, before->first, before->second);
      tier.live_bytes -= before->second.bytes;
      tier.live.erase(before);
    }
  }
  tier.live.insert_or_assign(record.subject, Block{record.value, record.tag, at.place});
  tier.live_bytes += record.value;
  const auto code = static_cast<TierCode>(record.detail);
  if (tier.reserves && tier.live_bytes > tier.reserved && !tier.over_reserved) {
    tier.over_reserved = true;
    findings_.Add(Rule::kTierReserved, at.place,
                  std::string(TierCodeName(code)) + " has " + ExactBytes(tier.live_bytes) + " live and " +
                      std::to_string(tier.reserved) + " reserved");
  }
  const std::uint64_t capacity = code == TierCode::kDevice   ? trace_.device_capacity
                                 : code == TierCode::kPinned ? trace_.pinned_capacity
                                                             : 0;
  if (capacity > 0 && tier.live_bytes > capacity && !tier.over_capacity) {
    tier.over_capacity = true;
    findings_.Add(Rule::kTierCapacity, at.place,
                  std::string(TierCodeName(code)) + " has " + ExactBytes(tier.live_bytes) + " live and a capacity of " +
                      std::to_string(capacity));
  }
}

void BlockLedger::Free(const IndexedRecord& at, TierState& tier) {
  const Record& record = at.record;
  const auto found = tier.live.find(record.subject);
  if (found == tier.live.end()) {
    if (const auto freed = tier.freed.find(record.subject); freed != tier.freed.end()) {
      return findings_.Add(Rule::kBlockFreedTwice, at.place,
                           Describe(record) + " is freed twice: " + freed->second.ToString() + " freed it already");
    }
    return findings_.Add(Rule::kBlockUnknown, at.place, Describe(record) + " is freed and was never allocated");
  }
  const Block& block = found->second;
  if (block.bytes != record.value || block.tag != record.tag) {
    findings_.Add(Rule::kBlockChanged, at.place,
                  Describe(record) + " (" + TagName(record.tag) + ") was allocated with " + ExactBytes(block.bytes) +
                      " (" + TagName(block.tag) + ") by " + block.allocated.ToString());
  }
  tier.live_bytes -= block.bytes;
  tier.freed[record.subject] = at.place;
  tier.live.erase(found);
}

void BlockLedger::Full(const IndexedRecord& at, TierState& tier) {
  const Record& record = at.record;
  std::uint64_t capacity;
  if (!CheckedAdd(tier.live_bytes, record.subject, &capacity)) {
    return findings_.Add(Rule::kField, at.place, ExactBytes(record.subject) + " are free, more than any tier has");
  }
  if (!tier.capacity.has_value()) tier.capacity = capacity;
  if (*tier.capacity == capacity) return;
  findings_.Add(Rule::kTierFreeBytes, at.place,
                std::string(TierCodeName(static_cast<TierCode>(record.detail))) + " has " +
                    ExactBytes(tier.live_bytes) + " live and " + std::to_string(record.subject) + " free, together " +
                    std::to_string(capacity) + "; it was " + std::to_string(*tier.capacity) + " before");
  tier.capacity = capacity;
}

void BlockLedger::Finish(bool ended) {
  if (!ended) return;
  for (std::uint16_t tier = 0; tier < kTierCodeCount; ++tier) {
    for (const auto& [offset, block] : tiers_[tier].live) {
      findings_.Add(Rule::kBlockNotFreed, block.allocated,
                    Describe(tier, block.bytes, offset) + " is never freed, and the trace was ended");
    }
  }
}

}  // namespace tierlib::trace
