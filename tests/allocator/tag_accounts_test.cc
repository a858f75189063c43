#include "allocator/tag_accounts.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace tierlib {
namespace {

using trace::Tag;

std::size_t AtPeak(const TagAccounts& accounts, Tag tag) {
  return accounts.peak().tags[static_cast<std::size_t>(tag)].rounded;
}

TEST(TagAccounts, SumUpToTheTotal) {
  TagAccounts accounts;
  accounts.Add(Tag::kActivation, 100, 256);
  accounts.Add(Tag::kActivation, 300, 512);
  accounts.Add(Tag::kGradient, 256, 256);
  accounts.Remove(Tag::kActivation, 100, 256);
  EXPECT_EQ(accounts.tags()[static_cast<std::size_t>(Tag::kActivation)], (TagAccounts::Account{1, 300, 512}));
  EXPECT_EQ(accounts.tags()[static_cast<std::size_t>(Tag::kGradient)], (TagAccounts::Account{1, 256, 256}));
  EXPECT_EQ(accounts.total(), (TagAccounts::Account{2, 556, 768}));
}

TEST(TagAccounts, KeepWhoHeldWhatAtThePeak) {
  TagAccounts accounts;
  EXPECT_EQ(accounts.peak().time_ns, 0);
  const std::int64_t before = NowNs();
  accounts.Add(Tag::kParameter, 1000, 1024);
  accounts.Add(Tag::kActivation, 4000, 4096);
  const std::int64_t after = NowNs();
  accounts.Remove(Tag::kActivation, 4000, 4096);
  accounts.Add(Tag::kGradient, 4000, 4096);  // as much again, but no more: the first one stays
  accounts.Remove(Tag::kGradient, 4000, 4096);
  EXPECT_EQ(accounts.peak().rounded, 5120u);
  EXPECT_EQ(AtPeak(accounts, Tag::kActivation), 4096u);
  EXPECT_EQ(AtPeak(accounts, Tag::kGradient), 0u);
  EXPECT_GE(accounts.peak().time_ns, before);
  EXPECT_LE(accounts.peak().time_ns, after);
}

TEST(TagAccounts, ThePeakMayBeAskedForWhileItRises) {
  TagAccounts accounts;
  accounts.Add(Tag::kParameter, 256, 256);
  EXPECT_EQ(accounts.peak().rounded, 256u);
  accounts.Add(Tag::kReload, 256, 256);
  EXPECT_EQ(accounts.peak().rounded, 512u);
  EXPECT_EQ(AtPeak(accounts, Tag::kReload), 256u);
  accounts.Remove(Tag::kReload, 256, 256);
  EXPECT_EQ(AtPeak(accounts, Tag::kReload), 256u);
}

}  // namespace
}  // namespace tierlib
