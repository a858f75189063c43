// TagAccounts: what the live blocks of a pool are held for, now and when the pool held the most.
//
// Thread-safety: none; the pool locks.
#ifndef TIERLIB_SRC_ALLOCATOR_TAG_ACCOUNTS_H_
#define TIERLIB_SRC_ALLOCATOR_TAG_ACCOUNTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "tierlib/statistics.h"
#include "trace/event.h"

namespace tierlib {

// The most that the blocks of each tag may take, rounded.
using TagLimits = std::array<std::size_t, trace::kTagCount>;
inline TagLimits NoTagLimits() {
  TagLimits limits;
  limits.fill(std::numeric_limits<std::size_t>::max());
  return limits;
}

class TagAccounts {
 public:
  struct Account {
    std::size_t blocks = 0;
    std::size_t asked = 0;    // bytes that were asked for
    std::size_t rounded = 0;  // bytes that the blocks take
    friend bool operator==(const Account&, const Account&) = default;
  };
  using Accounts = std::array<Account, trace::kTagCount>;  // by tag
  struct Peak {
    std::int64_t time_ns = 0;  // on base/clock.h's NowNs(); 0: nothing was ever live
    std::size_t rounded = 0;
    Accounts tags{};
  };

  void Add(trace::Tag tag, std::size_t asked, std::size_t rounded);
  void Remove(trace::Tag tag, std::size_t asked, std::size_t rounded);

  // What a tag holds, rounded.
  std::size_t held(trace::Tag tag) const { return tags_[static_cast<std::size_t>(tag)].rounded; }
  const Account& total() const { return total_; }
  const Accounts& tags() const { return tags_; }
  const Peak& peak() const;
  // `live`, `waste`, `live_peak` with its time, and `tags`; the rest is 0.
  TierStatistics Figures() const;

 private:
  Accounts tags_{};
  Account total_;
  // The peak is taken when it is over or asked for, not at each of the allocations that lead up to it.
  mutable Peak peak_;
  std::int64_t rose_ns_ = 0;  // when the total last went beyond the peak taken; 0 where it is not
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_ALLOCATOR_TAG_ACCOUNTS_H_
