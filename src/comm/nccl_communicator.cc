#include "comm/nccl_communicator.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"
#include "comm/call.h"
#include "comm/nccl_library.h"
#include "comm/reduce.h"
#include "comm/star_meeting.h"

namespace tierlib::comm {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{8} << 20;  // of a share, reduced at once: bounds the room
constexpr std::int64_t kSpinNs = 200'000;                      // without giving the processor away
constexpr std::int64_t kLookNs = 1'000'000;
constexpr std::int64_t kDrainNs = 10'000'000'000;  // for work that was given up

const std::byte* At(const void* base, std::uint64_t bytes) { return static_cast<const std::byte*>(base) + bytes; }
std::byte* At(void* base, std::uint64_t bytes) { return static_cast<std::byte*>(base) + bytes; }
std::uint64_t RoundUp(std::uint64_t bytes) { return (bytes + 255) / 256 * 256; }

// A learner's own end of NCCL.
//
//   I1  comm_ is null before Join and after GiveUp
class NcclChannel {
 public:
  NcclChannel(std::shared_ptr<const NcclLibrary> nccl, std::unique_ptr<NcclDevice> device)
      : nccl_(std::move(nccl)), device_(std::move(device)) {}
  ~NcclChannel() { GiveUp(); }
  NcclChannel(const NcclChannel&) = delete;
  NcclChannel& operator=(const NcclChannel&) = delete;

  const NcclLibrary& nccl() const { return *nccl_; }
  NcclDevice& device() { return *device_; }

  // Calls of NCCL in `body` are one operation. What is in progress then is waited for by Ready.
  template <typename Body>
  Status Group(const Body& body) {
    TIERLIB_RETURN_IF_ERROR(nccl_->StatusOf(nccl_->GroupStart(), "ncclGroupStart"));
    const Status begun = body();
    const Status ended = nccl_->StatusOf(nccl_->GroupEnd(), "ncclGroupEnd");
    return begun.ok() ? ended : begun;
  }
  Status Send(const void* from, std::uint64_t bytes, int peer) {
    if (bytes == 0) return OkStatus();
    return nccl_->StatusOf(nccl_->Send(from, bytes, kNcclUint8, peer, comm_, device_->stream()), "ncclSend");
  }
  Status Receive(void* to, std::uint64_t bytes, int peer) {
    if (bytes == 0) return OkStatus();
    return nccl_->StatusOf(nccl_->Recv(to, bytes, kNcclUint8, peer, comm_, device_->stream()), "ncclRecv");
  }
  Status Join(const NcclUniqueId& id, int rank, int size) {
    NcclConfig config;
    return nccl_->StatusOf(nccl_->CommInitRankConfig(&comm_, size, id, rank, &config), "ncclCommInitRankConfig");
  }
  // Whether NCCL has taken what it was given.
  StatusOr<bool> Ready() {
    NcclResult error = kNcclSuccess;
    TIERLIB_RETURN_IF_ERROR(nccl_->StatusOf(nccl_->CommGetAsyncError(comm_, &error), "ncclCommGetAsyncError"));
    TIERLIB_RETURN_IF_ERROR(nccl_->StatusOf(error, "asynchronous error"));
    return error != kNcclInProgress;
  }
  // Work that hangs ends, with nothing said of its results.
  void GiveUp() {
    if (comm_ == nullptr) return;
    (void)device_->With([&]() -> Status {
      (void)nccl_->CommAbort(comm_);
      // The caller's memory is free only then.
      const std::int64_t end_ns = NowNs() + kDrainNs;
      for (;;) {
        TIERLIB_ASSIGN_OR_RETURN(const bool done, device_->Done());
        if (done || NowNs() >= end_ns) return OkStatus();
      }
    });
    comm_ = nullptr;
  }

