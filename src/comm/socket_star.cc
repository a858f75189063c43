#include "comm/socket_star.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "comm/call.h"

namespace tierlib::comm {
namespace {

constexpr std::uint64_t kMagic = 0x7469'6572'6c69'6231;  // "tierlib1"
constexpr std::int64_t kFirstRetryNs = 1'000'000;        // then twice that, ...
constexpr std::int64_t kLastRetryNs = 100'000'000;
constexpr std::int64_t kConnectNs = 5'000'000'000;      // for an attempt: a machine that drops packets says nothing
constexpr std::int64_t kSendNs = 10'000'000'000;        // for a message that the other one does not read
constexpr std::uint32_t kMostBytes = 16 * 1024 * 1024;  // of a message: more is not one of ours

struct Hello {
  std::uint64_t magic = kMagic;
  std::int32_t rank = 0;
  std::int32_t size = 0;
};
struct Header {
  std::uint32_t kind = 0;
  std::uint32_t bytes = 0;
};

int MillisecondsUntil(std::int64_t deadline_ns) {
  const std::int64_t left_ns = deadline_ns - NowNs();
  if (left_ns <= 0) return 0;
  return static_cast<int>(std::min<std::int64_t>((left_ns + 999'999) / 1'000'000, 1'000'000));
}

Status SystemError(const std::string& what) { return UnavailableError(what + ": " + std::strerror(errno)); }

void Prepare(int socket) {
  const int one = 1;
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  (void)::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);  // a machine that is gone says nothing
  (void)::fcntl(socket, F_SETFD, FD_CLOEXEC);
  (void)::fcntl(socket, F_SETFL, O_NONBLOCK);
}

bool WaitFor(int socket, short events, std::int64_t deadline_ns) {
  pollfd one{socket, events, 0};
  return ::poll(&one, 1, MillisecondsUntil(deadline_ns)) > 0;
}

// False where the other end does not take them in time.
bool SendAll(int socket, const void* data, std::size_t bytes, std::int64_t deadline_ns) {
  const auto* at = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    const ssize_t sent = ::send(socket, at, bytes, MSG_NOSIGNAL);
    if (sent > 0) {
      at += sent;
      bytes -= static_cast<std::size_t>(sent);
    } else if (sent < 0 && errno == EINTR) {
      continue;
    } else if (sent == 0 || (errno != EAGAIN && errno != EWOULDBLOCK) || NowNs() >= deadline_ns ||
               !WaitFor(socket, POLLOUT, deadline_ns)) {
      return false;
    }
  }
  return true;
}

bool ReceiveAll(int socket, void* data, std::size_t bytes, std::int64_t deadline_ns) {
  auto* at = static_cast<std::byte*>(data);
  while (bytes > 0) {
    const ssize_t got = ::recv(socket, at, bytes, 0);
    if (got > 0) {
      at += got;
      bytes -= static_cast<std::size_t>(got);
    } else if (got < 0 && errno == EINTR) {
      continue;
    } else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK) || NowNs() >= deadline_ns ||
               !WaitFor(socket, POLLIN, deadline_ns)) {
      return false;
    }
  }
  return true;
}

// What getaddrinfo found; freed with it.
class Addresses {
 public:
  Status Find(const std::string& host, const std::string& port, bool to_listen) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = to_listen ? AI_PASSIVE : 0;
    const int error = ::getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &first_);
    if (error == 0) return OkStatus();
    return InvalidArgumentError("learners meet at " + host + ":" + port +
                                ", which is no address: " + ::gai_strerror(error));
  }
  ~Addresses() {
    if (first_ != nullptr) ::freeaddrinfo(first_);
  }
  const addrinfo* first() const { return first_; }

 private:
  addrinfo* first_ = nullptr;
};

// Reachable from this machine alone.
bool IsLoopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

// A listening socket, or -1 with errno. An IPv6 one takes IPv4 as well.
int ListenAt(const addrinfo& at, int backlog) {
  const int listener = ::socket(at.ai_family, at.ai_socktype | SOCK_CLOEXEC, at.ai_protocol);
  if (listener < 0) return -1;
  const int one = 1, zero = 0;
  (void)::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (at.ai_family == AF_INET6) (void)::setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
  (void)::fcntl(listener, F_SETFL, O_NONBLOCK);
  if (::bind(listener, at.ai_addr, at.ai_addrlen) == 0 && ::listen(listener, backlog) == 0) return listener;
  const int error = errno;
  ::close(listener);
  errno = error;
  return -1;
}

