#include "ablation/turns.h"

#include <ctime>

#include "base/clock.h"

namespace tierlib::bench {
namespace {

std::int64_t ThreadNs() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

void Turns::Take() {
  MutexLock lock(mutex_);
  while (taken_) free_.Wait(mutex_);
  taken_ = true;
}

void Turns::Give() {
  MutexLock lock(mutex_);
  taken_ = false;
  free_.NotifyOne();
}

template <typename Collective>
Status TurnTaker::Away(const Collective& collective) {
  const std::int64_t begin_ns = NowNs();
  turns_.Give();
  const std::int64_t worked_ns = ThreadNs();
  const Status status = collective();
  collective_ns_ += ThreadNs() - worked_ns;
  turns_.Take();
  away_ns_ += NowNs() - begin_ns;
  return status;
}

Status TurnTaker::AllGather(const void* part, const std::vector<std::uint64_t>& bytes_by_rank, void* whole,
                            std::uint64_t tag) {
  return Away([&] { return inner_->AllGather(part, bytes_by_rank, whole, tag); });
}
Status TurnTaker::AllReduce(const void* in, void* out, std::uint64_t count, DType dtype, comm::Reduction reduction) {
  return Away([&] { return inner_->AllReduce(in, out, count, dtype, reduction); });
}
Status TurnTaker::ReduceScatter(const void* whole, const std::vector<std::uint64_t>& counts_by_rank, DType dtype,
                                comm::Reduction reduction, void* part) {
  return Away([&] { return inner_->ReduceScatter(whole, counts_by_rank, dtype, reduction, part); });
}
Status TurnTaker::Broadcast(void* data, std::uint64_t bytes, int root) {
  return Away([&] { return inner_->Broadcast(data, bytes, root); });
}
Status TurnTaker::Barrier() {
  return Away([&] { return inner_->Barrier(); });
}

}  // namespace tierlib::bench
