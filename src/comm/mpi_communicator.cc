#include "comm/mpi_communicator.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/clock.h"
#include "comm/call.h"
#include "comm/mpi_channel.h"
#include "comm/reduce.h"

namespace tierlib::comm {
namespace {

constexpr std::uint64_t kGraceNs = 10'000'000'000;  // for an answer, beyond the deadline
constexpr std::uint64_t kPieceElements = 1 << 20;   // of a share, reduced at once: bounds what is received

// What a learner tells learner 0; size() shares follow.
struct CallMessage {
  std::uint64_t count = 0;
  std::uint64_t tag = 0;
  std::int32_t dtype = 0;
  std::int32_t reduction = 0;
  std::int32_t root = 0;
  std::int32_t has_shares = 0;
  char name[24] = "";
  char left[512] = "";  // why it does not come any more; "": it has come
};

// What learner 0 answers.
struct VerdictMessage {
  std::int32_t code = 0;
  char text[1024] = "";
};

template <std::size_t kSize>
void CopyText(std::string_view from, char (&to)[kSize]) {
  const std::size_t length = std::min(from.size(), kSize - 1);
  if (length > 0) std::memcpy(to, from.data(), length);  // an empty text may have no data
  to[length] = '\0';
}

template <typename T>
std::vector<std::byte> BytesOf(const T& message) {
  std::vector<std::byte> bytes(sizeof message);
  std::memcpy(bytes.data(), &message, sizeof message);
  return bytes;
}

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
    Leave("left the group");
    for (std::vector<MpiPending>& one : incoming_) channel_.Cancel(one);
  }

  int rank() const override { return channel_.rank(); }
  int size() const override { return channel_.size(); }

  using Communicator::AllGather;
  Status AllGather(const void* part, const std::vector<std::uint64_t>& bytes_by_rank, void* whole,
                   std::uint64_t tag) override {
    TIERLIB_RETURN_IF_ERROR(CheckShares("all_gather", bytes_by_rank, size()));
    TIERLIB_RETURN_IF_ERROR(
        Meet({.name = "all_gather", .by_rank = &bytes_by_rank, .count = SumOf(bytes_by_rank), .tag = tag}));
    Spread(part, bytes_by_rank, whole);
    return OkStatus();
  }

  Status AllReduce(const void* in, void* out, std::uint64_t count, DType dtype, Reduction reduction) override {
    TIERLIB_RETURN_IF_ERROR(CheckReducible(dtype));
    TIERLIB_RETURN_IF_ERROR(Meet({.name = "all_reduce", .count = count, .dtype = dtype, .reduction = reduction}));
    // As the thread group: each learner reduces a share, then all take the others' shares.
    std::vector<std::uint64_t> shares = EvenShares(count, size());
    const std::uint64_t element = ElementBytes(dtype);
    std::byte* const mine = At(out, Before(shares, rank()) * element);
    ReduceShare(in, shares, dtype, reduction, mine);
    for (std::uint64_t& share : shares) share *= element;
    Spread(mine, shares, out);
    return OkStatus();
  }

  Status ReduceScatter(const void* whole, const std::vector<std::uint64_t>& counts_by_rank, DType dtype,
                       Reduction reduction, void* part) override {
    TIERLIB_RETURN_IF_ERROR(CheckReducible(dtype));
    TIERLIB_RETURN_IF_ERROR(CheckShares("reduce_scatter", counts_by_rank, size()));
    TIERLIB_RETURN_IF_ERROR(Meet({.name = "reduce_scatter",
                                  .by_rank = &counts_by_rank,
                                  .count = SumOf(counts_by_rank),
                                  .dtype = dtype,
                                  .reduction = reduction}));
    ReduceShare(whole, counts_by_rank, dtype, reduction, part);
    return OkStatus();
  }

  Status Broadcast(void* data, std::uint64_t bytes, int root) override {
    TIERLIB_RETURN_IF_ERROR(CheckRoot(root, size()));
    TIERLIB_RETURN_IF_ERROR(Meet({.name = "broadcast", .count = bytes, .root = root}));
    std::vector<MpiPending> pending;
    for (int peer = 0; rank() == root && peer < size(); ++peer) {
      if (peer != root) channel_.BeginSend(peer, MpiTag::kData, data, bytes, pending);
    }
    if (rank() != root) channel_.BeginReceive(root, MpiTag::kData, data, bytes, pending);
    Finish(pending);
    return OkStatus();
  }

