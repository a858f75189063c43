// A source that grows ahead: the same addresses and errors as without, and what is ready is really there.
#include "allocator/growth_ahead.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "allocator/block_pool.h"
#include "allocator/fake_device.h"
#include "allocator/fake_topology.h"
#include "base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

using testing::ElementsAre;

// Addresses without memory; the test decides when a call of Grow by another thread than its own may go on.
class SlowSource : public MemorySource {
 public:
  struct Calls {
    std::vector<std::size_t> by_caller;
    std::vector<std::size_t> by_thread;
  };

  explicit SlowSource(std::size_t capacity) : capacity_(capacity) {}
  ~SlowSource() override { *destroyed = true; }
  Tier tier() const override { return Tier::kPinned; }
  std::uint64_t capacity() const override { return capacity_; }
  std::size_t granularity() const override { return 1; }
  std::byte* base() const override { return reinterpret_cast<std::byte*>(std::uintptr_t{1} << 40); }
  std::size_t base_alignment() const override { return std::size_t{1} << 40; }
  std::size_t grown() const override { return grown_; }
  std::size_t locked() const override { return grown_; }
  Status Grow(std::size_t bytes) override {
    std::unique_lock<std::mutex> lock(mutex_);
    const bool caller = std::this_thread::get_id() == caller_;
    (caller ? calls_.by_caller : calls_.by_thread).push_back(bytes);
    arrived_.notify_all();
    if (!caller) go_on_.wait(lock, [this] { return pieces_ > 0; });
    if (!caller) --pieces_;
    if (!fails.ok()) return fails;
    if (bytes > capacity_ - grown_) return Status(StatusCode::kResourceExhausted);
    pieces.push_back(bytes);
    grown_ += bytes;
    return OkStatus();
  }
  StatusOr<std::size_t> Shrink(std::size_t bytes) override {
    std::size_t given_back = 0;
    while (!pieces.empty() && pieces.back() <= bytes - given_back) {
      given_back += pieces.back();
      grown_ -= pieces.back();
      pieces.pop_back();
    }
    return given_back;
  }
  void NoteBlock(void*, std::size_t, bool, Stream) override {}

  // Lets the thread's next `count` calls go on.
  void Let(int count) {
    std::unique_lock<std::mutex> lock(mutex_);
    pieces_ += count;
    go_on_.notify_all();
  }
  // Until the thread made its `count`-th call, which waits for Let.
  void AwaitThread(std::size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    arrived_.wait(lock, [&] { return calls_.by_thread.size() >= count; });
  }
  Calls calls() {
    std::unique_lock<std::mutex> lock(mutex_);
    return calls_;
  }

  Status fails;  // what Grow answers, where not OK; set while the thread waits
  std::vector<std::size_t> pieces;
  std::shared_ptr<bool> destroyed = std::make_shared<bool>(false);

 private:
  const std::thread::id caller_ = std::this_thread::get_id();
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable arrived_, go_on_;
  Calls calls_;
  int pieces_ = 0;
  std::size_t grown_ = 0;
};

struct Ahead {
  explicit Ahead(std::size_t capacity) {
    auto owned = std::make_unique<SlowSource>(capacity);
    below = owned.get();
    source = GrowAhead(std::move(owned), 100);
  }

  SlowSource* below;
  std::unique_ptr<MemorySource> source;
};

TEST(GrowthAhead, GrowTakesWhatTheThreadMadeReady) {
  Ahead ahead(1000);
  EXPECT_THAT(ahead.below->calls().by_thread, ElementsAre()) << "nothing before somebody needs the tier";
  ahead.below->Let(2);
  ASSERT_TRUE(ahead.source->Grow(100).ok());
  EXPECT_THAT(ahead.below->calls().by_caller, ElementsAre(100));
  ahead.below->AwaitThread(1);
  EXPECT_EQ(ahead.source->grown(), 100u) << "what is ready is not part of it";
  EXPECT_LE(ahead.source->locked(), 100u);
  ASSERT_TRUE(ahead.source->Grow(100).ok()) << "waits for the thread where it must";
  EXPECT_THAT(ahead.below->calls().by_caller, ElementsAre(100)) << "the caller did not grow itself";
  EXPECT_EQ(ahead.source->grown(), 200u);
  ahead.below->AwaitThread(2);
}

