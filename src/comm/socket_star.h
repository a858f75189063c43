// SocketStar: messages between learner 0 and each of the others, over TCP, none of which is waited for without bound.
//
// Owns one socket on the others, and one for each of them on learner 0. Whoever's process ends is gone at once, as its
// socket closes. Messages are for processes of one program on machines of one kind.
//
// Thread-safety: one thread at a time.
#ifndef TIERLIB_SRC_COMM_SOCKET_STAR_H_
#define TIERLIB_SRC_COMM_SOCKET_STAR_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tierlib/status.h"

namespace tierlib::comm {

class SocketStar {
 public:
  struct Message {
    std::uint32_t kind = 0;
    std::vector<std::byte> bytes;
  };

  // Learner 0 listens at the port of `address`, "host:port", on all addresses of its machine (on that one alone where
  // the host is localhost, ::1 or 127.*), until all others have come; they try until it does. The deadline is by
  // base/clock.h. DeadlineExceeded names who did not come; InvalidArgument for an address or a rank that cannot be;
  // Unavailable with the system's words.
  static StatusOr<std::unique_ptr<SocketStar>> Connect(int rank, int size, const std::string& address,
                                                       std::int64_t deadline_ns);
  ~SocketStar();
  SocketStar(const SocketStar&) = delete;
  SocketStar& operator=(const SocketStar&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  // To learner 0, or from it. Nothing is said where the other one is gone.
  void Send(int peer, std::uint32_t kind, const std::vector<std::byte>& bytes);
  // The oldest message that came and was not taken; null: none. It stays until Take.
  const Message* Next(int peer);
  Message Take(int peer);
  // The other one's process has ended, or left, and all that it said was taken.
  bool IsGone(int peer);
  // Returns when something came, or somebody went, or at `until_ns` at the latest.
  void Wait(std::int64_t until_ns);

 private:
  struct Peer {
    int socket = -1;  // -1: gone, or never there
    std::vector<std::byte> partial;
    std::deque<Message> messages;
  };

  SocketStar(int rank, int size) : rank_(rank), size_(size), peers_(static_cast<std::size_t>(size)) {}
  Status Listen(const std::string& host, const std::string& port, std::int64_t deadline_ns);
  Status Greet(const std::string& host, const std::string& port, std::int64_t deadline_ns);
  Status AcceptAll(int listener, std::int64_t deadline_ns);
  void Read(Peer& peer);
  static void Close(Peer& peer);
  Peer& At(int peer) { return peers_[static_cast<std::size_t>(peer)]; }

  const int rank_;
  const int size_;
  std::vector<Peer> peers_;
};

}  // namespace tierlib::comm

#endif  // TIERLIB_SRC_COMM_SOCKET_STAR_H_
