// StarMeeting: where learners that are processes come together for a collective, all of them or none, over a
// SocketStar.
//
// Learner 0 decides: the others tell it which collective they come to, it waits for them up to the deadline, compares,
// and answers all alike. A learner whose process ends is noticed by its socket, and named to all others at once.
//
// A collective is Meet, then work on data that can fail on some learners, then Confirm, in which all say how it went:
// so nobody succeeds where another one failed. Without work Meet is enough.
//
//   I1  broken_ is set once; nothing but answers is sent then
//
// Thread-safety: one thread at a time.
#ifndef TIERLIB_SRC_COMM_STAR_MEETING_H_
#define TIERLIB_SRC_COMM_STAR_MEETING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "comm/call.h"
#include "comm/call_message.h"
#include "comm/socket_star.h"
#include "tierlib/status.h"

namespace tierlib::comm {

class StarMeeting {
 public:
  StarMeeting(std::unique_ptr<SocketStar> star, std::uint64_t deadline_ns);

  int rank() const { return star_->rank(); }
  int size() const { return star_->size(); }
  // Collectives are counted from here on.
  void Begin(std::uint64_t deadline_ns) {
    deadline_ns_ = deadline_ns;
    number_ = 0;
  }
  const Status& broken() const { return broken_; }

  // Returns OK on every learner once all have come with calls that agree; the refusal where all refuse alike, which
  // breaks nothing; otherwise the status that broke the group.
  Status Meet(const Call& call);
  // After work of the last Meet: OK on every learner where it went well on all, otherwise the status that broke the
  // group. Others' work may take as long as the deadline.
  // `in_vain`: this learner's failed for the sake of another's alone.
  Status Confirm(const Status& own, bool in_vain = false);
  // True where work is in vain, as a learner has failed or is gone: Confirm says who. Returns at once.
  bool IsInVain();
  // Waits for word from the others, until `until_ns` at the latest.
  void Wait(std::int64_t until_ns) { star_->Wait(until_ns); }

  // Learner 0's bytes to all others, before the first collective; what the others got.
  StatusOr<std::vector<std::byte>> Share(const std::vector<std::byte>& bytes);
  // This learner will not come any more.
  void Leave(const std::string& why);

 private:
  struct Turn {
    std::string name;           // of the collective, for messages
    std::uint64_t deadline_ns;  // for the last one to come
    bool confirms;
  };
  Status Agree(const Call& call, const Turn& turn);
  Status Gathered(const Call& call, const Turn& turn);
  void Answer(const Status& verdict);
  void DropStaleImpatience(int peer);
  bool SomebodyIsImpatient(int peer);
  Status Ask(const Call& call, const Turn& turn);
  bool HasCall(int peer);

  std::unique_ptr<SocketStar> star_;
  std::uint64_t deadline_ns_;
  std::uint64_t number_ = 0;   // of the next collective, for messages
  std::uint64_t meeting_ = 0;  // of all, Confirm's too
  std::string doing_;          // the one that all have come to
  std::string left_;           // why; "": it is still there
  Status broken_;
};

}  // namespace tierlib::comm

#endif  // TIERLIB_SRC_COMM_STAR_MEETING_H_