 private:
  std::shared_ptr<const NcclLibrary> nccl_;
  std::unique_ptr<NcclDevice> device_;
  NcclComm comm_ = nullptr;
};

class NcclCommunicator : public Communicator {
 public:
  NcclCommunicator(std::unique_ptr<SocketStar> star, std::shared_ptr<const NcclLibrary> nccl,
                   std::unique_ptr<NcclDevice> device, std::uint64_t deadline_ns)
      : meeting_(std::move(star), deadline_ns),
        channel_(std::move(nccl), std::move(device)),
        deadline_ns_(deadline_ns) {}
  ~NcclCommunicator() override { Abandon("left the group"); }

  // Before the first collective, which has another deadline.
  Status Join(std::uint64_t deadline_ns) {
    return Locked([&]() -> Status {
      NcclUniqueId id{};
      Status status;
      if (rank() == 0) {
        status = channel_.nccl().StatusOf(channel_.nccl().GetUniqueId(&id), "ncclGetUniqueId");
      }
      const auto* const begin = reinterpret_cast<const std::byte*>(&id);
      TIERLIB_ASSIGN_OR_RETURN(const std::vector<std::byte> shared, meeting_.Share({begin, begin + sizeof id}));
      if (shared.size() != sizeof id) return InternalError("joining: learner 0 runs another version of this program");
      std::memcpy(&id, shared.data(), sizeof id);
      TIERLIB_RETURN_IF_ERROR(meeting_.Meet({.name = "join", .refusal = status}));
      TIERLIB_RETURN_IF_ERROR(Work([&] { return channel_.Join(id, rank(), size()); }));
      meeting_.Begin(deadline_ns);
      deadline_ns_ = deadline_ns;
      return OkStatus();
    });
  }

  int rank() const override { return meeting_.rank(); }
  int size() const override { return meeting_.size(); }

  using Communicator::AllGather;
  Status AllGather(const void* part, const std::vector<std::uint64_t>& bytes_by_rank, void* whole,
                   std::uint64_t tag) override {
    return Locked([&]() -> Status {
      TIERLIB_RETURN_IF_ERROR(meeting_.Meet({.name = "all_gather",
                                             .by_rank = &bytes_by_rank,
                                             .count = SumOf(bytes_by_rank),
                                             .tag = tag,
                                             .refusal = CheckShares("all_gather", bytes_by_rank, size())}));
      return Work([&] { return Spread(part, bytes_by_rank, whole); });
    });
  }

  Status AllReduce(const void* in, void* out, std::uint64_t count, DType dtype, Reduction reduction) override {
    return Locked([&]() -> Status {
      TIERLIB_RETURN_IF_ERROR(meeting_.Meet({.name = "all_reduce",
                                             .count = count,
                                             .dtype = dtype,
                                             .reduction = reduction,
                                             .refusal = CheckReducible(dtype)}));
      // As the thread group: each learner reduces a share, then all take the others' shares.
      return Work([&]() -> Status {
        std::vector<std::uint64_t> shares = EvenShares(count, size());
        const std::uint64_t element = ElementBytes(dtype);
        std::byte* const mine = At(out, Before(shares, rank()) * element);
        TIERLIB_RETURN_IF_ERROR(ReduceShare(in, shares, dtype, reduction, mine));
        for (std::uint64_t& share : shares) share *= element;
        return Spread(mine, shares, out);
      });
    });
  }

  Status ReduceScatter(const void* whole, const std::vector<std::uint64_t>& counts_by_rank, DType dtype,
                       Reduction reduction, void* part) override {
    return Locked([&]() -> Status {
      const Status refusal = CheckReducible(dtype);
      TIERLIB_RETURN_IF_ERROR(
          meeting_.Meet({.name = "reduce_scatter",
                         .by_rank = &counts_by_rank,
                         .count = SumOf(counts_by_rank),
                         .dtype = dtype,
                         .reduction = reduction,
                         .refusal = refusal.ok() ? CheckShares("reduce_scatter", counts_by_rank, size()) : refusal}));
      return Work([&] { return ReduceShare(whole, counts_by_rank, dtype, reduction, part); });
    });
  }

