// The suite over NCCL, a fake one.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <thread>

#include "comm/fake_stream.h"
#include "comm/learners.h"
#include "comm/nccl_communicator.h"
#include "comm/nccl_learners.h"
#include "comm/reduce.h"

namespace tierlib::comm {
namespace {

class HostNcclDevice : public NcclDevice {
 public:
  Status With(const std::function<Status()>& body) override { return body(); }
  void* stream() const override { return &stream_; }
  StatusOr<void*> Room(std::uint64_t bytes) override {
    if (bytes > room_.size()) room_.resize(bytes);
    return static_cast<void*>(room_.data());
  }
  Status Copy(void* to, const void* from, std::uint64_t bytes) override {
    stream_.Push([=] { std::memcpy(to, from, bytes); });
    return OkStatus();
  }
  Status Reduce(const void* inputs, int input_count, std::uint64_t apart, std::uint64_t count, DType dtype,
                Reduction reduction, void* out) override {
    std::vector<const void*> arrays;
    for (int i = 0; i < input_count; ++i) {
      arrays.push_back(static_cast<const std::byte*>(inputs) + apart * static_cast<std::uint64_t>(i));
    }
    stream_.Push([=] { ReduceInOrder(arrays, 0, count, dtype, reduction, out); });
    return OkStatus();
  }
  StatusOr<bool> Done() override { return stream_.IsIdle(); }

 private:
  std::vector<std::byte> room_;
  mutable FakeStream stream_;  // ends before the room does
};

}  // namespace

std::unique_ptr<NcclDevice> MakeHostNcclDevice() { return std::make_unique<HostNcclDevice>(); }

FakeNcclControl& Control() {
  void* const library = ::dlopen(TIERLIB_FAKE_NCCL, RTLD_NOW | RTLD_LOCAL);
  return *reinterpret_cast<FakeNcclFunction>(::dlsym(library, "FakeNccl"))();
}

NcclOptions FakeNcclOptions(int rank, int size, std::uint64_t deadline_ns) {
  NcclOptions options;
  options.rank = rank;
  options.size = size;
  options.deadline_ns = deadline_ns;
  options.join_deadline_ns = kLongNs;
  options.library = TIERLIB_FAKE_NCCL;
  return options;
}

// On an address of this process's own, as tests run side by side: all of 127.0.0.0/8 is this machine.
std::string FreeAddress() {
  const auto id = static_cast<std::uint32_t>(::getpid());
  const std::uint32_t host = 0x7f'01'00'00 + (id & 0x3f'ffff);
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(host);
  socklen_t bytes = sizeof address;
  EXPECT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), bytes), 0);
  EXPECT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  ::close(socket);
  return std::to_string(host >> 24) + "." + std::to_string(host >> 16 & 255) + "." + std::to_string(host >> 8 & 255) +
         "." + std::to_string(host & 255) + ":" + std::to_string(ntohs(address.sin_port));
}

std::vector<StatusOr<std::unique_ptr<Communicator>>> JoinAll(int learners, std::uint64_t deadline_ns) {
  const std::string address = FreeAddress();
  std::vector<std::optional<StatusOr<std::unique_ptr<Communicator>>>> made(static_cast<std::size_t>(learners));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < learners; ++rank) {
    threads.emplace_back([&, rank] {
      NcclOptions options = FakeNcclOptions(rank, learners, deadline_ns);
      options.address = address;
      made[static_cast<std::size_t>(rank)] = MakeNcclCommunicatorOn(MakeHostNcclDevice(), options);
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<StatusOr<std::unique_ptr<Communicator>>> group;
  for (auto& one : made) group.push_back(*std::move(one));
  return group;
}

std::vector<std::unique_ptr<Communicator>> MembersHere(int learners, std::uint64_t deadline_ns) {
  std::vector<std::unique_ptr<Communicator>> members;
  for (auto& one : JoinAll(learners, deadline_ns)) members.push_back(std::move(one).value());
  return members;
}

bool ShareMemory() { return true; }

}  // namespace tierlib::comm
