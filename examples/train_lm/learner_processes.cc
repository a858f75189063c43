#include "train_lm/learner_processes.h"

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "tierlib/comm/mpi_communicator.h"
#include "train_lm/job_run.h"
#include "train_lm/learner_failures.h"

namespace train_lm {
namespace {

using tierlib::Status;
using tierlib::StatusCode;
using tierlib::StatusOr;
using tierlib::comm::Communicator;

// What each learner gives, by rank.
StatusOr<std::vector<std::string>> GatherTexts(Communicator& group, const std::string& mine) {
  const auto count = static_cast<std::size_t>(group.size());
  const std::uint64_t bytes = mine.size();
  std::vector<std::uint64_t> sizes(count);
  TIERLIB_RETURN_IF_ERROR(
      group.AllGather(&bytes, std::vector<std::uint64_t>(count, sizeof bytes), static_cast<void*>(sizes.data())));
  std::string whole(std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0}), '\0');
  TIERLIB_RETURN_IF_ERROR(group.AllGather(mine.data(), sizes, whole.data()));
  std::vector<std::string> texts;
  std::size_t begin = 0;
  for (const std::uint64_t size : sizes) {
    texts.push_back(whole.substr(begin, size));
    begin += size;
  }
  return texts;
}

// The code in the first byte, in the second the signal that came to this process, then the message.
std::string Encode(const Status& status) {
  const char head[] = {static_cast<char>(status.code()), static_cast<char>(stop_signal.load())};
  return std::string(head, sizeof head) + std::string(status.message());
}

Status Decode(const std::string& text) {
  const auto code = static_cast<StatusCode>(text.at(0));
  return code == StatusCode::kOk ? tierlib::OkStatus() : Status(code, text.substr(2));
}

// Learner 0's process exits for the signal, whoever got it.
void TakeSignal(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    if (stop_signal == 0) stop_signal = text.at(1);
  }
}

int FirstFailure(const std::vector<Status>& statuses) {
  for (std::size_t rank = 0; rank < statuses.size(); ++rank) {
    if (!statuses[rank].ok()) return static_cast<int>(rank);
  }
  return -1;
}

}  // namespace

StatusOr<std::unique_ptr<LearnerProcesses>> LearnerProcesses::Start() {
  int provided = MPI_THREAD_SINGLE;
  // Sharded clustering makes collectives on the device's thread, one at a time.
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided);
  std::unique_ptr<LearnerProcesses> processes(new LearnerProcesses);
  TIERLIB_ASSIGN_OR_RETURN(processes->work_, tierlib::comm::MakeMpiCommunicator({.deadline_ns = kLearnerDeadlineNs}));
  // A learner that failed waits there for those that hear of it in their next collective: after a step's work at most.
  TIERLIB_ASSIGN_OR_RETURN(processes->end_, tierlib::comm::MakeMpiCommunicator({.deadline_ns = kLearnerDeadlineNs}));
  return processes;
}

LearnerProcesses::~LearnerProcesses() {
  work_.reset();
  end_.reset();
  MPI_Finalize();
}

int LearnerProcesses::rank() const { return end_->rank(); }
int LearnerProcesses::count() const { return end_->size(); }

Status LearnerProcesses::Run(const std::function<Status(Learner)>& body) {
  if (count() == 1) return body(Learner());
  const Status mine = RunBody(body, work_.get());
  if (!mine.ok()) work_->Abort(TextOf(mine));
  const StatusOr<std::vector<std::string>> all = GatherTexts(*end_, Encode(mine));
  if (!all.ok()) return mine.ok() ? all.status() : mine;
  TakeSignal(*all);
  std::vector<Status> statuses;
  for (const std::string& text : *all) statuses.push_back(Decode(text));
  return StatusOfAll(statuses, FirstFailure(statuses));
}

}  // namespace train_lm
