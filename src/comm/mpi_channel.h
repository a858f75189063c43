// MpiChannel: messages between the learners of an MPI communicator, none of which is waited for without bound.
#ifndef TIERLIB_SRC_COMM_MPI_CHANNEL_H_
#define TIERLIB_SRC_COMM_MPI_CHANNEL_H_

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <vector>

namespace tierlib::comm {

enum class MpiTag : int { kCall = 1, kVerdict = 2, kImpatience = 3, kData = 4 };

// An operation of MPI that is under way, and the learner at its other end.
struct MpiPending {
  MPI_Request request = MPI_REQUEST_NULL;
  int peer = 0;
};

// Thread-safety: one thread at a time.
class MpiChannel {
 public:
  // Takes the communicator over.
  explicit MpiChannel(MPI_Comm communicator);
  // Messages that nobody received are left to MPI.
  ~MpiChannel();
  MpiChannel(const MpiChannel&) = delete;
  MpiChannel& operator=(const MpiChannel&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  // Sends a copy of the message; returns at once, whether or not it is ever received.
  void Post(int to, MpiTag tag, std::vector<std::byte> message);
  // Begins to receive up to `bytes` bytes, in pieces that MPI can count; `data` stays until they are there.
  void BeginReceive(int from, MpiTag tag, void* data, std::uint64_t bytes, std::vector<MpiPending>& pending);
  void BeginSend(int to, MpiTag tag, const void* data, std::uint64_t bytes, std::vector<MpiPending>& pending);
  bool Done(MpiPending& pending);
  // Of what begins to receive.
  void Cancel(std::vector<MpiPending>& pending);
  // True where a message waits.
  bool Waits(int from, MpiTag tag);

  // Waits until all are done; after `deadline_ns` (base/clock.h) ends the job, naming the learners that are missing.
  void Finish(std::vector<MpiPending>& pending, std::int64_t deadline_ns, const std::string& what);
  // Ends the job with a line on the standard error stream.
  [[noreturn]] void Die(const std::string& why);

 private:
  struct Posted {
    std::vector<std::byte> message;
    MPI_Request request;
  };
  void Check(int code);

  MPI_Comm communicator_;
  int rank_ = 0;
  int size_ = 0;
  std::list<Posted> posted_;
};

// Waits a moment for other processes to get on: longer the more often it was called in a row.
class Backoff {
 public:
  void Wait();

 private:
  int calls_ = 0;
};

}  // namespace tierlib::comm

#endif  // TIERLIB_SRC_COMM_MPI_CHANNEL_H_