TEST(GrowthAhead, TheCallerGrowsWhatIsNotReady) {
  Ahead ahead(1000);
  ahead.below->Let(2);
  ASSERT_TRUE(ahead.source->Grow(300).ok());
  ahead.below->AwaitThread(1);
  ASSERT_TRUE(ahead.source->Grow(250).ok());
  EXPECT_THAT(ahead.below->calls().by_caller, ElementsAre(300, 150));
  EXPECT_EQ(ahead.source->grown(), 550u);
  ahead.below->AwaitThread(2);
}

TEST(GrowthAhead, DoesNotWaitForTheThreadForWhatIsThere) {
  Ahead ahead(1000);
  ahead.below->Let(1);
  ASSERT_TRUE(ahead.source->Grow(100).ok());
  ahead.below->AwaitThread(1);
  ASSERT_TRUE(ahead.source->Grow(60).ok());
  ahead.below->AwaitThread(2);  // which hangs until Let
  EXPECT_THAT(ahead.below->calls().by_thread, ElementsAre(100, 60));
  ASSERT_TRUE(ahead.source->Grow(40).ok());
  EXPECT_EQ(ahead.source->grown(), 200u);
  ahead.below->Let(2);
}

TEST(GrowthAhead, StopsAtTheCapacity) {
  Ahead ahead(250);
  ahead.below->Let(9);
  ASSERT_TRUE(ahead.source->Grow(100).ok());
  ahead.below->AwaitThread(1);
  ASSERT_TRUE(ahead.source->Grow(100).ok());
  ahead.below->AwaitThread(2);
  EXPECT_EQ(ahead.source->Grow(51).code(), StatusCode::kResourceExhausted);
  ASSERT_TRUE(ahead.source->Grow(50).ok());
  EXPECT_EQ(ahead.source->grown(), 250u);
  EXPECT_EQ(ahead.source->Grow(1).code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(ahead.below->calls().by_thread, ElementsAre(100, 50));
}

TEST(GrowthAhead, TheGrowThatNeedsTheMemoryFindsTheError) {
  Ahead ahead(1000);
  ASSERT_TRUE(ahead.source->Grow(100).ok());
  ahead.below->AwaitThread(1);
  ahead.below->fails = UnavailableError("the device is lost");
  ahead.below->Let(1);
  EXPECT_EQ(ahead.source->Grow(100), UnavailableError("the device is lost"));
  EXPECT_EQ(ahead.source->grown(), 100u);
  ahead.below->fails = OkStatus();
  ahead.below->Let(1);
  EXPECT_TRUE(ahead.source->Grow(100).ok()) << "an error that is over stands in nobody's way";
  EXPECT_EQ(ahead.source->grown(), 200u);
}

TEST(GrowthAhead, ShrinkGivesBackWhatIsReadyToo) {
  Ahead ahead(1000);
  ahead.below->Let(9);
  ASSERT_TRUE(ahead.source->Grow(100).ok());
  ahead.below->AwaitThread(1);
  EXPECT_EQ(ahead.source->Shrink(0).value(), 0u);
  EXPECT_THAT(ahead.below->pieces, ElementsAre(100)) << "nobody had asked for the second";
  ASSERT_TRUE(ahead.source->Grow(300).ok());
  ahead.below->AwaitThread(2);
  EXPECT_EQ(ahead.source->Shrink(350).value(), 300u);
  EXPECT_THAT(ahead.below->pieces, ElementsAre(100));
  EXPECT_EQ(ahead.source->grown(), 100u);
}

TEST(GrowthAhead, APieceThatIsUsedInPartStays) {
  Ahead ahead(1000);
  ahead.below->Let(9);
  ASSERT_TRUE(ahead.source->Grow(100).ok());
  ahead.below->AwaitThread(1);
  ASSERT_TRUE(ahead.source->Grow(70).ok());
  EXPECT_EQ(ahead.source->Shrink(30).value(), 0u);
  EXPECT_EQ(ahead.source->grown(), 170u);
  ASSERT_TRUE(ahead.source->Grow(30).ok());
  EXPECT_THAT(ahead.below->calls().by_caller, ElementsAre(100)) << "the rest of the piece was still ready";
}

TEST(GrowthAhead, EndsWhileTheThreadGrows) {
  auto ahead = std::make_unique<Ahead>(1000);
  const std::shared_ptr<bool> destroyed = ahead->below->destroyed;
  ASSERT_TRUE(ahead->source->Grow(100).ok());
  ahead->below->AwaitThread(1);
  ahead->below->Let(1);
  ahead.reset();
  EXPECT_TRUE(*destroyed);
}

TEST(GrowthAhead, RefusesSizesThatAreNoMultiple) {
  auto source = GrowAhead(MakeHostSource({.tier = Tier::kPinned, .capacity = MiB(8)}).value(), MiB(2));
  EXPECT_EQ(source->Grow(0).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(source->Grow(100).code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(source->Grow(MiB(2)).ok());
}

// Two pools that are asked the same, one of them growing ahead, hand out the same offsets.
TEST(GrowthAhead, APoolHandsOutTheSameAddressesAsWithout) {
  FakeDevice device;
  FakeTopology machine(2);
  const auto make = [&](bool ahead) {
    auto source = MakeHostSource({.tier = Tier::kPinned,
                                  .capacity = MiB(24),
                                  .numa_node = 1,
                                  .device = ahead ? nullptr : &device,
                                  .topology = &machine})
                      .value();
    BlockPool::Options options;
    options.source = ahead ? GrowAhead(std::move(source), MiB(2)) : std::move(source);
    options.device = &device;
    return std::make_unique<BlockPool>(std::move(options));
  };
  const std::unique_ptr<BlockPool> pools[] = {make(false), make(true)};
  const Stream stream{0, 1};
  std::byte* bases[2];
  for (const int i : {0, 1}) {
    void* const first = pools[i]->Allocate(1, stream).value();
    bases[i] = static_cast<std::byte*>(first);
    pools[i]->Free(first, {stream});
  }
  std::vector<std::pair<void*, void*>> held;
  Random random(3);
  for (int round = 0; round < 3000; ++round) {
    if (random.UniformInt(3) == 0 && !held.empty()) {
      const std::size_t which = random.UniformInt(held.size());
      pools[0]->Free(held[which].first, {stream});
      pools[1]->Free(held[which].second, {stream});
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
    } else if (random.UniformInt(50) == 0) {
      ASSERT_EQ(pools[0]->Trim() > 0, pools[1]->Trim() > 0);
    } else {
      const std::size_t bytes = 1 + random.UniformInt(KiB(512));
      const StatusOr<void*> plain = pools[0]->Allocate(bytes, stream);
      const StatusOr<void*> ahead = pools[1]->Allocate(bytes, stream);
      ASSERT_EQ(plain.status(), ahead.status()) << round;
      if (!plain.ok()) continue;
      ASSERT_EQ(static_cast<std::byte*>(*plain) - bases[0], static_cast<std::byte*>(*ahead) - bases[1]) << round;
      ASSERT_EQ(machine.NodeOf(*ahead), 1);
      held.emplace_back(*plain, *ahead);
    }
    pools[1]->CheckInvariants();
  }
  for (const auto& [plain, ahead] : held) {
    pools[0]->Free(plain, {stream});
    pools[1]->Free(ahead, {stream});
  }
  pools[1]->Trim();
  EXPECT_EQ(pools[1]->statistics().reserved, 0u);
  EXPECT_EQ(pools[1]->statistics().locked, 0u);
}

}  // namespace
}  // namespace tierlib
