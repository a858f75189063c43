// How a loop runs. The caller writes the job, opens the gate, and takes tiles like everybody else. A worker enters
// through the gate (a count of those inside), takes tiles until none is left, and leaves. The caller then closes the
// gate and waits until nobody is inside.
//
//   I1  The job's fields change only while the gate is closed and nobody is inside.
//   I2  A tile is claimed only by the caller or by a worker inside, so "closed and nobody inside" means that all tiles
//   ran. I3  A worker that comes late finds the gate closed, or open for a later job, whose fields are as good as its
//   own.
//
// Sleeping and waking follow one pattern on both sides: the one that sleeps announces it, then looks again; the other
// one changes the state, then looks for announcements (all sequentially consistent, so one of the two sees the other).
#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/fork_mark.h"
#include "base/mutex.h"

namespace tierlib {
namespace {

using Body = absl::FunctionRef<void(std::int64_t, std::int64_t)>;

// Loops follow each other within microseconds in a training step; longer than this, the core is worth more to others.
constexpr std::int64_t kSpinNs = 20'000;
constexpr int kMostThreads = 1024;
constexpr std::uint32_t kOpen = 1u << 31;

// Set while this thread runs tiles: a loop inside a loop body runs inline.
thread_local bool inside_loop = false;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Processors that this process may use.
int ProcessorCount() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// Spins until `done` or for kSpinNs (0 where threads outnumber processors); says whether `done` came.
template <typename Done>
bool Spin(std::int64_t spin_ns, const Done& done) {
  if (done()) return true;
  if (spin_ns == 0) return false;
  const std::int64_t deadline_ns = NowNs() + spin_ns;
  do {
    for (int i = 0; i < 16; ++i) {
      Pause();
      if (done()) return true;
    }
  } while (NowNs() < deadline_ns);
  return false;
}

void RunInline(std::int64_t count, std::int64_t grain, Body body) {
  for (std::int64_t begin = 0; begin < count;) {
    const std::int64_t end = count - begin > grain ? begin + grain : count;
    body(begin, end);
    begin = end;
  }
}

}  // namespace

struct ThreadPool::State {
  const ForkMark fork;
  std::int64_t spin_ns = 0;
  std::vector<std::thread> workers;

  // The job (I1).
  std::int64_t count = 0;
  std::int64_t grain = 1;
  std::int64_t tiles = 0;
  std::optional<Body> body;

  alignas(64) std::atomic<std::int64_t> next_tile{0};
  alignas(64) std::atomic<std::uint32_t> gate{0};        // kOpen, and how many workers are inside
  alignas(64) std::atomic<std::uint64_t> job_number{0};  // raised after the gate opens; workers watch it
  std::atomic<bool> busy{false};                         // a caller is in ParallelFor
  std::atomic<bool> stopping{false};

  Mutex mutex;
  CondVar job_arrived;
  CondVar all_left;
  std::atomic<int> sleeping_workers{0};
  std::atomic<bool> caller_sleeps{false};

  void RunTiles() {
    for (;;) {
      const std::int64_t tile = next_tile.fetch_add(1, std::memory_order_relaxed);
      if (tile >= tiles) return;
      const std::int64_t begin = tile * grain;
      (*body)(begin, count - begin > grain ? begin + grain : count);
    }
  }

  bool Enter() {
    std::uint32_t seen = gate.load(std::memory_order_relaxed);
    while ((seen & kOpen) != 0) {
      if (gate.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  void Leave() {
    if (gate.fetch_sub(1) != 1) return;  // 1: closed, and this was the last one inside
    if (caller_sleeps.load()) {
      MutexLock lock(mutex);
      all_left.NotifyAll();
    }
  }

  void Work() {
    inside_loop = true;
    std::uint64_t seen = 0;
    const auto has_news = [&] { return job_number.load() != seen || stopping.load(); };
    for (;;) {
      if (!Spin(spin_ns, has_news)) {
        MutexLock lock(mutex);
        sleeping_workers.fetch_add(1);
        while (!has_news()) job_arrived.Wait(mutex);
        sleeping_workers.fetch_sub(1);
      }
      if (stopping.load()) return;
      seen = job_number.load();
      if (Enter()) {
        RunTiles();
        Leave();
      }
    }
  }

  void WakeWorkers(std::int64_t wanted) {
    if (sleeping_workers.load() == 0) return;
    MutexLock lock(mutex);
    if (wanted >= static_cast<std::int64_t>(workers.size())) {
      job_arrived.NotifyAll();
    } else {
      for (std::int64_t i = 0; i < wanted; ++i) job_arrived.NotifyOne();
    }
  }

  void CloseAndWait() {
    gate.fetch_and(~kOpen);
    const auto nobody_inside = [&] { return gate.load() == 0; };
    if (Spin(spin_ns, nobody_inside)) return;
    MutexLock lock(mutex);
    caller_sleeps.store(true);
    while (!nobody_inside()) all_left.Wait(mutex);
    caller_sleeps.store(false);
  }
};

ThreadPool::ThreadPool(int threads, void (*on_worker_start)()) : state_(std::make_unique<State>()) {
  TIERLIB_CHECK(threads >= 0, "a pool has zero (all processors) or more threads");
  const int processors = ProcessorCount();
  threads = std::min(threads == 0 ? processors : threads, kMostThreads);
  state_->spin_ns = threads <= processors ? kSpinNs : 0;
  // Signals of the program go to the program's own threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int i = 1; i < threads; ++i) {
    try {
      state_->workers.emplace_back([state = state_.get(), on_worker_start] {
        if (on_worker_start != nullptr) on_worker_start();
        state->Work();
      });
    } catch (const std::system_error&) {
      break;  // the machine's limit on threads: fewer give the same results
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadPool::~ThreadPool() {
  if (state_->fork.in_child()) {  // the workers are the parent's
    LeaveBehind(std::move(state_));
    return;
  }
  state_->stopping.store(true);
  {
    MutexLock lock(state_->mutex);
    state_->job_arrived.NotifyAll();
  }
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::threads() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::ParallelFor(std::int64_t count, std::int64_t grain, Body body) {
  TIERLIB_CHECK(grain > 0, "tiles have at least one element");
  if (count <= 0) return;
  const std::int64_t tiles = (count - 1) / grain + 1;
  State& state = *state_;
  // A second caller at the same time is against the contract, but runs inline rather than breaking I1.
  if (tiles == 1 || inside_loop || state.workers.empty() || state.busy.exchange(true)) {
    return RunInline(count, grain, body);
  }
  state.count = count;
  state.grain = grain;
  state.tiles = tiles;
  state.body.emplace(body);
  state.next_tile.store(0, std::memory_order_relaxed);
  state.gate.fetch_or(kOpen);
  state.job_number.fetch_add(1);
  state.WakeWorkers(tiles - 1);
  inside_loop = true;
  state.RunTiles();
  inside_loop = false;
  state.CloseAndWait();
  state.busy.store(false);
}

}  // namespace tierlib
