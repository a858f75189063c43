// tierlib's BlockPool as programs use it: one pool, a stream for each thread, statistics on. The streams belong to a
// device without bytes, whose events are complete when they are recorded. Blocks that nobody writes have no memory
// behind their addresses; others lie in pageable host memory.
#include "allocator/block_pool.h"

#include <string>
#include <utility>

#include "alloc_bench/backend.h"
#include "allocator/device_factory.h"
#include "base/check.h"

namespace tierlib::bench {
namespace {

constexpr std::uint64_t kUntouchedCapacity = GiB(128);
constexpr std::uint64_t kTouchedCapacity = GiB(8);

class BlockPoolBackend : public Backend {
 public:
  BlockPoolBackend(int threads, bool touched, bool turns) {
    DeviceOptions options;
    options.capacity = MiB(2);
    options.emulated = {.schedule = EmulatedSchedule::kShapeOnly, .kernel_threads = 1};
    device_ = MakeDevice(options).value();
    for (int i = 0; i < threads; ++i) {
      streams_.push_back(device_->CreateStream("thread " + std::to_string(i)).value());
    }
    HostSourceOptions source{
        .tier = Tier::kPageable, .capacity = touched ? kTouchedCapacity : kUntouchedCapacity, .shape_only = !touched};
    pool_ = std::make_unique<BlockPool>(BlockPool::Options{
        .source = MakeHostSource(source).value(), .device = device_.get(), .threads_take_turns = turns});
  }

  void* Allocate(std::size_t bytes, int thread) override {
    const StatusOr<void*> block = pool_->Allocate(bytes, streams_[static_cast<std::size_t>(thread)]);
    TIERLIB_CHECK(block.ok(), "alloc_bench: tierlib's pool is full");
    return *block;
  }
  void Free(void* block, int thread) override { pool_->Free(block, {&streams_[static_cast<std::size_t>(thread)], 1}); }
  // Not what the source has grown to, which is rounded up to its steps: the capacity that would have sufficed.
  std::uint64_t Reserved() const override { return pool_->statistics().extent_peak; }

 private:
  std::unique_ptr<DeviceBackend> device_;
  std::vector<Stream> streams_;
  std::unique_ptr<BlockPool> pool_;  // after the device, so that it goes first
};

}  // namespace

BackendKind BlockPoolKind() {
  return {.name = "tierlib", .counts_reserved = true, .make = [](int threads, bool touched) {
            return std::make_unique<BlockPoolBackend>(threads, touched, /*turns=*/false);
          }};
}

BackendKind TurnsKind() {
  return {.name = "tierlib_turns", .several_threads = true, .make = [](int threads, bool touched) {
            return std::make_unique<BlockPoolBackend>(threads, touched, /*turns=*/true);
          }};
}

}  // namespace tierlib::bench
