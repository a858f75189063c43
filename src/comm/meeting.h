// Meeting: where the learners of a thread group come together for a collective, all of them or none.
//
// A collective is Meet, then work on what the others brought, with Regroup between parts that need each other's
// results, then Part. Only Meet has a deadline and can fail: by then nobody has touched anybody's memory. Between Meet
// and Part everyone is inside the library, so Regroup and Part end; there nothing may throw, and nothing allocates.
#ifndef TIERLIB_SRC_COMM_MEETING_H_
#define TIERLIB_SRC_COMM_MEETING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "comm/call.h"
#include "tierlib/status.h"

namespace tierlib::comm {

//   I1  before all have met: arrived_ is the number of true entries of came_, and stands below their number
//   I2  broken_ is set once and stays; nobody meets any more then
//   I3  calls_ change in Meet only, before all have met; so they may be read without the lock between Meet and Part
//
// Thread-safety: any thread; each rank from one at a time.
class Meeting {
 public:
  Meeting(int learners, std::uint64_t deadline_ns);

  int size() const { return learners_; }

  // Returns OK on every learner once all have come with calls that agree, refusals included; otherwise the status that
  // broke the group. What `call` points to is left alone until Part.
  Status Meet(int rank, Call call) noexcept;
  // Of the learners that met. REQUIRES: between Meet and Part.
  const Call& call(int rank) const { return calls_[static_cast<std::size_t>(rank)]; }
  // Returns once all have come to it.
  void Regroup();
  // The same, and lets the next meeting begin.
  void Part();

  // The learner will not come any more. Breaks a meeting that waits for it, and any that begins later. Without memory
  // for messages all are told so, without them. REQUIRES: `why` is not empty.
  void Leave(int rank, std::string why) noexcept;

 private:
  void Break(Status status) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Where these throw std::bad_alloc for want of a message, nobody has met and the group is not broken.
  void BreakByLeaver(int rank) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AwaitTheOthers(std::int64_t deadline_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // "collective 3 (barrier)", by the call of a learner that came. REQUIRES: one did.
  std::string Name() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WaitForAll(bool last);

  const int learners_;
  const std::uint64_t deadline_ns_;
  std::vector<Call> calls_;  // I3
  Mutex mutex_;
  CondVar changed_;
  std::uint64_t number_ ABSL_GUARDED_BY(mutex_) = 0;  // of this meeting, for messages
  std::vector<char> came_ ABSL_GUARDED_BY(mutex_);
  int arrived_ ABSL_GUARDED_BY(mutex_) = 0;
  bool met_ ABSL_GUARDED_BY(mutex_) = false;
  int regrouped_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t stage_ ABSL_GUARDED_BY(mutex_) = 0;        // raised when all have regrouped
  std::vector<std::string> left_ ABSL_GUARDED_BY(mutex_);  // why; "": it is still there
  Status broken_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib::comm

#endif  // TIERLIB_SRC_COMM_MEETING_H_
