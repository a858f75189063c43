#include "comm/mpi_channel.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

#include "base/clock.h"

namespace tierlib::comm {
namespace {

// MPI counts in int.
constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 30;

std::byte* At(const void* data, std::uint64_t offset) {
  return static_cast<std::byte*>(const_cast<void*>(data)) + offset;  // MPI's signatures of sends are const since 3.0
}

}  // namespace

MpiChannel::MpiChannel(MPI_Comm communicator) : communicator_(communicator) {
  MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN);
  Check(MPI_Comm_rank(communicator_, &rank_));
  Check(MPI_Comm_size(communicator_, &size_));
}

MpiChannel::~MpiChannel() {
  for (Posted& one : posted_) {
    int done = 0;
    MPI_Test(&one.request, &done, MPI_STATUS_IGNORE);
    if (done != 0) continue;
    // MPI may read it until MPI_Finalize.
    MPI_Request_free(&one.request);
    [[maybe_unused]] auto* const left = new std::vector<std::byte>(std::move(one.message));
  }
  // Not MPI_Comm_free: that waits for the others, of whom one may be gone.
}

void MpiChannel::Check(int code) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  Die(std::string("MPI: ") + text);
}

void MpiChannel::Post(int to, MpiTag tag, std::vector<std::byte> message) {
  posted_.remove_if([](Posted& one) {
    int done = 0;
    return MPI_Test(&one.request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done != 0;
  });
  Posted& one = posted_.emplace_back(Posted{std::move(message), MPI_REQUEST_NULL});
  Check(MPI_Isend(one.message.data(), static_cast<int>(one.message.size()), MPI_BYTE, to, static_cast<int>(tag),
                  communicator_, &one.request));
}

void MpiChannel::BeginReceive(int from, MpiTag tag, void* data, std::uint64_t bytes, std::vector<MpiPending>& pending) {
  for (std::uint64_t offset = 0; offset < bytes; offset += kPieceBytes) {
    MpiPending& one = pending.emplace_back(MpiPending{MPI_REQUEST_NULL, from});
    Check(MPI_Irecv(At(data, offset), static_cast<int>(std::min(kPieceBytes, bytes - offset)), MPI_BYTE, from,
                    static_cast<int>(tag), communicator_, &one.request));
  }
}

void MpiChannel::BeginSend(int to, MpiTag tag, const void* data, std::uint64_t bytes,
                           std::vector<MpiPending>& pending) {
  for (std::uint64_t offset = 0; offset < bytes; offset += kPieceBytes) {
    MpiPending& one = pending.emplace_back(MpiPending{MPI_REQUEST_NULL, to});
    Check(MPI_Isend(At(data, offset), static_cast<int>(std::min(kPieceBytes, bytes - offset)), MPI_BYTE, to,
                    static_cast<int>(tag), communicator_, &one.request));
  }
}

bool MpiChannel::Done(MpiPending& pending) {
  int done = 0;
  Check(MPI_Test(&pending.request, &done, MPI_STATUS_IGNORE));
  return done != 0;
}

void MpiChannel::Cancel(std::vector<MpiPending>& pending) {
  for (MpiPending& one : pending) {
    if (one.request == MPI_REQUEST_NULL) continue;
    MPI_Cancel(&one.request);
    MPI_Wait(&one.request, MPI_STATUS_IGNORE);  // local for a receive
  }
  pending.clear();
}

bool MpiChannel::Waits(int from, MpiTag tag) {
  int waits = 0;
  Check(MPI_Iprobe(from, static_cast<int>(tag), communicator_, &waits, MPI_STATUS_IGNORE));
  return waits != 0;
}

void MpiChannel::Finish(std::vector<MpiPending>& pending, std::int64_t deadline_ns, const std::string& what) {
  Backoff backoff;
  for (;;) {
    const auto is_done = [this](MpiPending& one) { return Done(one); };
    pending.erase(std::remove_if(pending.begin(), pending.end(), is_done), pending.end());
    if (pending.empty()) return;
    if (NowNs() >= deadline_ns) {
      Die(what + ": learner " + std::to_string(pending.front().peer) + " came, and then did nothing more");
    }
    backoff.Wait();
  }
}

void MpiChannel::Die(const std::string& why) {
  std::fprintf(stderr, "learner %d: %s\n", rank_, why.c_str());
  std::fflush(stderr);
  MPI_Abort(communicator_, EXIT_FAILURE);
  std::abort();
}

void Backoff::Wait() {
  constexpr int kSpins = 100;
  if (++calls_ < kSpins) {
    std::this_thread::yield();
    return;
  }
  std::this_thread::sleep_for(std::chrono::microseconds(std::min(calls_ - kSpins, 200)));
}

}  // namespace tierlib::comm
