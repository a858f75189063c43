// The deterministic schedule: no threads. A seeded scheduler on the caller's thread decides which stream advances, and
// when: whenever the program enqueues, asks for the state of an event, or waits. The same calls with the same seed run
// in the same order.
//
// It is unfair on purpose. From time to time it draws anew how likely each stream is to advance and how much happens
// per call, so that a copy may lag far behind the kernels enqueued after it, which is where a missing wait shows. A
// copy takes two steps: first its destination holds poison (where poison is on), then the bytes; other streams run
// between the two.
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "allocator/emulated/hazards.h"
#include "allocator/emulated/schedule.h"
#include "base/mutex.h"

namespace tierlib::emulated {
namespace {

constexpr std::size_t kBacklogLimit = 4096;  // more work than this runs down before Enqueue returns
constexpr std::uint8_t kPoison = 0xFF;       // a NaN in every floating-point format

struct Queue {
  std::string name;
  std::deque<Work> work;
  bool copying = false;        // the copy at the front has taken its first step
  std::uint64_t weight = 1;    // how likely this stream is to advance
  std::int64_t kernel_ns = 0;  // for how long its kernels have run
};

bool Runnable(const Queue& queue) {
  if (queue.work.empty()) return false;
  const auto* wait = std::get_if<WaitWork>(&queue.work.front());
  return wait == nullptr || wait->recording->done();
}

class DeterministicSchedule : public Schedule {
 public:
  DeterministicSchedule(const EmulatedOptions& options, Engines& engines, Arena& arena, Health& health)
      : engines_(engines),
        arena_(arena),
        health_(health),
        hazards_(arena),
        poison_(options.poison),
        strict_(options.strict),
        random_(options.seed) {}

  ~DeterministicSchedule() override {
    MutexLock lock(mutex_);
    health_.Report(RunUntil([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return backlog_ == 0; }));
  }

  Status AddStream(StreamHandle stream, std::string_view name) override {
    MutexLock lock(mutex_);
    queues_[stream].name = std::string(name);
    return OkStatus();
  }

  Status RemoveStream(StreamHandle stream) override {
    MutexLock lock(mutex_);
    const auto found = queues_.find(stream);
    if (found == queues_.end()) return UnknownStream(stream);
    const Queue& queue = found->second;
    const Status ended = RunUntil([&queue] { return queue.work.empty(); });
    queues_.erase(found);
    return ended;
  }

  Status Enqueue(StreamHandle stream, Work work) override {
    MutexLock lock(mutex_);
    const auto found = queues_.find(stream);
    if (found == queues_.end()) return UnknownStream(stream);
    found->second.work.push_back(std::move(work));
    ++backlog_;
    Progress();
    return RunUntil([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return backlog_ <= kBacklogLimit; });
  }

  Status WaitFor(const Recording& recording) override {
    MutexLock lock(mutex_);
    return RunUntil([&recording] { return recording.done(); });
  }

  Status WaitForStream(StreamHandle stream) override {
    MutexLock lock(mutex_);
    const auto found = queues_.find(stream);
    if (found == queues_.end()) return UnknownStream(stream);
    const Queue& queue = found->second;
    return RunUntil([&queue] { return queue.work.empty(); });
  }

  Status WaitForAll() override {
    MutexLock lock(mutex_);
    return RunUntil([this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return backlog_ == 0; });
  }

  void Poll() override {
    MutexLock lock(mutex_);
    Progress();
  }

 private:
  // Lets a random number of steps happen, often none.
  void Progress() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (Draw(64) == 0) eagerness_ = Draw(4);
    std::uint64_t steps = eagerness_ == 0 ? Draw(16) / 15 : Draw(2 * eagerness_);
    health_.Report(RunUntil([&steps] { return steps-- == 0; }, /*may_stall=*/true));
  }

