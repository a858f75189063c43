#include "tierlib/comm/thread_group.h"

#include <cstddef>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "comm/meeting.h"
#include "comm/reduce.h"

namespace tierlib::comm {
namespace {

void CopyBytes(void* to, const void* from, std::uint64_t bytes) {
  if (bytes > 0 && to != from) std::memcpy(to, from, bytes);
}

void* At(void* base, std::uint64_t bytes) { return static_cast<std::byte*>(base) + bytes; }

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Meeting> meeting, int rank)
      : meeting_(std::move(meeting)), rank_(rank), inputs_(static_cast<std::size_t>(meeting_->size())) {}
  ~ThreadCommunicator() override { meeting_->Leave(rank_, "left the group"); }

  int rank() const override { return rank_; }
  int size() const override { return meeting_->size(); }

  using Communicator::AllGather;
  Status AllGather(const void* part, const std::vector<std::uint64_t>& bytes_by_rank, void* whole,
                   std::uint64_t tag) override {
    TIERLIB_RETURN_IF_ERROR(Meet([&] {
      return Call{.name = "all_gather",
                  .by_rank = &bytes_by_rank,
                  .count = SumOf(bytes_by_rank),
                  .tag = tag,
                  .in = part,
                  .out = whole,
                  .refusal = CheckShares("all_gather", bytes_by_rank, size())};
    }));
    std::uint64_t offset = 0;
    for (int rank = 0; rank < size(); ++rank) {
      const std::uint64_t bytes = bytes_by_rank[static_cast<std::size_t>(rank)];
      CopyBytes(At(whole, offset), meeting_->call(rank).in, bytes);
      offset += bytes;
    }
    meeting_->Part();
    return OkStatus();
  }

  Status AllReduce(const void* in, void* out, std::uint64_t count, DType dtype, Reduction reduction) override {
    std::vector<std::uint64_t> shares;
    TIERLIB_RETURN_IF_ERROR(Meet([&] {
      shares = EvenShares(count, size());
      return Call{.name = "all_reduce",
                  .count = count,
                  .dtype = dtype,
                  .reduction = reduction,
                  .in = in,
                  .out = out,
                  .refusal = CheckReducible(dtype)};
    }));
    // Each learner reduces a share, then all take the others' shares. In place that works as nobody writes to a share
    // of its memory that somebody else reads at that time.
    const std::uint64_t element = ElementBytes(dtype);
    const std::uint64_t first = Before(shares, rank_);
    ReduceInOrder(Inputs(), first, shares[static_cast<std::size_t>(rank_)], dtype, reduction, At(out, first * element));
    meeting_->Regroup();
    std::uint64_t offset = 0;
    for (int rank = 0; rank < size(); ++rank) {
      const std::uint64_t bytes = shares[static_cast<std::size_t>(rank)] * element;
      CopyBytes(At(out, offset), At(meeting_->call(rank).out, offset), bytes);
      offset += bytes;
    }
    meeting_->Part();
    return OkStatus();
  }

  Status ReduceScatter(const void* whole, const std::vector<std::uint64_t>& counts_by_rank, DType dtype,
                       Reduction reduction, void* part) override {
    TIERLIB_RETURN_IF_ERROR(Meet([&] {
      const Status refusal = CheckReducible(dtype);
      return Call{.name = "reduce_scatter",
                  .by_rank = &counts_by_rank,
                  .count = SumOf(counts_by_rank),
                  .dtype = dtype,
                  .reduction = reduction,
                  .in = whole,
                  .out = part,
                  .refusal = refusal.ok() ? CheckShares("reduce_scatter", counts_by_rank, size()) : refusal};
    }));
    ReduceInOrder(Inputs(), Before(counts_by_rank, rank_), counts_by_rank[static_cast<std::size_t>(rank_)], dtype,
                  reduction, part);
    meeting_->Part();
    return OkStatus();
  }

  Status Broadcast(void* data, std::uint64_t bytes, int root) override {
    TIERLIB_RETURN_IF_ERROR(Meet([&] {
      return Call{.name = "broadcast",
                  .count = bytes,
                  .root = root,
                  .in = data,
                  .out = data,
                  .refusal = CheckRoot(root, size())};
    }));
    CopyBytes(data, meeting_->call(root).in, bytes);
    meeting_->Part();
    return OkStatus();
  }

  Status Barrier() override {
    TIERLIB_RETURN_IF_ERROR(Meet([] { return Call{.name = "barrier"}; }));
    meeting_->Part();
    return OkStatus();
  }

  void Abort(std::string_view why) override {
    try {
      meeting_->Leave(rank_, "gave up: " + std::string(why));
    } catch (const std::bad_alloc&) {
      meeting_->Leave(rank_, "gave up");  // short enough to need no memory
    }
  }

 private:
  // Meets for the call that `prepare` returns: all that may need memory is done in that. A learner that has none does
  // not come any more: with the others it would be waited for in vain. OK: work on the call, then Part.
  template <typename Prepare>
  Status Meet(const Prepare& prepare) {
    Call call;
    try {
      call = prepare();
    } catch (const std::bad_alloc&) {
      meeting_->Leave(rank_, "lacks memory");
      return ResourceExhaustedError("learner lacks memory for a collective: it has left the group");
    }
    const Status refusal = call.refusal;
    TIERLIB_RETURN_IF_ERROR(meeting_->Meet(rank_, std::move(call)));
    if (!refusal.ok()) meeting_->Part();  // all of them refuse it
    return refusal;
  }

  // What the learners that met brought.
  const std::vector<const void*>& Inputs() {
    for (int rank = 0; rank < size(); ++rank) inputs_[static_cast<std::size_t>(rank)] = meeting_->call(rank).in;
    return inputs_;
  }

  std::shared_ptr<Meeting> meeting_;
  const int rank_;
  std::vector<const void*> inputs_;  // [size()]; made early, as nothing allocates between Meet and Part
};

}  // namespace

StatusOr<std::vector<std::unique_ptr<Communicator>>> MakeThreadGroup(int learners, const ThreadGroupOptions& options) {
  if (learners < 1) {
    return InvalidArgumentError("a group of " + std::to_string(learners) + " learners: it takes one at least");
  }
  const auto meeting = std::make_shared<Meeting>(learners, options.deadline_ns);
  std::vector<std::unique_ptr<Communicator>> group;
  for (int rank = 0; rank < learners; ++rank) group.push_back(std::make_unique<ThreadCommunicator>(meeting, rank));
  return group;
}

}  // namespace tierlib::comm
