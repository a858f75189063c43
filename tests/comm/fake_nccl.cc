// A libnccl.so.2 for tests: learners are threads of one process, streams are FakeStreams, and memory is the host's. As
// NCCL's calls that do not block it takes work late: a group goes to the stream only after ncclCommGetAsyncError was
// asked for it. Sends and receives wait for each other there, until the communicator is given up.
#include "comm/fake_nccl.h"

#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "comm/fake_stream.h"
#include "comm/nccl_library.h"

namespace {

using tierlib::comm::FakeNcclControl;
using tierlib::comm::FakeStream;
using tierlib::comm::NcclConfig;
using tierlib::comm::NcclFault;
using tierlib::comm::NcclUniqueId;

constexpr int kSuccess = 0, kSystemError = 2, kInvalidArgument = 4, kRemoteError = 6, kInProgress = 7;

FakeNcclControl control;

// What the learners of a group share: bytes on their way, by sender and receiver.
struct Group {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> mail;
};

struct Operation {
  bool sends = false;
  void* data = nullptr;
  std::size_t bytes = 0;
  int peer = 0;
};

struct Comm {
  std::shared_ptr<Group> group;
  int rank = 0;
  bool given_up = false;  // under the group's mutex
  // Of the thread that calls.
  FakeStream* stream = nullptr;
  std::vector<Operation> given;  // not on the stream yet
  int looks = 0;                 // until it is
  bool failed = false;
};

std::mutex groups_mutex;
std::map<int, std::weak_ptr<Group>> groups;
int last_id = 0;

thread_local int depth = 0;
thread_local std::vector<std::pair<std::shared_ptr<Comm>*, Operation>> grouped;

bool IsFaulty(const Comm& comm, NcclFault fault) {
  return control.faulty_rank.load() == comm.rank && control.fault.load() == fault;
}

void Exchange(Comm& comm, const std::vector<Operation>& operations) {
  Group& group = *comm.group;
  std::unique_lock<std::mutex> lock(group.mutex);
  if (IsFaulty(comm, NcclFault::kHangs) || IsFaulty(comm, NcclFault::kAsyncError)) {
    group.changed.wait(lock, [&] { return comm.given_up; });
    return;
  }
  for (const Operation& o : operations) {
    if (!o.sends) continue;
    const auto* const begin = static_cast<const std::byte*>(o.data);
    group.mail[{comm.rank, o.peer}].emplace_back(begin, begin + o.bytes);
  }
  group.changed.notify_all();
  for (const Operation& o : operations) {
    if (o.sends) continue;
    auto& mail = group.mail[{o.peer, comm.rank}];
    group.changed.wait(lock, [&] { return comm.given_up || !mail.empty(); });
    if (comm.given_up) return;
    if (mail.front().size() == o.bytes) std::memcpy(o.data, mail.front().data(), o.bytes);
    mail.pop_front();
  }
}

int Take(void* comm, void* stream, const Operation& operation) {
  if (comm == nullptr || depth == 0) return kInvalidArgument;
  auto* const one = static_cast<std::shared_ptr<Comm>*>(comm);
  (*one)->stream = static_cast<FakeStream*>(stream);
  grouped.emplace_back(one, operation);
  return kSuccess;
}

}  // namespace

extern "C" {

FakeNcclControl* FakeNccl() { return &control; }

int ncclGetVersion(int* version) {
  *version = control.version.load();
  return kSuccess;
}

int ncclGetUniqueId(NcclUniqueId* id) {
  const std::lock_guard<std::mutex> lock(groups_mutex);
  ++last_id;
  std::memcpy(id->internal, &last_id, sizeof last_id);
  return kSuccess;
}

int ncclCommInitRankConfig(void** comm, int /*size*/, NcclUniqueId id, int rank, NcclConfig* config) {
  if (config->magic != 0xcafebeef || config->blocking != 0) return kInvalidArgument;
  auto made = std::make_shared<Comm>();
  made->rank = rank;
  if (IsFaulty(*made, NcclFault::kRefusesJoin)) return kSystemError;
  int number = 0;
  std::memcpy(&number, id.internal, sizeof number);
  const std::lock_guard<std::mutex> lock(groups_mutex);
  made->group = groups[number].lock();
  if (made->group == nullptr) {
    made->group = std::make_shared<Group>();
    groups[number] = made->group;
  }
  made->looks = 2;
  *comm = new std::shared_ptr<Comm>(std::move(made));
  ++control.live;
  return kInProgress;
}

#ifndef TIERLIB_FAKE_NCCL_WITHOUT_ABORT
int ncclCommAbort(void* comm) {
  auto* const one = static_cast<std::shared_ptr<Comm>*>(comm);
  {
    const std::lock_guard<std::mutex> lock((*one)->group->mutex);
    (*one)->given_up = true;
    (*one)->group->changed.notify_all();
  }
  delete one;
  --control.live;
  return kSuccess;
}
#endif

int ncclCommGetAsyncError(void* comm, int* error) {
  const std::shared_ptr<Comm>& one = *static_cast<std::shared_ptr<Comm>*>(comm);
  if (one->looks > 0) {
    --one->looks;
    *error = kInProgress;
    if (one->looks == 0 && !one->given.empty()) {
      one->stream->Push([one, given = std::exchange(one->given, {})] { Exchange(*one, given); });
    }
    return kSuccess;
  }
  one->failed = one->failed || (one->stream != nullptr && IsFaulty(*one, NcclFault::kAsyncError));
  *error = one->failed ? kRemoteError : kSuccess;
  return kSuccess;
}

int ncclGroupStart() {
  ++depth;
  return kSuccess;
}

int ncclGroupEnd() {
  if (--depth > 0) return kSuccess;
  const auto operations = std::exchange(grouped, {});
  if (operations.empty()) return kSuccess;
  for (const auto& [comm, operation] : operations) {
    if (IsFaulty(**comm, NcclFault::kRefusesWork) || !(*comm)->group) return kSystemError;
    (*comm)->given.push_back(operation);
    (*comm)->looks = 3;
  }
  return kInProgress;
}

int ncclSend(const void* from, std::size_t count, int, int peer, void* comm, void* stream) {
  return Take(comm, stream, {true, const_cast<void*>(from), count, peer});
}
int ncclRecv(void* to, std::size_t count, int, int peer, void* comm, void* stream) {
  return Take(comm, stream, {false, to, count, peer});
}

const char* ncclGetErrorString(int result) {
  return result == kRemoteError ? "remote process exited" : (result == kSystemError ? "unhandled system error" : "?");
}

}  // extern "C"
