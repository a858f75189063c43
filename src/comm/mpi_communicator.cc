#include "tierlib/comm/mpi_communicator.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"
#include "comm/call.h"
#include "comm/call_message.h"
#include "comm/mpi_channel.h"
#include "comm/reduce.h"

namespace tierlib::comm {
namespace {

constexpr std::uint64_t kGraceNs = 10'000'000'000;  // for an answer, beyond the deadline
constexpr std::uint64_t kPieceElements = 1 << 20;   // of a share, reduced at once: bounds what is received

const std::byte* At(const void* base, std::uint64_t bytes) { return static_cast<const std::byte*>(base) + bytes; }
std::byte* At(void* base, std::uint64_t bytes) { return static_cast<std::byte*>(base) + bytes; }

//   I1  on learner 0, incoming_[r] receives from learner r whenever the group is not broken
//   I2  broken_ is set once; nothing but answers to latecomers is sent then
class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator(MPI_Comm communicator, std::uint64_t deadline_ns)
      : channel_(communicator), deadline_ns_(deadline_ns), incoming_(Peers()), call_of_(Peers()), calls_in_(Peers()) {
    if (rank() != 0) return;
    for (int peer = 1; peer < size(); ++peer) Listen(peer);
  }

  ~MpiCommunicator() override {
    (void)Locked([&] {
      Leave("left the group");
      for (std::vector<MpiPending>& one : incoming_) channel_.Cancel(one);
      return OkStatus();
    });
  }

  int rank() const override { return channel_.rank(); }
  int size() const override { return channel_.size(); }

  using Communicator::AllGather;
  Status AllGather(const void* part, const std::vector<std::uint64_t>& bytes_by_rank, void* whole,
                   std::uint64_t tag) override {
    return Run([&]() -> Status {
      TIERLIB_RETURN_IF_ERROR(Meet({.name = "all_gather",
                                    .by_rank = &bytes_by_rank,
                                    .count = SumOf(bytes_by_rank),
                                    .tag = tag,
                                    .refusal = CheckShares("all_gather", bytes_by_rank, size())}));
      Spread(part, bytes_by_rank, whole);
      return OkStatus();
    });
  }

  Status AllReduce(const void* in, void* out, std::uint64_t count, DType dtype, Reduction reduction) override {
    return Run([&]() -> Status {
      TIERLIB_RETURN_IF_ERROR(Meet({.name = "all_reduce",
                                    .count = count,
                                    .dtype = dtype,
                                    .reduction = reduction,
                                    .refusal = CheckReducible(dtype)}));
      // As the thread group: each learner reduces a share, then all take the others' shares.
      std::vector<std::uint64_t> shares = EvenShares(count, size());
      const std::uint64_t element = ElementBytes(dtype);
      std::byte* const mine = At(out, Before(shares, rank()) * element);
      ReduceShare(in, shares, dtype, reduction, mine);
      for (std::uint64_t& share : shares) share *= element;
      Spread(mine, shares, out);
      return OkStatus();
    });
  }

  Status ReduceScatter(const void* whole, const std::vector<std::uint64_t>& counts_by_rank, DType dtype,
                       Reduction reduction, void* part) override {
    return Run([&]() -> Status {
      const Status refusal = CheckReducible(dtype);
      TIERLIB_RETURN_IF_ERROR(
          Meet({.name = "reduce_scatter",
                .by_rank = &counts_by_rank,
                .count = SumOf(counts_by_rank),
                .dtype = dtype,
                .reduction = reduction,
                .refusal = refusal.ok() ? CheckShares("reduce_scatter", counts_by_rank, size()) : refusal}));
      ReduceShare(whole, counts_by_rank, dtype, reduction, part);
      return OkStatus();
    });
  }

  Status Broadcast(void* data, std::uint64_t bytes, int root) override {
    return Run([&]() -> Status {
      TIERLIB_RETURN_IF_ERROR(
          Meet({.name = "broadcast", .count = bytes, .root = root, .refusal = CheckRoot(root, size())}));
      std::vector<MpiPending> pending;
      for (int peer = 0; rank() == root && peer < size(); ++peer) {
        if (peer != root) channel_.BeginSend(peer, MpiTag::kData, data, bytes, pending);
      }
      if (rank() != root) channel_.BeginReceive(root, MpiTag::kData, data, bytes, pending);
      Finish(pending);
      return OkStatus();
    });
  }

  Status Barrier() override {
    return Run([&] { return Meet({.name = "barrier"}); });
  }

  void Abort(std::string_view why) override {
    if (!IsThreadForMpi()) channel_.Die("gave up on a thread that MPI was not started for: " + std::string(why));
    (void)Locked([&] {
      Leave("gave up: " + std::string(why));
      return OkStatus();
    });
  }

 private:
  std::size_t Peers() const { return static_cast<std::size_t>(channel_.size()); }
  std::string Number() const { return "collective " + std::to_string(number_); }

