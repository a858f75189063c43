// FakeStream: what stands for a CUDA stream behind the fake NCCL: work that a thread of its own does in order.
//
// Thread-safety: Push and IsIdle from any thread.
#ifndef TIERLIB_TESTS_COMM_FAKE_STREAM_H_
#define TIERLIB_TESTS_COMM_FAKE_STREAM_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace tierlib::comm {

class FakeStream {
 public:
  FakeStream() : thread_([this] { Run(); }) {}
  // After all work has ended.
  ~FakeStream() {
    Push(nullptr);
    thread_.join();
  }
  FakeStream(const FakeStream&) = delete;
  FakeStream& operator=(const FakeStream&) = delete;

  void Push(std::function<void()> work) {
    const std::lock_guard<std::mutex> lock(mutex_);
    work_.push_back(std::move(work));
    changed_.notify_all();
  }
  bool IsIdle() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return work_.empty();
  }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return !work_.empty(); });
      const std::function<void()> work = std::move(work_.front());
      if (work == nullptr) return;
      lock.unlock();
      work();
      lock.lock();
      work_.pop_front();  // only now: until then it is not idle
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  std::thread thread_;
};

}  // namespace tierlib::comm

#endif  // TIERLIB_TESTS_COMM_FAKE_STREAM_H_
