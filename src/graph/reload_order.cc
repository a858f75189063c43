#include "graph/reload_order.h"

#include <iterator>
#include <utility>

namespace tierlib {

void ReloadOrder::BeginStep(std::uint64_t first_pack) {
  if (!now_.empty()) {  // a step that evaluates teaches nothing
    std::swap(before_, now_);
    last_before_ = last_;
  }
  now_.clear();
  last_ = kStart;
  first_pack_ = first_pack;
}

void ReloadOrder::NoteUnpack(std::uint64_t pack) {
  constexpr std::size_t kMost = std::size_t{1} << 20;      // of programs that never begin a step, too
  if (pack < first_pack_ || now_.size() >= kMost) return;  // of an earlier step
  now_[last_] = InStep(pack);
  last_ = InStep(pack);
}

Snapshot* ReloadOrder::After(std::uint64_t pack) const {
  if (pack >= first_pack_) {
    const auto learned = before_.find(InStep(pack));
    const auto found = learned == before_.end() ? saved_.end() : saved_.find(first_pack_ + learned->second);
    if (found != saved_.end()) return found->second;
    if (!before_.empty() && InStep(pack) == last_before_) return nullptr;
  }
  const auto behind = saved_.lower_bound(pack);
  return behind == saved_.begin() ? nullptr : std::prev(behind)->second;
}

}  // namespace tierlib
