// Communicator: one learner's way to the others of a synchronous data-parallel group.
//
// What every learner must keep to: all call the same collectives in the same order, with the same sizes. A learner that
// calls another one than the rest is an error by name on all of them, never a wrong result.
//
// Errors: a collective succeeds on all learners or on none. A learner that does not come in time gives
// DeadlineExceeded, one that left the group Unavailable, calls that differ InvalidArgument; each names the learner and
// the collective. After that the group is broken: every later call of every learner, the late one included, returns the
// same status at once. Nothing waits without bound. A call that cannot be made (a dtype that is not reduced, a root
// that is nobody) fails on all too; it breaks nothing where all refuse it for the same reason.
//
// A learner whose pass failed and that has not made all the calls that the others make must Abort, or leave: were it to
// try again, its calls would meet the others' of an earlier place. Tags show that where all else agrees.
//
// Memory is what the transport can reach: the host's for a group of threads (on an emulated device, device memory from
// within a kernel) and for MPI. Calls block until the result is there; a transport that enqueues (NCCL) waits for its
// stream before it returns, as its own errors come only then.
//
// Thread-safety: one thread at a time per communicator, and Abort on any; those of one group are used at once by
// different threads.
#ifndef TIERLIB_COMM_COMMUNICATOR_H_
#define TIERLIB_COMM_COMMUNICATOR_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "tierlib/dtype.h"
#include "tierlib/status.h"

namespace tierlib::comm {

enum class Reduction : std::uint8_t { kSum, kMin, kMax };  // of floats, a NaN gives NaN

class Communicator {
 public:
  // Leaves the group: whoever waits for this learner, now or later, gets Unavailable.
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;  // 0 <= rank() < size()
  virtual int size() const = 0;

  // The parts of all learners one behind the other, in the order of ranks, in `whole` of every one. `bytes_by_rank` has
  // size() entries, the same everywhere; a part may be empty. `part` may lie at its own place in `whole`. `tag` says
  // what is gathered and is the same everywhere; 0: nothing is said.
  virtual Status AllGather(const void* part, const std::vector<std::uint64_t>& bytes_by_rank, void* whole,
                           std::uint64_t tag) = 0;
  Status AllGather(const void* part, const std::vector<std::uint64_t>& bytes_by_rank, void* whole) {
    return AllGather(part, bytes_by_rank, whole, /*tag=*/0);
  }

  // out[i] = in[i] of rank 0, then of rank 1, ... reduced in that order: the same bits on every learner and in every
  // run. `in` and `out` have `count` elements each and are equal or disjoint. dtype is f32, f64, i32 or i64
  // (InvalidArgument otherwise: a 16-bit sum would be rounded once per learner); integers wrap around.
  virtual Status AllReduce(const void* in, void* out, std::uint64_t count, DType dtype, Reduction reduction) = 0;

  // As AllReduce over `whole`, of which learner r gets its counts_by_rank[r] elements, in the order of ranks. `part` is
  // disjoint from `whole`.
  virtual Status ReduceScatter(const void* whole, const std::vector<std::uint64_t>& counts_by_rank, DType dtype,
                               Reduction reduction, void* part) = 0;

  // `bytes` bytes of `root`'s data in everybody's.
  virtual Status Broadcast(void* data, std::uint64_t bytes, int root) = 0;

  // Returns once all have come.
  virtual Status Barrier() = 0;

  // Tells the others why this learner will not come any more, rather than have them wait for it: the group is broken
  // with `why`'s message, as Unavailable, and this learner's name. A call of this learner's that is under way may end
  // first, or fail with the rest.
  virtual void Abort(std::string_view why) = 0;

  // 1, 2, ...: a tag for what all learners number in the same order.
  std::uint64_t NextTag() { return ++last_tag_; }

 protected:
  Communicator() = default;

 private:
  std::uint64_t last_tag_ = 0;
};

// How many of `count` elements each learner keeps: equal shares, the first `count` mod `learners` one more. Where a
// share begins is the sum of those before it. REQUIRES: learners >= 1.
inline std::vector<std::uint64_t> EvenShares(std::uint64_t count, int learners) {
  const auto parts = static_cast<std::uint64_t>(learners);
  std::vector<std::uint64_t> shares(static_cast<std::size_t>(learners), count / parts);
  for (std::uint64_t i = 0; i < count % parts; ++i) ++shares[i];
  return shares;
}

}  // namespace tierlib::comm

#endif  // TIERLIB_COMM_COMMUNICATOR_H_