  // A collective: all of it that uses MPI.
  template <typename Body>
  Status Run(const Body& body) {
    if (!IsThreadForMpi()) {
      return FailedPreconditionError(
          "MPI was started for one thread: for collectives on another take MPI_Init_thread with MPI_THREAD_SERIALIZED");
    }
    return Locked(body);
  }

  // Ends the job where memory is missing: others may have this learner's call already, and no message can be made.
  template <typename Body>
  Status Locked(const Body& body) {
    MutexLock lock(mutex_);
    try {
      return body();
    } catch (const std::bad_alloc&) {
      channel_.Die("lacks memory");  // short enough to need none
    }
  }

  static bool IsThreadForMpi() {
    int provided = MPI_THREAD_SINGLE, is_main = 0;
    MPI_Query_thread(&provided);
    MPI_Is_thread_main(&is_main);
    return provided >= MPI_THREAD_SERIALIZED || is_main != 0;
  }

  void Listen(int peer) {
    std::vector<std::byte>& call = calls_in_[static_cast<std::size_t>(peer)];
    call.resize(CallMessageBytes(size()));
    channel_.BeginReceive(peer, MpiTag::kCall, call.data(), call.size(), incoming_[static_cast<std::size_t>(peer)]);
  }

  // Returns OK on every learner once all have come with calls that agree; the refusal where all refuse alike; otherwise
  // the status that broke the group.
  Status Meet(const Call& call) {
    if (!broken_.ok()) return broken_;
    const std::string name = Number() + " (" + call.ToString() + ")";
    Status status;
    if (!left_.empty()) {
      status = UnavailableError(name + ": learner " + std::to_string(rank()) + " " + left_);
    } else {
      status = rank() == 0 ? Decide(call, name) : Ask(call, name);
    }
    if (!status.ok()) broken_ = status;
    doing_ = name;
    ++number_;
    return status.ok() ? call.refusal : status;
  }

  // Learner 0.
  Status Decide(const Call& call, const std::string& name) {
    const Status verdict = Gathered(call, name);
    for (int peer = 1; peer < size() && verdict.ok(); ++peer) Listen(peer);
    Answer(verdict);
    return verdict;
  }

  void Answer(const Status& verdict) {
    for (int peer = 1; peer < size(); ++peer) channel_.Post(peer, MpiTag::kVerdict, EncodeVerdict(verdict));
  }

  // Waits for the others' calls.
  Status Gathered(const Call& call, const std::string& name) {
    const std::int64_t deadline_ns = DeadlineIn(deadline_ns_);
    std::vector<char> came(Peers(), 0);
    std::vector<Call> calls(Peers(), call);
    came[0] = 1;
    std::size_t arrived = 1;
    const std::string within = " did not come within " + std::to_string(deadline_ns_ / 1'000'000) + " ms";
    Backoff backoff;
    for (;;) {
      for (std::size_t peer = 1; peer < Peers(); ++peer) {
        if (came[peer] != 0 || !channel_.Done(incoming_[peer].front())) continue;
        incoming_[peer].clear();
        came[peer] = 1;
        ++arrived;
        call_of_[peer] = HeardCall(calls_in_[peer]);
        calls[peer] = call_of_[peer].call();
        if (const std::string left = call_of_[peer].left(); !left.empty()) {
          return UnavailableError(name + ": learner " + std::to_string(peer) + " " + left);
        }
      }
      const bool late = SomebodyIsImpatient() || (arrived < Peers() && NowNs() >= deadline_ns);
      if (late) {
        return Status(StatusCode::kDeadlineExceeded,
                      name + ": " + (arrived == Peers() ? "learner 0" : MissingOf(came)) + within);
      }
      if (arrived == Peers()) return DisagreementOf(calls);
      backoff.Wait();
    }
  }

  // True where another learner waited for this collective up to its deadline. What is said of an earlier one is stale.
  bool SomebodyIsImpatient() {
    while (channel_.Waits(MPI_ANY_SOURCE, MpiTag::kImpatience)) {
      std::uint64_t number = 0;
      std::vector<MpiPending> pending;
      channel_.BeginReceive(MPI_ANY_SOURCE, MpiTag::kImpatience, &number, sizeof number, pending);
      Finish(pending);
      if (number == number_) return true;
    }
    return false;
  }

  // The others. Learner 0 decides even when it is late: so nobody is told anything else than the rest.
  Status Ask(const Call& call, const std::string& name) {
    channel_.Post(0, MpiTag::kCall, EncodeCall(call, "", size()));
    VerdictMessage verdict;
    std::vector<MpiPending> pending;
    channel_.BeginReceive(0, MpiTag::kVerdict, &verdict, sizeof verdict, pending);
    const std::int64_t deadline_ns = DeadlineIn(deadline_ns_);
    const std::int64_t end_ns = DeadlineIn(2 * deadline_ns_ + kGraceNs);
    bool impatient = false;
    Backoff backoff;
    while (!channel_.Done(pending.front())) {
      const std::int64_t now_ns = NowNs();
      if (now_ns >= end_ns) {
        channel_.Die(name + ": learner 0 did not come within " +
                     std::to_string((2 * deadline_ns_ + kGraceNs) / 1'000'000) + " ms");
      }
      if (now_ns >= deadline_ns && !impatient) {
        const auto* const number = reinterpret_cast<const std::byte*>(&number_);
        channel_.Post(0, MpiTag::kImpatience, {number, number + sizeof number_});
        impatient = true;
      }
      backoff.Wait();
    }
    return StatusOf(verdict);
  }