  Status Barrier() override { return Meet({.name = "barrier"}); }

  void Abort(std::string_view why) override { Leave("gave up: " + std::string(why)); }

 private:
  std::size_t Peers() const { return static_cast<std::size_t>(channel_.size()); }
  std::size_t CallBytes() const { return sizeof(CallMessage) + Peers() * sizeof(std::uint64_t); }
  std::string Number() const { return "collective " + std::to_string(number_); }

  void Listen(int peer) {
    const auto at = static_cast<std::size_t>(peer);
    calls_in_[at].resize(CallBytes());
    channel_.BeginReceive(peer, MpiTag::kCall, calls_in_[at].data(), CallBytes(), incoming_[at]);
  }

  std::vector<std::byte> MessageOf(const Call& call, const std::string& left) const {
    CallMessage message;
    message.count = call.count;
    message.tag = call.tag;
    message.dtype = static_cast<std::int32_t>(call.dtype);
    message.reduction = static_cast<std::int32_t>(call.reduction);
    message.root = call.root;
    message.has_shares = call.by_rank == nullptr ? 0 : 1;
    CopyText(call.name, message.name);
    CopyText(left, message.left);
    std::vector<std::byte> bytes = BytesOf(message);
    bytes.resize(CallBytes());
    if (call.by_rank != nullptr) {
      std::memcpy(bytes.data() + sizeof message, call.by_rank->data(), Peers() * sizeof(std::uint64_t));
    }
    return bytes;
  }

  // Returns OK on every learner once all have come with calls that agree; otherwise the status that broke the group.
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
    return status;
  }

  // Learner 0.
  Status Decide(const Call& call, const std::string& name) {
    const Status verdict = Gathered(call, name);
    for (int peer = 1; peer < size() && verdict.ok(); ++peer) Listen(peer);
    Answer(verdict);
    return verdict;
  }

  void Answer(const Status& verdict) {
    VerdictMessage message;
    message.code = static_cast<std::int32_t>(verdict.code());
    CopyText(verdict.message(), message.text);
    for (int peer = 1; peer < size(); ++peer) channel_.Post(peer, MpiTag::kVerdict, BytesOf(message));
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
        const CallMessage& message = TakeCall(peer, calls[peer]);
        if (message.left[0] != '\0') {
          return UnavailableError(name + ": learner " + std::to_string(peer) + " " + message.left);
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

  // The message stays in call_of_ until the peer's next.
  const CallMessage& TakeCall(std::size_t peer, Call& call) {
    Heard& heard = call_of_[peer];
    std::memcpy(&heard.message, calls_in_[peer].data(), sizeof heard.message);
    heard.shares.resize(Peers());
    std::memcpy(heard.shares.data(), calls_in_[peer].data() + sizeof heard.message, Peers() * sizeof(std::uint64_t));
    call = {.name = heard.message.name,
            .by_rank = heard.message.has_shares != 0 ? &heard.shares : nullptr,
            .count = heard.message.count,
            .dtype = static_cast<DType>(heard.message.dtype),
            .reduction = static_cast<Reduction>(heard.message.reduction),
            .root = heard.message.root,
            .tag = heard.message.tag};
    return heard.message;
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
    channel_.Post(0, MpiTag::kCall, MessageOf(call, ""));
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
        channel_.Post(0, MpiTag::kImpatience, BytesOf(number_));
        impatient = true;
      }
      backoff.Wait();
    }
    const auto code = static_cast<StatusCode>(verdict.code);
    return code == StatusCode::kOk ? OkStatus() : Status(code, verdict.text);
  }

  void Leave(const std::string& why) {
    if (!left_.empty() || !broken_.ok()) return;
    left_ = why;
    if (rank() == 0) {
      Answer(UnavailableError(Number() + ": learner 0 " + why));
    } else {
      channel_.Post(0, MpiTag::kCall, MessageOf({}, why));
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

  struct Heard {
    CallMessage message;
    std::vector<std::uint64_t> shares;
  };

  MpiChannel channel_;
  const std::uint64_t deadline_ns_;
  std::uint64_t number_ = 0;  // of the next collective
  std::string doing_;         // the one that all have come to
  std::string left_;          // why; "": it is still there
  Status broken_;
  // Of learner 0, by rank.
  std::vector<std::vector<MpiPending>> incoming_;
  std::vector<Heard> call_of_;
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
