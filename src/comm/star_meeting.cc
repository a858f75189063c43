#include "comm/star_meeting.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.h"

namespace tierlib::comm {
namespace {

constexpr std::uint64_t kGraceNs = 10'000'000'000;  // for an answer, beyond the deadline
constexpr std::int64_t kLookNs = 100'000'000;

enum Kind : std::uint32_t { kCall = 1, kVerdict = 2, kImpatience = 3, kShared = 4 };

// a + b, or the largest there is.
std::uint64_t Sum(std::uint64_t a, std::uint64_t b) { return a + b < a ? ~std::uint64_t{0} : a + b; }

// Why work failed on one who has come: first hand, or for the sake of another's.
Status FailureOf(const std::vector<Call>& calls, const std::vector<char>& came, bool in_vain) {
  for (std::size_t rank = 0; rank < calls.size(); ++rank) {
    const Status& refusal = calls[rank].refusal;
    if (came[rank] == 0 || refusal.ok() || (calls[rank].tag != 0) != in_vain) continue;
    return Status(refusal.code(), "learner " + std::to_string(rank) + ": " + std::string(refusal.message()));
  }
  return OkStatus();
}

std::string Within(std::uint64_t ns) { return " did not come within " + std::to_string(ns / 1'000'000) + " ms"; }

template <typename T>
std::vector<std::byte> BytesOf(const T& value) {
  const auto* const begin = reinterpret_cast<const std::byte*>(&value);
  return {begin, begin + sizeof value};
}

}  // namespace

StarMeeting::StarMeeting(std::unique_ptr<SocketStar> star, std::uint64_t deadline_ns)
    : star_(std::move(star)), deadline_ns_(deadline_ns) {}

Status StarMeeting::Meet(const Call& call) {
  if (!broken_.ok()) return broken_;
  doing_ = "collective " + std::to_string(number_++) + " (" + call.ToString() + ")";
  TIERLIB_RETURN_IF_ERROR(Agree(call, {doing_, deadline_ns_, /*confirms=*/false}));
  return call.refusal;
}

Status StarMeeting::Confirm(const Status& own, bool in_vain) {
  if (!broken_.ok()) return broken_;
  Call done;
  done.name = "done";
  done.tag = in_vain ? 1 : 0;
  if (!own.ok()) done.refusal = Status(own.code(), doing_ + ": " + std::string(own.message()));
  return Agree(done, {doing_, Sum(deadline_ns_, kGraceNs), /*confirms=*/true});
}

Status StarMeeting::Agree(const Call& call, const Turn& turn) {
  if (!left_.empty()) {
    broken_ = UnavailableError(turn.name + ": learner " + std::to_string(rank()) + " " + left_);
    return broken_;
  }
  if (rank() == 0) {
    const Status verdict = Gathered(call, turn);
    Answer(verdict);
    broken_ = verdict;
  } else {
    broken_ = Ask(call, turn);
  }
  ++meeting_;
  return broken_;
}

void StarMeeting::Answer(const Status& verdict) {
  const std::vector<std::byte> message = EncodeVerdict(verdict);
  for (int peer = 1; peer < size(); ++peer) star_->Send(peer, kVerdict, message);
}

bool StarMeeting::HasCall(int peer) {
  const SocketStar::Message* const next = star_->Next(peer);
  return next != nullptr && next->kind == kCall && next->bytes.size() == CallMessageBytes(size());
}

// What another learner said when it had waited for an earlier meeting up to its deadline.
void StarMeeting::DropStaleImpatience(int peer) {
  for (;;) {
    const SocketStar::Message* const next = star_->Next(peer);
    if (next == nullptr || next->kind != kImpatience || next->bytes == BytesOf(meeting_)) return;
    (void)star_->Take(peer);
  }
}

// True where it waited for this one.
bool StarMeeting::SomebodyIsImpatient(int peer) {
  DropStaleImpatience(peer);
  const SocketStar::Message* const next = star_->Next(peer);
  if (next == nullptr || next->kind != kImpatience) return false;
  (void)star_->Take(peer);
  return true;
}

// Learner 0 waits for the others' calls.
Status StarMeeting::Gathered(const Call& call, const Turn& turn) {
  const std::int64_t deadline_ns = DeadlineIn(turn.deadline_ns);
  const auto learners = static_cast<std::size_t>(size());
  std::vector<char> came(learners, 0);
  std::vector<Call> calls(learners, call);
  std::vector<HeardCall> heard(learners);
  came[0] = 1;
  std::size_t arrived = 1;
  for (;;) {
    bool late = false;
    for (int peer = 1; peer < size(); ++peer) {
      const auto at = static_cast<std::size_t>(peer);
      late = SomebodyIsImpatient(peer) || late;
      if (came[at] != 0) continue;
      const std::string who = turn.name + ": learner " + std::to_string(peer) + " ";
      if (star_->IsGone(peer)) return UnavailableError(who + "is gone: its process has ended");
      if (!HasCall(peer)) continue;
      heard[at] = HeardCall(star_->Take(peer).bytes);
      calls[at] = heard[at].call();
      came[at] = 1;
      ++arrived;
      if (const std::string left = heard[at].left(); !left.empty()) return UnavailableError(who + left);
    }
    // After all calls are taken: those who waited for this learner said so behind their calls, and may have given up.
    for (int peer = 1; peer < size(); ++peer) late = SomebodyIsImpatient(peer) || late;
    if (late || (arrived < learners && NowNs() >= deadline_ns)) {
      const std::string who = arrived == learners ? "learner 0" : MissingOf(came);
      return Status(StatusCode::kDeadlineExceeded, turn.name + ": " + who + Within(turn.deadline_ns));
    }
    if (turn.confirms) {
      // Told at once, as the others' work may hang for it.
      if (Status failure = FailureOf(calls, came, /*in_vain=*/false); !failure.ok()) return failure;
      if (arrived == learners) return FailureOf(calls, came, /*in_vain=*/true);
    } else if (arrived == learners) {
      return DisagreementOf(calls);
    }
    star_->Wait(std::min(deadline_ns, NowNs() + kLookNs));
  }
}

// The others. Learner 0 decides even when it is late: so nobody is told anything else than the rest.
Status StarMeeting::Ask(const Call& call, const Turn& turn) {
  star_->Send(0, kCall, EncodeCall(call, "", size()));
  const std::int64_t deadline_ns = DeadlineIn(turn.deadline_ns);
  const std::uint64_t longest_ns = Sum(Sum(turn.deadline_ns, turn.deadline_ns), kGraceNs);
  const std::int64_t end_ns = DeadlineIn(longest_ns);
  bool impatient = false;
  for (;;) {
    if (const SocketStar::Message* const next = star_->Next(0); next != nullptr) {
      const SocketStar::Message message = star_->Take(0);
      VerdictMessage verdict;
      if (message.kind != kVerdict || message.bytes.size() != sizeof verdict) continue;
      std::memcpy(&verdict, message.bytes.data(), sizeof verdict);
      verdict.text[sizeof verdict.text - 1] = '\0';
      return StatusOf(verdict);
    }
    if (star_->IsGone(0)) return UnavailableError(turn.name + ": learner 0 is gone: its process has ended");
    const std::int64_t now_ns = NowNs();
    if (now_ns >= end_ns) {
      const std::string late = "learner 0" + Within(longest_ns);
      star_->Send(0, kCall, EncodeCall({}, "gave up: " + late, size()));  // for learner 0, should it still come
      return Status(StatusCode::kDeadlineExceeded, turn.name + ": " + late);
    }
    if (now_ns >= deadline_ns && !impatient) {
      star_->Send(0, kImpatience, BytesOf(meeting_));
      impatient = true;
    }
    star_->Wait(std::min(impatient ? end_ns : deadline_ns, now_ns + kLookNs));
  }
}

bool StarMeeting::IsInVain() {
  if (rank() != 0) return star_->Next(0) != nullptr || star_->IsGone(0);
  for (int peer = 1; peer < size(); ++peer) {
    if (star_->IsGone(peer)) return true;
    DropStaleImpatience(peer);
    if (!HasCall(peer)) continue;
    const HeardCall call(star_->Next(peer)->bytes);
    if (call.left()[0] != '\0' || !call.call().refusal.ok()) return true;
  }
  return false;
}

StatusOr<std::vector<std::byte>> StarMeeting::Share(const std::vector<std::byte>& bytes) {
  if (rank() == 0) {
    for (int peer = 1; peer < size(); ++peer) star_->Send(peer, kShared, bytes);
    return bytes;
  }
  const std::int64_t deadline_ns = DeadlineIn(Sum(deadline_ns_, kGraceNs));
  while (star_->Next(0) == nullptr) {
    if (star_->IsGone(0)) return UnavailableError("joining: learner 0 is gone: its process has ended");
    if (NowNs() >= deadline_ns) {
      return Status(StatusCode::kDeadlineExceeded, "joining: learner 0 said nothing" + Within(deadline_ns_));
    }
    star_->Wait(std::min(deadline_ns, NowNs() + kLookNs));
  }
  SocketStar::Message message = star_->Take(0);
  if (message.kind != kShared) return UnavailableError("joining: learner 0 has left the group");
  return std::move(message.bytes);
}

void StarMeeting::Leave(const std::string& why) {
  if (!left_.empty() || !broken_.ok()) return;
  left_ = why;
  if (rank() == 0) {
    Answer(UnavailableError("collective " + std::to_string(number_) + ": learner 0 " + why));
  } else {
    star_->Send(0, kCall, EncodeCall({}, why, size()));
  }
}

}  // namespace tierlib::comm
