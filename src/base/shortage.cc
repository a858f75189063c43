#include "tierlib/shortage.h"

#include <algorithm>
#include <cstddef>

#include "tierlib/bytes.h"

namespace tierlib {
namespace {

constexpr std::size_t kNamed = 3;  // of each kind of holder, in the line

std::string WhatIsShort(const Shortage& s) {
  const std::string where =
      s.tier == Tier::kDevice ? s.device_name : std::string(TierName(s.tier)) + " memory of " + s.device_name;
  switch (s.reason) {
    case Shortage::Reason::kCapacity:
    case Shortage::Reason::kFragmentation: return where + " is full";
    case Shortage::Reason::kTagLimit:
      return where + ": the limit of " + FormatBytes(s.tag_limit) + " for " + s.tag + " is reached";
    case Shortage::Reason::kDeviceMemory:
      return where + " has no memory left beyond the " + FormatBytes(s.reserved) + " that are reserved";
    case Shortage::Reason::kOtherDevices:
      return where + " is full, as other devices hold " + FormatBytes(s.other_devices) + " of what they share";
    case Shortage::Reason::kProgramAllocator:
      return "the program's device allocator has no " + FormatBytes(s.asked) + " for a reload";
  }
  return where;
}

}  // namespace

std::string Shortage::ToString() const {
  std::string text = WhatIsShort(*this);
  if (reason != Reason::kProgramAllocator) {  // which has figures of its own
    text += ": asked " + FormatBytes(asked) + (alignment > 0 ? " at a multiple of " + FormatBytes(alignment) : "") +
            ", free " + FormatBytes(free) + " of " + FormatBytes(capacity) + ", largest hole " +
            FormatBytes(largest_hole);
    if (pending > 0) {
      text += ", pending " + FormatBytes(pending) + " on " + std::to_string(streams.size()) +
              (streams.size() == 1 ? " stream" : " streams");
    }
    for (std::size_t i = 0; i < std::min(tags.size(), kNamed); ++i) {
      text += (i == 0 ? "; " : ", ") + tags[i].name + " " + FormatBytes(tags[i].bytes);
    }
  }
  for (std::size_t i = 0; i < std::min(labels.size(), kNamed); ++i) {
    text += (i == 0 ? "; held by '" : ", '") + labels[i].name + "' " + FormatBytes(labels[i].bytes);
  }
  if (saved > 0) text += "; saved values that may not or cannot move hold " + FormatBytes(saved);
  if (leased > 0) text += ", " + FormatBytes(leased) + " of it in use by the program";
  if (!advice.empty()) text += "; " + advice;
  return text;
}

}  // namespace tierlib
