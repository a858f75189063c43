#include "train_lm/learner_failures.h"

#include <new>

namespace train_lm {

using tierlib::Status;
using tierlib::StatusCode;

namespace {

// `first`, or the one that it was told of: who gives up within an operator has told the others before it is back.
int CauseOf(const std::vector<Status>& statuses, int first) {
  if (statuses[static_cast<std::size_t>(first)].code() != StatusCode::kUnavailable) return first;
  for (std::size_t rank = 0; rank < statuses.size(); ++rank) {
    const StatusCode code = statuses[rank].code();
    if (code != StatusCode::kOk && code != StatusCode::kUnavailable) return static_cast<int>(rank);
  }
  return first;
}

}  // namespace

Status RunBody(const std::function<Status(Learner)>& body, tierlib::comm::Communicator* me) {
  try {
    return body(Learner(me));
  } catch (const std::bad_alloc&) {
    return tierlib::ResourceExhaustedError("the machine has not enough memory for this model and text");
  }
}

std::string TextOf(const Status& status) {
  return status.message().empty() ? status.ToString() : std::string(status.message());
}

Status StatusOfAll(const std::vector<Status>& statuses, int first) {
  if (first < 0) return tierlib::OkStatus();
  first = CauseOf(statuses, first);
  const Status& failure = statuses[static_cast<std::size_t>(first)];
  for (const Status& status : statuses) {
    if (status == failure) continue;
    return Status(failure.code(), "learner " + std::to_string(first) + ": " + TextOf(failure));
  }
  return failure;
}

}  // namespace train_lm
