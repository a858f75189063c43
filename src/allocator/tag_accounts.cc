#include "allocator/tag_accounts.h"

#include "base/clock.h"

namespace tierlib {

void TagAccounts::Add(trace::Tag tag, std::size_t asked, std::size_t rounded) {
  for (Account* account : {&tags_[static_cast<std::size_t>(tag)], &total_}) {
    ++account->blocks;
    account->asked += asked;
    account->rounded += rounded;
  }
  if (total_.rounded > peak_.rounded) rose_ns_ = NowNs();
}

void TagAccounts::Remove(trace::Tag tag, std::size_t asked, std::size_t rounded) {
  if (rose_ns_ != 0) {
    (void)peak();
    rose_ns_ = 0;
  }
  for (Account* account : {&tags_[static_cast<std::size_t>(tag)], &total_}) {
    --account->blocks;
    account->asked -= asked;
    account->rounded -= rounded;
  }
}

const TagAccounts::Peak& TagAccounts::peak() const {
  if (rose_ns_ != 0 && total_.rounded > peak_.rounded) peak_ = {rose_ns_, total_.rounded, tags_};
  return peak_;
}

TierStatistics TagAccounts::Figures() const {
  const Peak& most = peak();
  TierStatistics figures;
  figures.live = total_.asked;
  figures.waste = total_.rounded - total_.asked;
  figures.live_peak = most.rounded;
  figures.live_peak_ns = most.time_ns;
  for (std::size_t i = 0; i < trace::kTagCount; ++i) {
    const Account& now = tags_[i];
    if (now.blocks == 0 && most.tags[i].blocks == 0) continue;
    figures.tags.push_back({trace::TagName(static_cast<trace::Tag>(i)), now.blocks, now.asked, now.rounded - now.asked,
                            most.tags[i].rounded});
  }
  return figures;
}

}  // namespace tierlib