  void Leave(const std::string& why) {
    if (!left_.empty() || !broken_.ok()) return;
    left_ = why;
    if (rank() == 0) {
      Answer(UnavailableError(Number() + ": learner 0 " + why));
    } else {
      channel_.Post(0, MpiTag::kCall, EncodeCall({}, why, size()));
    }
  }

  void Finish(std::vector<MpiPending>& pending) {
    channel_.Finish(pending, DeadlineIn(deadline_ns_ + kGraceNs), doing_);
  }

  // This learner's part to all, and all others' parts to their places in `whole`.
  void Spread(const void* part, const std::vector<std::uint64_t>& bytes, void* whole) {
    std::vector<MpiPending> pending;
    std::uint64_t offset = 0;
    for (int peer = 0; peer < size(); ++peer) {
      const std::uint64_t theirs = bytes[static_cast<std::size_t>(peer)];
      if (peer != rank()) channel_.BeginReceive(peer, MpiTag::kData, At(whole, offset), theirs, pending);
      if (peer == rank() && theirs > 0 && At(whole, offset) != part) std::memcpy(At(whole, offset), part, theirs);
      offset += theirs;
    }
    const std::uint64_t mine = bytes[static_cast<std::size_t>(rank())];
    for (int peer = 0; peer < size(); ++peer) {
      if (peer != rank()) channel_.BeginSend(peer, MpiTag::kData, part, mine, pending);
    }
    Finish(pending);
  }

  // `out` gets this learner's share of `in`, reduced over all in the order of ranks. `out` may be that share of `in`:
  // nothing of it is sent.
  void ReduceShare(const void* in, const std::vector<std::uint64_t>& shares, DType dtype, Reduction reduction,
                   void* out) {
    const std::uint64_t element = ElementBytes(dtype);
    const std::uint64_t largest = *std::max_element(shares.begin(), shares.end());
    const auto self = static_cast<std::size_t>(rank());
    for (std::uint64_t offset = 0; offset < largest; offset += kPieceElements) {
      const auto piece = [&](std::size_t of) {
        return std::min(kPieceElements, shares[of] - std::min(shares[of], offset));
      };
      std::vector<std::vector<std::byte>> received(Peers());
      std::vector<const void*> inputs(Peers());
      std::vector<MpiPending> pending;
      for (std::size_t peer = 0; peer < Peers(); ++peer) {
        const void* const from = At(in, (Before(shares, static_cast<int>(peer)) + offset) * element);
        if (peer == self) {
          inputs[peer] = from;
          continue;
        }
        received[peer].resize(piece(self) * element);
        inputs[peer] = received[peer].data();
        channel_.BeginReceive(static_cast<int>(peer), MpiTag::kData, received[peer].data(), received[peer].size(),
                              pending);
        channel_.BeginSend(static_cast<int>(peer), MpiTag::kData, from, piece(peer) * element, pending);
      }
      Finish(pending);
      if (piece(self) > 0) ReduceInOrder(inputs, 0, piece(self), dtype, reduction, At(out, offset * element));
    }
  }

  Mutex mutex_;  // held by each call, for all that follows
  MpiChannel channel_;
  const std::uint64_t deadline_ns_;
  std::uint64_t number_ = 0;  // of the next collective
  std::string doing_;         // the one that all have come to
  std::string left_;          // why; "": it is still there
  Status broken_;
  // Of learner 0, by rank.
  std::vector<std::vector<MpiPending>> incoming_;
  std::vector<HeardCall> call_of_;  // the last one
  std::vector<std::vector<std::byte>> calls_in_;
};

}  // namespace

StatusOr<std::unique_ptr<Communicator>> MakeMpiCommunicator(const MpiOptions& options) {
  int started = 0, size = 0, rank = 0;
  MPI_Initialized(&started);
  if (started == 0) return FailedPreconditionError("MPI was not started: MPI_Init comes first");
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (options.learners < 0 || options.learners > size) {
    return InvalidArgumentError("a group of " + std::to_string(options.learners) + " learners of " +
                                std::to_string(size) + " processes");
  }
  const bool in = options.learners == 0 || rank < options.learners;
  MPI_Comm communicator = MPI_COMM_NULL;
  if (MPI_Comm_split(MPI_COMM_WORLD, in ? 0 : MPI_UNDEFINED, rank, &communicator) != MPI_SUCCESS) {
    return UnavailableError("MPI made no communicator for the group");
  }
  if (!in) return std::unique_ptr<Communicator>();
  return std::unique_ptr<Communicator>(std::make_unique<MpiCommunicator>(communicator, options.deadline_ns));
}

}  // namespace tierlib::comm
