// The threaded schedule: a worker per stream.
//
// Enqueueing is cheap because a worker takes all that is queued at once, spins for a moment before it sleeps, and is
// woken only when it sleeps. Queues are bounded: a program that runs far ahead of its device blocks, as on a GPU.
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <atomic>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "allocator/emulated/schedule.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace tierlib::emulated {
namespace {

constexpr std::size_t kQueueLimit = 16'384;
constexpr std::int64_t kSpinNs = 30'000;

// A stream's queue and the thread that runs it.
class StreamWorker {
 public:
  // Throws std::system_error where the system has no thread.
  StreamWorker(const std::string& name, Engines& engines) : engines_(engines) {
    // Signals of the program go to the program's own threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      thread_ = std::thread([this] { Loop(); });
    } catch (...) {
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      throw;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
  }

  // Runs what is queued, then ends the thread.
  ~StreamWorker() {
    {
      MutexLock lock(mutex_);
      closing_ = true;
      wake_.NotifyOne();
    }
    thread_.join();
  }

  void Push(Work work) {
    bool asleep = false;
    {
      MutexLock lock(mutex_);
      while (queue_.size() >= kQueueLimit) space_.Wait(mutex_);
      queue_.push_back(std::move(work));
      pushed_.fetch_add(1, std::memory_order_release);
      asleep = asleep_;
      asleep_ = false;
    }
    if (asleep) wake_.NotifyOne();
  }

  // Blocks until what was pushed so far has run. Looks again and again: it is for callers without memory for a
  // recording, which is what others wait for.
  void AwaitPushed() const {
    const std::uint64_t pushed = pushed_.load(std::memory_order_acquire);
    while (ran_.load(std::memory_order_acquire) < pushed) {
      const timespec pause = {0, 50'000};
      nanosleep(&pause, nullptr);
    }
  }

 private:
  // Moves all queued work into `batch`; false where there is none and there will be none.
  bool Take(std::vector<Work>& batch) {
    const std::int64_t deadline_ns = NowNs() + kSpinNs;
    while (pushed_.load(std::memory_order_acquire) == taken_ && NowNs() < deadline_ns) std::this_thread::yield();
    MutexLock lock(mutex_);
    while (queue_.empty() && !closing_) {
      asleep_ = true;
      wake_.Wait(mutex_);
    }
    asleep_ = false;
    if (queue_.size() >= kQueueLimit) space_.NotifyAll();
    batch.swap(queue_);
    taken_ += batch.size();
    return !batch.empty();
  }

  void Run(HostKernel& kernel) { kernel_ns_ += engines_.compute.Run(kernel); }
  void Run(CopyWork& copy) { engines_.Run(copy); }
  void Run(FillWork& fill) { engines_.compute.Run(fill); }
  void Run(RecordWork& record) { record.recording->Complete(kernel_ns_); }
  void Run(WaitWork& wait) { wait.recording->Wait(); }

  void Loop() {
    std::vector<Work> batch;
    while (Take(batch)) {
      for (Work& work : batch) {
        std::visit([this](auto& item) { Run(item); }, work);
        work = WaitWork{};  // drop the closure at once, not when the batch ends
        ran_.fetch_add(1, std::memory_order_release);
      }
      batch.clear();
    }
  }

  Engines& engines_;
  Mutex mutex_;
  CondVar wake_;
  CondVar space_;
  std::vector<Work> queue_ ABSL_GUARDED_BY(mutex_);
  bool asleep_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<std::uint64_t> pushed_{0};
  std::atomic<std::uint64_t> ran_{0};
  std::uint64_t taken_ = 0;     // by the worker only; so is the next
  std::int64_t kernel_ns_ = 0;  // for how long its kernels have run
  std::thread thread_;
};

class ThreadedSchedule : public Schedule {
 public:
  explicit ThreadedSchedule(Engines& engines) : engines_(engines) {}

  // Workers may wait for each other's recordings, so all of them go on until the last one ended.
  ~ThreadedSchedule() override {
    absl::flat_hash_map<StreamHandle, std::shared_ptr<StreamWorker>>
        workers;  // joined after the lock is gone; so below
    MutexLock lock(mutex_);
    workers.swap(workers_);
  }

  Status AddStream(StreamHandle stream, std::string_view name) override {
    try {
      auto worker = std::make_shared<StreamWorker>(std::string(name), engines_);
      MutexLock lock(mutex_);
      workers_.emplace(stream, std::move(worker));
    } catch (const std::system_error&) {
      return ResourceExhaustedError("stream " + std::string(name) + ": the system has no thread for it");
    }
    return OkStatus();
  }

  Status RemoveStream(StreamHandle stream) override {
    std::shared_ptr<StreamWorker> worker;
    MutexLock lock(mutex_);
    const auto found = workers_.find(stream);
    if (found == workers_.end()) return UnknownStream(stream);
    worker = std::move(found->second);
    workers_.erase(found);
    return OkStatus();
  }

  Status Enqueue(StreamHandle stream, Work work) override {
    std::shared_ptr<StreamWorker> worker;
    {
      MutexLock lock(mutex_);
      const auto found = workers_.find(stream);
      if (found == workers_.end()) return UnknownStream(stream);
      worker = found->second;
    }
    worker->Push(std::move(work));
    return OkStatus();
  }

  Status WaitFor(const Recording& recording) override {
    recording.Wait();
    return OkStatus();
  }

  Status WaitForStream(StreamHandle stream) override {
    std::shared_ptr<StreamWorker> worker;
    {
      MutexLock lock(mutex_);
      const auto found = workers_.find(stream);
      if (found == workers_.end()) return UnknownStream(stream);
      worker = found->second;
    }
    worker->AwaitPushed();
    return OkStatus();
  }

  Status WaitForAll() override {
    std::vector<std::shared_ptr<StreamWorker>> workers;
    {
      MutexLock lock(mutex_);
      for (const auto& [stream, worker] : workers_) workers.push_back(worker);
    }
    std::vector<std::shared_ptr<Recording>> ends;
    for (const auto& worker : workers) {
      ends.push_back(std::make_shared<Recording>());
      worker->Push(RecordWork{ends.back()});
    }
    for (const auto& end : ends) end->Wait();
    return OkStatus();
  }

  void Poll() override {}

 private:
  Engines& engines_;
  Mutex mutex_;
  absl::flat_hash_map<StreamHandle, std::shared_ptr<StreamWorker>> workers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Schedule> MakeThreadedSchedule(Engines& engines) { return std::make_unique<ThreadedSchedule>(engines); }

}  // namespace tierlib::emulated