  // Steps until `done` or, with may_stall, until nothing can run. The gate of the arena is open meanwhile.
  template <typename Done>
  Status RunUntil(Done done, bool may_stall = false) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (done()) return OkStatus();
    TIERLIB_RETURN_IF_ERROR(arena_.Open());
    Status result;
    do {
      Queue* queue = Choose();
      if (queue == nullptr) {
        if (!may_stall) result = Deadlock();
        break;
      }
      Step(*queue);
    } while (!done());
    const Status closed = arena_.Close();
    return result.ok() ? closed : result;
  }

  Queue* Choose() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (Draw(64) == 0) {
      for (auto& [stream, queue] : queues_) queue.weight = std::uint64_t{1} << (3 * Draw(4));
    }
    std::uint64_t total = 0;
    for (const auto& [stream, queue] : queues_) total += Runnable(queue) ? queue.weight : 0;
    if (total == 0) return nullptr;
    std::uint64_t ticket = Draw(total);
    for (auto& [stream, queue] : queues_) {
      if (!Runnable(queue)) continue;
      if (ticket < queue.weight) return &queue;
      ticket -= queue.weight;
    }
    return nullptr;
  }

  void Step(Queue& queue) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Work& work = queue.work.front();
    if (auto* copy = std::get_if<CopyWork>(&work); copy != nullptr && !queue.copying) {
      BeginCopy(*copy);
      queue.copying = true;
      return;
    }
    std::visit([&](auto& item) ABSL_NO_THREAD_SAFETY_ANALYSIS { Run(item, queue); }, work);
    queue.copying = false;
    queue.work.pop_front();
    --backlog_;
  }

  void BeginCopy(const CopyWork& copy) {
    if (strict_) {
      health_.Report(hazards_.Check(copy));
      hazards_.Begin(copy);
    }
    if (!poison_) return;
    for (const CopyRun& run : copy.runs) {
      if (run.bytes > 0) std::memset(run.destination, kPoison, run.bytes);
    }
  }

  void Run(CopyWork& copy, Queue&) {
    if (strict_) hazards_.End(copy);
    MoveBytes(copy);
  }
  void Run(HostKernel& kernel, Queue& queue) {
    if (strict_) health_.Report(hazards_.Check(absl::StrCat("kernel ", kernel.name), kernel.accesses));
    queue.kernel_ns += engines_.compute.Run(kernel);
  }
  void Run(FillWork& fill, Queue&) {
    if (strict_) health_.Report(hazards_.Check(fill));
    engines_.compute.Run(fill);
  }
  void Run(RecordWork& record, Queue& queue) { record.recording->Complete(queue.kernel_ns); }
  void Run(WaitWork&, Queue&) {}

  Status Deadlock() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const auto& [stream, queue] : queues_) {
      if (queue.work.empty()) continue;
      return InternalError(
          absl::StrCat("stream ", stream, " (", queue.name, ") waits for an event that no enqueued work records"));
    }
    return InternalError("a wait for an event that no enqueued work records");
  }

  // Uniform enough in [0, bound); the same on every machine, which the standard's distributions are not.
  std::uint64_t Draw(std::uint64_t bound) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return random_() % bound; }

  Engines& engines_;
  Arena& arena_;
  Health& health_;
  Hazards hazards_;
  const bool poison_;
  const bool strict_;
  Mutex mutex_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  std::map<StreamHandle, Queue> queues_ ABSL_GUARDED_BY(mutex_);  // ordered: the order of choice is part of the seed
  std::size_t backlog_ ABSL_GUARDED_BY(mutex_) = 0;               // over all queues
  std::uint64_t eagerness_ ABSL_GUARDED_BY(mutex_) = 1;           // how much happens per call
};

}  // namespace

std::unique_ptr<Schedule> MakeDeterministicSchedule(const EmulatedOptions& options, Engines& engines, Arena& arena,
                                                    Health& health) {
  return std::make_unique<DeterministicSchedule>(options, engines, arena, health);
}

}  // namespace tierlib::emulated