  Status Broadcast(void* data, std::uint64_t bytes, int root) override {
    return Locked([&]() -> Status {
      TIERLIB_RETURN_IF_ERROR(
          meeting_.Meet({.name = "broadcast", .count = bytes, .root = root, .refusal = CheckRoot(root, size())}));
      return Work([&] {
        return channel_.Group([&]() -> Status {
          for (int peer = 0; rank() == root && peer < size(); ++peer) {
            if (peer != root) TIERLIB_RETURN_IF_ERROR(channel_.Send(data, bytes, peer));
          }
          return rank() == root ? OkStatus() : channel_.Receive(data, bytes, root);
        });
      });
    });
  }

  Status Barrier() override {
    return Locked([&] { return meeting_.Meet({.name = "barrier"}); });
  }

  void Abort(std::string_view why) override { Abandon("gave up: " + std::string(why)); }

 private:
  // A call. What breaks the group makes NCCL be given up.
  template <typename Body>
  Status Locked(const Body& body) {
    MutexLock lock(mutex_);
    Status status;
    try {
      status = body();
    } catch (const std::bad_alloc&) {
      // Others may wait for this learner's word. Short texts need no memory.
      try {
        meeting_.Leave("lacks memory");
      } catch (const std::bad_alloc&) {
        channel_.GiveUp();
      }
      status = Status(StatusCode::kResourceExhausted);
    }
    if (!meeting_.broken().ok()) channel_.GiveUp();
    return status;
  }

  void Abandon(const std::string& why) {
    (void)Locked([&] {
      meeting_.Leave(why);
      return OkStatus();
    });
  }

  // Enqueues, waits for the end, and hears whether it went well on all.
  template <typename Enqueue>
  Status Work(const Enqueue& enqueue) {
    const std::int64_t deadline_ns = DeadlineIn(deadline_ns_);
    in_vain_ = false;
    Status own;
    try {
      own = channel_.device().With([&]() -> Status {
        TIERLIB_RETURN_IF_ERROR(enqueue());
        return AwaitEnd(deadline_ns);
      });
    } catch (const std::bad_alloc&) {
      own = Status(StatusCode::kResourceExhausted, "lacks memory");
    }
    if (!own.ok()) channel_.GiveUp();  // the others' ends go on waiting for this one otherwise
    return meeting_.Confirm(own, in_vain_);
  }

  Status AwaitEnd(std::int64_t deadline_ns) {
    const std::int64_t begin_ns = NowNs();
    for (;;) {
      TIERLIB_ASSIGN_OR_RETURN(const bool ready, channel_.Ready());
      if (ready) {
        TIERLIB_ASSIGN_OR_RETURN(const bool done, channel_.device().Done());
        if (done) return OkStatus();
      }
      const std::int64_t now_ns = NowNs();
      if (meeting_.IsInVain()) return GiveWorkUp();
      if (now_ns >= deadline_ns) {
        return Status(StatusCode::kDeadlineExceeded,
                      "NCCL did not end it within " + std::to_string(deadline_ns_ / 1'000'000) + " ms");
      }
      if (now_ns - begin_ns > kSpinNs) meeting_.Wait(std::min(deadline_ns, now_ns + kLookNs));
    }
  }

  Status GiveWorkUp() {
    in_vain_ = true;
    return UnavailableError("another learner has failed or is gone");
  }

  // This learner's part to all, and all others' parts to their places in `whole`.
  Status Spread(const void* part, const std::vector<std::uint64_t>& bytes, void* whole) {
    const std::uint64_t mine = bytes[static_cast<std::size_t>(rank())];
    std::byte* const own = At(whole, Before(bytes, rank()));
    if (mine > 0 && own != part) TIERLIB_RETURN_IF_ERROR(channel_.device().Copy(own, part, mine));
    return channel_.Group([&]() -> Status {
      for (int peer = 0; peer < size(); ++peer) {
        if (peer == rank()) continue;
        TIERLIB_RETURN_IF_ERROR(channel_.Send(part, mine, peer));
        TIERLIB_RETURN_IF_ERROR(
            channel_.Receive(At(whole, Before(bytes, peer)), bytes[static_cast<std::size_t>(peer)], peer));
      }
      return OkStatus();
    });
  }

