// A program that wants 101-150 % of all the memory there is, for as long as one likes:
//
//   TIERLIB_SOAK_SECONDS=600 soak_test        600 seconds for each policy; 3 where it is not set
//
// Values are made, packed, read again and dropped at random, and how much the program wants at once changes all the
// time. What has no place must be told by a status, or the value stays on the device; every value that was taken comes
// back bit for bit; nothing aborts; and once everything was full for a while the process grows by no more than 1 % (5 %
// in a run of less than a minute).
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "gtest/gtest.h"
#include "runtime/program.h"
#include "runtime/resident_memory.h"

namespace tierlib {
namespace {

double Seconds() {
  const char* text = std::getenv("TIERLIB_SOAK_SECONDS");
  return text != nullptr ? std::max(1.0, std::atof(text)) : 3.0;
}

// Byte i of the value with this number.
std::uint8_t ByteOf(std::uint64_t number, std::uint64_t i) {
  return static_cast<std::uint8_t>((number * 0x9E3779B97F4A7C15u + i * 0xD1B54A32D192ED03u) >> 56);
}

std::uint64_t Median(std::vector<std::uint64_t> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

class Soak {
 public:
  Soak(OffloadPolicy policy, std::uint64_t seed, const std::string& folder)
      : random_(seed), p_(MakeOptions(policy, folder)) {
    const Statistics now = p_.runtime->statistics();
    capacity_ = now.device.capacity + now.pinned.capacity + now.pageable.capacity + now.file.capacity;
  }

  void Run(double seconds) {
    const std::int64_t begin = NowNs();
    const auto length = static_cast<std::int64_t>(seconds * 1e9);
    samples_.reserve(kSamples + 1);  // what the test itself keeps does not grow
    for (std::int64_t now = begin; now - begin < length; now = NowNs()) {
      p_.runtime->BeginStep(step_);
      percent_ = 101 + random_.UniformInt(50);
      for (int i = 0; i < 40; ++i) Act();
      CheckReads();
      p_.runtime->EndStep();
      if (++step_ % 16 == 0) CheckBooks();
      if (now - begin >= length / kSamples * static_cast<std::int64_t>(samples_.size())) {
        samples_.push_back({now - begin, ResidentBytes()});
      }
      if (step_ % 64 == 0) GiveSomeBack();
      if (testing::Test::HasFatalFailure()) return;
    }
    Finish();
    Report(length);
  }

 private:
  static constexpr std::int64_t kSamples = 1000;

  struct Value {
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
    Saved saved;  // invalid: there was no place for it; the program wants it all the same
  };

  static Options MakeOptions(OffloadPolicy policy, const std::string& folder) {
    Options options;
    options.devices[0].capacity = MiB(32);
    options.devices[0].emulated.kernel_threads = 1;
    options.devices[0].emulated.poison = true;
    options.pinned_limit = MiB(16);
    options.pageable_limit = MiB(8);
    options.file_directory = folder;
    options.file_limit = MiB(8);
    options.policy = policy;
    return options;
  }

  void Act() {
    while (wanted_ * 100 < capacity_ * percent_) MakeOne();
    switch (random_.UniformInt(4)) {
      case 0: return ReadOne();
      case 1: leases_.clear(); return;
      default: return DropOne();
    }
  }

  // What goes has to come again.
  void GiveSomeBack() {
    leases_.clear();
    while (wanted_ * 100 > capacity_ * 30) DropOne();
    for (int i = 0; i < 2; ++i) {
      const Tier tier = static_cast<Tier>(random_.UniformInt(kTierCount));
      trimmed_ += p_.runtime->Trim(tier, random_.UniformInt(MiB(16))).value();
    }
  }

  std::uint64_t AnySize() {
    const std::uint64_t most = std::uint64_t{1} << (8 + random_.UniformInt(14));  // to 2 MiB
    return 1 + random_.UniformInt(most);
  }

  void MakeOne() {
    Value value;
    value.number = next_++;
    value.bytes = AnySize();
    wanted_ += value.bytes;
    ++made_;
    const StatusOr<Allocation> made = p_.runtime->Allocate(value.bytes, Holds::kTransient, p_.compute(), "value");
    if (made.ok()) {
      auto* to = static_cast<std::uint8_t*>(made->data);
      p_.Launch(p_.compute(), {{to, value.bytes, true}}, [to, number = value.number, bytes = value.bytes] {
        for (std::uint64_t i = 0; i < bytes; ++i) to[i] = ByteOf(number, i);
      });
      const StatusOr<Saved> saved =
          p_.runtime->Pack({made->storage, WholeOf(value.bytes)}, nullptr, p_.compute(), "value");
      EXPECT_TRUE(saved.ok()) << saved.status();  // where the host is full it stays on the device
      if (saved.ok()) value.saved = *saved;
      EXPECT_TRUE(p_.runtime->Retire(made->storage, p_.compute()).ok());
    } else {
      EXPECT_EQ(made.status().code(), StatusCode::kResourceExhausted) << made.status();
      ++refused_;
    }
    values_.push_back(std::move(value));
  }

  void ReadOne() {
    const Value& value = values_[random_.UniformInt(values_.size())];
    if (!value.saved.valid()) return;
    const StatusOr<Loaded> loaded = p_.runtime->Unpack(value.saved, p_.compute());
    if (!loaded.ok()) {
      EXPECT_EQ(loaded.status().code(), StatusCode::kResourceExhausted) << loaded.status();
      ++not_loaded_;
      leases_.clear();
      return;
    }
    const auto* from = static_cast<const std::uint8_t*>(loaded->origin());
    ++reads_;
    p_.Launch(p_.compute(), {{from, value.bytes, false}}, [this, from, number = value.number, bytes = value.bytes] {
      for (std::uint64_t i = 0; i < bytes; ++i) {
        if (from[i] != ByteOf(number, i)) {
          ++wrong_;
          return;
        }
      }
    });
    leases_.push_back(*loaded);
    if (leases_.size() > 4) leases_.erase(leases_.begin());
  }

  void DropOne() {
    const std::size_t index = random_.UniformInt(values_.size());
    wanted_ -= values_[index].bytes;
    std::swap(values_[index], values_.back());
    values_.pop_back();
  }

  void CheckReads() {
    ASSERT_TRUE(p_.runtime->Synchronize(p_.compute()).ok());
    ASSERT_EQ(wrong_.load(), 0u) << "a value came back with other bytes, in step " << step_;
  }

  void CheckBooks() {
    const Statistics now = p_.runtime->statistics();
    for (const TierStatistics* tier : {&now.device, &now.pinned, &now.pageable, &now.file}) {
      ASSERT_EQ(tier->live + tier->waste + tier->cached + tier->pending, tier->reserved);
      ASSERT_LE(tier->reserved, tier->capacity);
    }
    ExpectBookedOnce(now.total);
    ASSERT_TRUE(p_.runtime->health().ok()) << p_.runtime->health();
  }

  void Finish() {
    leases_.clear();
    for (const Value& value : values_) {  // all that is left, once
      if (!value.saved.valid()) continue;
      const StatusOr<Loaded> loaded = p_.runtime->Unpack(value.saved, p_.compute());
      if (!loaded.ok()) continue;
      ASSERT_EQ(p_.Read(*loaded, p_.compute())[value.bytes / 2], ByteOf(value.number, value.bytes / 2));
    }
    values_.clear();
    ASSERT_TRUE(p_.runtime->Drain().ok());
    const Statistics now = p_.runtime->statistics();
    EXPECT_EQ(now.device.live + now.pinned.live + now.pageable.live + now.file.live, 0u);
    EXPECT_GT(reads_, 0u);
    EXPECT_GT(refused_ + now.total.kept, 0u) << "or there was no shortage";
    EXPECT_GT(now.fallbacks.to_pageable, 0u);
    EXPECT_GT(now.fallbacks.to_file, 0u);
    EXPECT_GT(now.fallbacks.refused, 0u);
    fallbacks_ = now.fallbacks;
  }

  // The median of what was resident in the second quarter of the time against that of the last one.
  void Report(std::int64_t length) {
    if (kSanitized) return;  // a sanitizer keeps what is freed for a while, and has time for a few steps alone
    std::vector<std::uint64_t> early;
    std::vector<std::uint64_t> late;
    for (const auto& [time, resident] : samples_) {
      if (time >= length / 4 && time < length / 2) early.push_back(resident);
      if (time >= length / 4 * 3) late.push_back(resident);
    }
    ASSERT_FALSE(early.empty() || late.empty());
    const auto before = static_cast<double>(Median(early));
    const auto after = static_cast<double>(Median(late));
    const double drift = 100 * (after - before) / before;
    std::printf(
        "soak: %llu steps, %llu values made, %llu refused with a status, %llu reads (%llu had no room), trimmed %s\n"
        "      beside pinned memory: %llu to pageable, %llu to the file, %llu nowhere; resident %s, drift %+.3f %%\n",
        static_cast<unsigned long long>(step_), static_cast<unsigned long long>(made_),
        static_cast<unsigned long long>(refused_), static_cast<unsigned long long>(reads_),
        static_cast<unsigned long long>(not_loaded_), FormatBytes(trimmed_).c_str(),
        static_cast<unsigned long long>(fallbacks_.to_pageable), static_cast<unsigned long long>(fallbacks_.to_file),
        static_cast<unsigned long long>(fallbacks_.refused), FormatBytes(static_cast<std::uint64_t>(after)).c_str(),
        drift);
    EXPECT_LE(drift, length >= 60'000'000'000 ? 1.0 : 5.0) << "a short run is all warm-up";
  }

  Random random_;
  std::atomic<std::uint64_t> wrong_{0};
  Program p_;
  std::uint64_t capacity_ = 0;  // of all tiers
  std::uint64_t percent_ = 100;
  std::uint64_t wanted_ = 0;  // bytes of the values that the program wants to hold
  std::uint64_t next_ = 1;
  std::uint64_t step_ = 0;
  std::uint64_t made_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t reads_ = 0;
  std::uint64_t not_loaded_ = 0;
  std::uint64_t trimmed_ = 0;
  HostFallbacks fallbacks_;
  std::vector<Value> values_;
  std::vector<Loaded> leases_;
  std::vector<std::pair<std::int64_t, std::uint64_t>> samples_;  // time and resident bytes
};

class SoakTest : public testing::TestWithParam<OffloadPolicy> {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "soak_test." + std::to_string(getpid());
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_P(SoakTest, MoreThanThereIsRoomForIsNeitherTheEndNorGrowth) {
  Soak(GetParam(), 42, folder_).Run(Seconds());
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

INSTANTIATE_TEST_SUITE_P(Policies, SoakTest, testing::Values(OffloadPolicy::kAll, OffloadPolicy::kFit),
                         [](const auto& each) { return each.param == OffloadPolicy::kAll ? "All" : "Fit"; });

}  // namespace
}  // namespace tierlib