// A socket that connects to a port from which the system lets it come, while nobody listens there, meets itself.
bool IsConnectedToItself(int socket) {
  sockaddr_storage own{}, other{};
  socklen_t own_bytes = sizeof own, other_bytes = sizeof other;
  return ::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &own_bytes) == 0 &&
         ::getpeername(socket, reinterpret_cast<sockaddr*>(&other), &other_bytes) == 0 && own_bytes == other_bytes &&
         std::memcmp(&own, &other, own_bytes) == 0;
}

bool IsShortage(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

std::string Milliseconds(std::int64_t ns) { return std::to_string(std::max<std::int64_t>(ns, 0) / 1'000'000) + " ms"; }

}  // namespace

StatusOr<std::unique_ptr<SocketStar>> SocketStar::Connect(int rank, int size, const std::string& address,
                                                          std::int64_t deadline_ns) {
  if (size < 1 || rank < 0 || rank >= size) {
    return InvalidArgumentError("learner " + std::to_string(rank) + " of " + std::to_string(size) +
                                ": it is one of 0 to size - 1");
  }
  const std::size_t colon = address.rfind(':');
  if (size > 1 && (colon == std::string::npos || colon + 1 == address.size())) {
    return InvalidArgumentError("learners meet at \"" + address + "\": it must be host:port");
  }
  std::unique_ptr<SocketStar> star(new SocketStar(rank, size));
  if (size == 1) return star;
  std::string host = address.substr(0, colon);
  if (host.size() > 1 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const std::string port = address.substr(colon + 1);
  TIERLIB_RETURN_IF_ERROR(rank == 0 ? star->Listen(host, port, deadline_ns) : star->Greet(host, port, deadline_ns));
  return star;
}

Status SocketStar::Listen(const std::string& host, const std::string& port, std::int64_t deadline_ns) {
  Addresses named, any;
  TIERLIB_RETURN_IF_ERROR(named.Find(host, port, /*to_listen=*/true));
  const addrinfo* first = named.first();
  if (!IsLoopback(host)) {  // a machine's own name is often its loopback's, and others come by any of its addresses
    TIERLIB_RETURN_IF_ERROR(any.Find("", port, /*to_listen=*/true));
    first = any.first();
  }
  int listener = -1;
  for (const int family : {AF_INET6, AF_INET}) {
    for (const addrinfo* at = first; at != nullptr && listener < 0; at = at->ai_next) {
      if (at->ai_family == family) listener = ListenAt(*at, size_);
    }
  }
  if (listener < 0) return SystemError("learner 0 cannot listen at " + host + ":" + port);
  const Status status = AcceptAll(listener, deadline_ns);
  ::close(listener);
  return status;
}

Status SocketStar::AcceptAll(int listener, std::int64_t deadline_ns) {
  const std::int64_t begin_ns = NowNs();
  std::vector<char> came(static_cast<std::size_t>(size_), 0);
  came[0] = 1;
  for (int missing = size_ - 1; missing > 0;) {
    (void)WaitFor(listener, POLLIN, deadline_ns);
    if (NowNs() >= deadline_ns) {  // also where strangers come and come
      return Status(StatusCode::kDeadlineExceeded,
                    "joining: " + MissingOf(came) + " did not come within " + Milliseconds(deadline_ns - begin_ns));
    }
    const int socket = ::accept(listener, nullptr, nullptr);
    if (socket < 0 && IsShortage(errno)) return SystemError("joining: learner 0 cannot take another connection");
    if (socket < 0) continue;
    Prepare(socket);
    Hello hello;
    // A stranger is let go.
    if (!ReceiveAll(socket, &hello, sizeof hello, std::min(deadline_ns, NowNs() + kSendNs)) || hello.magic != kMagic ||
        hello.rank < 1 || hello.rank >= size_) {
      ::close(socket);
      continue;
    }
    const auto rank = static_cast<std::size_t>(hello.rank);
    if (hello.size != size_ || came[rank] != 0) {
      ::close(socket);
      return InvalidArgumentError(
          "joining: learner " + std::to_string(hello.rank) +
          (hello.size != size_ ? " is of a group of " + std::to_string(hello.size) + ", not of " + std::to_string(size_)
                               : " came twice"));
    }
    peers_[rank].socket = socket;
    came[rank] = 1;
    --missing;
  }
  return OkStatus();
}

Status SocketStar::Greet(const std::string& host, const std::string& port, std::int64_t deadline_ns) {
  const std::int64_t begin_ns = NowNs();
  Addresses addresses;
  TIERLIB_RETURN_IF_ERROR(addresses.Find(host, port, /*to_listen=*/false));
  for (std::int64_t retry_ns = kFirstRetryNs;; retry_ns = std::min(2 * retry_ns, kLastRetryNs)) {
    for (const addrinfo* at = addresses.first(); at != nullptr; at = at->ai_next) {
      const int socket = ::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
      if (socket < 0) continue;
      Prepare(socket);
      bool there = ::connect(socket, at->ai_addr, at->ai_addrlen) == 0;
      if (!there && errno == EINPROGRESS && WaitFor(socket, POLLOUT, std::min(deadline_ns, NowNs() + kConnectNs))) {
        int error = 0;
        socklen_t bytes = sizeof error;
        there = ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 && error == 0;
      }
      Hello hello;
      hello.rank = rank_;
      hello.size = size_;
      if (there && !IsConnectedToItself(socket) && SendAll(socket, &hello, sizeof hello, deadline_ns)) {
        peers_[0].socket = socket;
        return OkStatus();
      }
      ::close(socket);
    }
    if (NowNs() >= deadline_ns) {
      return Status(StatusCode::kDeadlineExceeded, "joining: learner 0 did not come to " + host + ":" + port +
                                                       " within " + Milliseconds(deadline_ns - begin_ns));
    }
    (void)::poll(nullptr, 0, MillisecondsUntil(std::min(deadline_ns, NowNs() + retry_ns)));
  }
}

SocketStar::~SocketStar() {
  for (Peer& peer : peers_) {
    // What nobody read would make the system drop what was said last.
    if (peer.socket >= 0) Read(peer);
    Close(peer);
  }
}

void SocketStar::Close(Peer& peer) {
  if (peer.socket >= 0) ::close(peer.socket);
  peer.socket = -1;
}

void SocketStar::Send(int peer, std::uint32_t kind, const std::vector<std::byte>& bytes) {
  Peer& to = At(peer);
  if (to.socket < 0) return;
  const Header header{kind, static_cast<std::uint32_t>(bytes.size())};
  std::vector<std::byte> frame(sizeof header + bytes.size());
  std::memcpy(frame.data(), &header, sizeof header);
  std::copy(bytes.begin(), bytes.end(), frame.begin() + sizeof header);
  // An end that takes nothing is noticed where it is read from.
  if (!SendAll(to.socket, frame.data(), frame.size(), NowNs() + kSendNs)) (void)::shutdown(to.socket, SHUT_WR);
}

// All that is there, without waiting.
void SocketStar::Read(Peer& peer) {
  std::byte buffer[4096];
  while (peer.socket >= 0) {
    const ssize_t got = ::recv(peer.socket, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got <= 0) {
      Close(peer);
      break;
    }
    peer.partial.insert(peer.partial.end(), buffer, buffer + got);
  }
  std::size_t at = 0;
  Header header;
  while (peer.partial.size() - at >= sizeof header) {
    std::memcpy(&header, peer.partial.data() + at, sizeof header);
    if (header.bytes > kMostBytes) {
      Close(peer);
      break;
    }
    if (peer.partial.size() - at - sizeof header < header.bytes) break;
    const auto begin = peer.partial.begin() + static_cast<std::ptrdiff_t>(at + sizeof header);
    peer.messages.push_back({header.kind, {begin, begin + header.bytes}});
    at += sizeof header + header.bytes;
  }
  peer.partial.erase(peer.partial.begin(), peer.partial.begin() + static_cast<std::ptrdiff_t>(at));
}

const SocketStar::Message* SocketStar::Next(int peer) {
  Peer& from = At(peer);
  if (from.messages.empty()) Read(from);
  return from.messages.empty() ? nullptr : &from.messages.front();
}

SocketStar::Message SocketStar::Take(int peer) {
  Message message = std::move(At(peer).messages.front());
  At(peer).messages.pop_front();
  return message;
}

bool SocketStar::IsGone(int peer) { return Next(peer) == nullptr && At(peer).socket < 0; }

void SocketStar::Wait(std::int64_t until_ns) {
  std::vector<pollfd> sockets;
  for (const Peer& peer : peers_) {
    if (!peer.messages.empty()) return;
    if (peer.socket >= 0) sockets.push_back({peer.socket, POLLIN, 0});
  }
  (void)::poll(sockets.data(), sockets.size(), MillisecondsUntil(until_ns));
}

}  // namespace tierlib::comm