  // `out` gets this learner's share of `in`, reduced over all in the order of ranks. `out` may be that share of `in`:
  // nothing of it is sent.
  Status ReduceShare(const void* in, const std::vector<std::uint64_t>& shares, DType dtype, Reduction reduction,
                     void* out) {
    const std::uint64_t element = ElementBytes(dtype);
    const std::uint64_t most = kPieceBytes / element;
    const std::uint64_t largest = *std::max_element(shares.begin(), shares.end());
    const auto self = static_cast<std::size_t>(rank());
    const std::uint64_t apart = RoundUp(std::min(most, shares[self]) * element);
    TIERLIB_ASSIGN_OR_RETURN(void* const room, channel_.device().Room(apart * static_cast<std::uint64_t>(size())));
    for (std::uint64_t offset = 0; offset < largest; offset += most) {
      const auto piece = [&](int of) {
        const std::uint64_t share = shares[static_cast<std::size_t>(of)];
        return std::min(most, share - std::min(share, offset)) * element;
      };
      const auto from = [&](int of) { return At(in, (Before(shares, of) + offset) * element); };
      const auto slot = [&](int of) { return At(room, apart * static_cast<std::uint64_t>(of)); };
      const std::uint64_t mine = piece(rank());
      if (mine > 0) TIERLIB_RETURN_IF_ERROR(channel_.device().Copy(slot(rank()), from(rank()), mine));
      const Status given = channel_.Group([&]() -> Status {
        for (int peer = 0; peer < size(); ++peer) {
          if (peer == rank()) continue;
          TIERLIB_RETURN_IF_ERROR(channel_.Send(from(peer), piece(peer), peer));
          TIERLIB_RETURN_IF_ERROR(channel_.Receive(slot(peer), mine, peer));
        }
        return OkStatus();
      });
      TIERLIB_RETURN_IF_ERROR(given);
      TIERLIB_RETURN_IF_ERROR(AwaitEnqueued());
      if (mine == 0) continue;
      TIERLIB_RETURN_IF_ERROR(
          channel_.device().Reduce(room, size(), apart, mine / element, dtype, reduction, At(out, offset * element)));
    }
    return OkStatus();
  }

  // Until NCCL has put on the stream what it was given: what follows comes after it then.
  Status AwaitEnqueued() {
    const std::int64_t deadline_ns = DeadlineIn(deadline_ns_);
    for (;;) {
      TIERLIB_ASSIGN_OR_RETURN(const bool ready, channel_.Ready());
      if (ready) return OkStatus();
      if (meeting_.IsInVain()) return GiveWorkUp();
      if (NowNs() >= deadline_ns) return Status(StatusCode::kDeadlineExceeded, "NCCL did not begin it in time");
    }
  }

  Mutex mutex_;  // held by each call, for all that follows
  StarMeeting meeting_;
  NcclChannel channel_;
  std::uint64_t deadline_ns_;
  bool in_vain_ = false;  // the work under way was given up for another learner's sake
};

}  // namespace

StatusOr<std::unique_ptr<Communicator>> MakeNcclCommunicatorOn(std::unique_ptr<NcclDevice> device,
                                                               const NcclOptions& options) {
  TIERLIB_ASSIGN_OR_RETURN(std::shared_ptr<const NcclLibrary> nccl, NcclLibrary::Load(options.library));
  TIERLIB_ASSIGN_OR_RETURN(
      std::unique_ptr<SocketStar> star,
      SocketStar::Connect(options.rank, options.size, options.address, DeadlineIn(options.join_deadline_ns)));
  auto communicator =
      std::make_unique<NcclCommunicator>(std::move(star), std::move(nccl), std::move(device), options.join_deadline_ns);
  TIERLIB_RETURN_IF_ERROR(communicator->Join(options.deadline_ns));
  return std::unique_ptr<Communicator>(std::move(communicator));
}

StatusOr<std::unique_ptr<Communicator>> MakeNcclCommunicator(const NcclOptions& options) {
  TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<NcclDevice> device, MakeCudaNcclDevice(options.device, options.stream));
  return MakeNcclCommunicatorOn(std::move(device), options);
}

}  // namespace tierlib::comm
