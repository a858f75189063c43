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

}  // namespace tierlib
