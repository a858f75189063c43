// Learners that take turns on few processors, and how long each had worked.
//
// On a machine with fewer processors than learners they would slow each other down, and a learner's time would say how
// many others there are. So one computes at a time. What it waits for its turn and for the others does not count; a
// collective counts by the processor time of the thread that runs it.
#ifndef TIERLIB_BENCH_ABLATION_TURNS_H_
#define TIERLIB_BENCH_ABLATION_TURNS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "tierlib/comm/communicator.h"

namespace tierlib::bench {

class Turns {
 public:
  void Take();
  void Give();

 private:
  Mutex mutex_;
  CondVar free_;
  bool taken_ ABSL_GUARDED_BY(mutex_) = false;
};

// A communicator whose learner gives its turn up for as long as it waits in a collective. Used while it has the turn.
class TurnTaker : public comm::Communicator {
 public:
  TurnTaker(std::unique_ptr<comm::Communicator> inner, Turns& turns) : inner_(std::move(inner)), turns_(turns) {}

  // Wall time spent in collectives so far, and what of it counts as this learner's.
  std::int64_t away_ns() const { return away_ns_.load(); }
  std::int64_t collective_ns() const { return collective_ns_.load(); }

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  using Communicator::AllGather;
  Status AllGather(const void* part, const std::vector<std::uint64_t>& bytes_by_rank, void* whole,
                   std::uint64_t tag) override;
  Status AllReduce(const void* in, void* out, std::uint64_t count, DType dtype, comm::Reduction reduction) override;
  Status ReduceScatter(const void* whole, const std::vector<std::uint64_t>& counts_by_rank, DType dtype,
                       comm::Reduction reduction, void* part) override;
  Status Broadcast(void* data, std::uint64_t bytes, int root) override;
  Status Barrier() override;
  void Abort(std::string_view why) override { inner_->Abort(why); }

 private:
  template <typename Collective>
  Status Away(const Collective& collective);

  std::unique_ptr<comm::Communicator> inner_;
  Turns& turns_;
  std::atomic<std::int64_t> away_ns_{0};
  std::atomic<std::int64_t> collective_ns_{0};
};

}  // namespace tierlib::bench

#endif  // TIERLIB_BENCH_ABLATION_TURNS_H_
