// SavedStore: values that the program computes again by itself.
//
// They are replays without a source (replay.cc): a recipe of one step, which asks the program. What it computes them
// from it keeps itself, as a rule in Saved handles that its function captures.
#include <algorithm>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "graph/saved_store.h"

namespace tierlib {
namespace {

// This thread is among those that compute a snapshot, until it leaves the scope.
class Computing {
 public:
  explicit Computing(Snapshot& snapshot) : snapshot_(snapshot) {
    snapshot_.computing.push_back(std::this_thread::get_id());
  }
  ~Computing() {
    auto& threads = snapshot_.computing;
    threads.erase(std::find(threads.begin(), threads.end(), std::this_thread::get_id()));
  }
  Computing(const Computing&) = delete;
  Computing& operator=(const Computing&) = delete;

  static bool IsAtIt(const Snapshot& snapshot) {
    const auto& threads = snapshot.computing;
    return std::find(threads.begin(), threads.end(), std::this_thread::get_id()) != threads.end();
  }

 private:
  Snapshot& snapshot_;
};

}  // namespace

std::shared_ptr<const Derivation> SavedStore::Own(std::unique_ptr<Derivation>&& derivation) {
  struct Forget : public Deferred::Work {
    void Run() override { derivation.reset(); }
    std::unique_ptr<Derivation> derivation;
  };
  auto forget = std::make_unique<Forget>();  // ahead: who drops the last reference needs no memory
  forget->derivation = std::move(derivation);
  const Derivation* const owned = forget->derivation.get();
  return {owned, [this, work = forget.release()](const Derivation*) {
            deferred_.Later(std::unique_ptr<Deferred::Work>(work));
          }};
}

Status SavedStore::Recomputes(const View& value, Recompute recompute) {
  TIERLIB_RETURN_IF_ERROR(fork_.Check());
  // Of the program, so it is made, and goes where something fails, without the lock.
  auto derivation = std::make_unique<Derivation>();
  const bool callable = recompute.function != nullptr;
  derivation->replay =
      Replay::Call(recompute.name, [function = std::move(recompute.function)](const ReplayArguments& arguments) {
        return function({arguments.destination, arguments.destination_layout, arguments.stream});
      });
  Locked lock(*this);
  TIERLIB_ASSIGN_OR_RETURN(Storage * storage, table_.Find(value.storage));
  TIERLIB_RETURN_IF_ERROR(value.layout.Validate(storage->bytes));
  if (!callable) {
    return InvalidArgumentError("recompute '" + std::string(recompute.name) + "' of " +
                                DescribeStorage(storage->id, storage->label) + ": no function to call");
  }
  TIERLIB_RETURN_IF_ERROR(SeeVersion(*storage, value.version));
  std::optional<ByteRanges> bytes = ByteRanges::Of(value.layout);
  if (!bytes || bytes->empty()) return OkStatus();  // nothing that a value could be found within
  const ContentKey content = {storage->id, storage->version};
  derivation->derived = content;
  derivation->derived_layout = value.layout;
  derivation->derived_bytes = *std::move(bytes);
  const Recomputation told{Own(std::move(derivation)), recompute.cost_ns, recompute.always};
  const std::vector<std::shared_ptr<Snapshot>> snapshots = SnapshotsOf(content);
  lineage_.SetRecomputation(content, told);
  for (const std::shared_ptr<Snapshot>& snapshot : snapshots) {
    if (snapshot->recipe.empty() && snapshot->host_bytes.empty()) snapshot->recomputation = told;
  }
  trace::Write(recorder(), trace::Event::kRecomputes, trace::Tag::kNone, recompute.always ? 1 : 0,
               recorder_ != nullptr ? recorder_->Intern(recompute.name) : 0, content.storage.ToInteger(),
               recompute.cost_ns);
  return OkStatus();
}

Status SavedStore::RunRecompute(Snapshot& snapshot, const RecipeStep& step, DeviceBuffer& to, Stream stream) {
  const Replay& replay = step.derivation->replay;
  const auto named = [&](std::string_view what) {
    return DescribeStorage(snapshot.key.storage, snapshot.label) + ": recompute '" + replay.name +
           "': " + std::string(what);
  };
  if (Computing::IsAtIt(snapshot)) return FailedPreconditionError(named("it needs the value that it computes"));
  ReplayArguments arguments;
  arguments.destination = to.storage_base();
  arguments.destination_layout = step.to_layout();
  arguments.stream = stream;
  const Computing computing(snapshot);
  Status status;
  {
    const MutexUnlock unlock(mutex_);  // the program's code runs without our lock
    status = replay.function(arguments);
  }
  return status.ok() ? status : Status(status.code(), named(status.message()));
}

void SavedStore::ForgetLineage() {
  if (fork_.in_child()) return;
  Locked lock(*this);
  lineage_ = Lineage();
}

}  // namespace tierlib
