#include "trace/lane.h"

#include <pthread.h>

#include <new>

#include "absl/container/flat_hash_map.h"

namespace tierlib::trace {

// The tables that live (I3), and the hooks around fork (I4).
class LaneRegistry {
 public:
  static LaneRegistry& Get() {
    static LaneRegistry* const registry = new LaneRegistry;  // never destroyed: threads may end after main does
    return *registry;
  }

  std::uint64_t Add(LaneTable* table) {
    MutexLock lock(mutex_);
    const std::uint64_t serial = next_serial_++;
    live_[serial] = table;
    return serial;
  }
  void Remove(LaneTable* table) {
    MutexLock lock(mutex_);
    live_.erase(table->serial_.load());
  }
  void GiveBack(std::uint64_t serial, Lane* lane) {
    MutexLock lock(mutex_);
    const auto found = live_.find(serial);
    if (found != live_.end()) found->second->GiveBack(lane);
  }

 private:
  LaneRegistry() { pthread_atfork(BeforeFork, AfterForkInParent, AfterForkInChild); }

  static void BeforeFork() ABSL_NO_THREAD_SAFETY_ANALYSIS { Get().mutex_.Lock(); }
  static void AfterForkInParent() ABSL_NO_THREAD_SAFETY_ANALYSIS { Get().mutex_.Unlock(); }
  static void AfterForkInChild() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    LaneRegistry& registry = Get();
    for (auto& [serial, table] : registry.live_) table->serial_.store(0);
    registry.live_.clear();
    registry.mutex_.Unlock();
  }

  Mutex mutex_;
  absl::flat_hash_map<std::uint64_t, LaneTable*> live_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t next_serial_ ABSL_GUARDED_BY(mutex_) = 1;
};

// What a thread holds, for its end; more than one entry where it writes to several recorders.
struct LaneTable::ThreadLanes {
  struct Entry {
    std::uint64_t serial;
    Lane* lane;
  };
  std::vector<Entry> entries;
  ~ThreadLanes();
};

namespace {
constinit thread_local bool thread_is_ending = false;
}  // namespace

constinit thread_local LaneTable::Remembered LaneTable::remembered_;

LaneTable::ThreadLanes::~ThreadLanes() {
  thread_is_ending = true;
  remembered_ = {};
  for (const Entry& entry : entries) LaneRegistry::Get().GiveBack(entry.serial, entry.lane);
}

LaneTable::LaneTable() : serial_(LaneRegistry::Get().Add(this)) {}

LaneTable::~LaneTable() {
  if (!in_child()) LaneRegistry::Get().Remove(this);
}

Lane* LaneTable::Find(std::uint64_t serial) {
  if (serial == 0) return nullptr;
  if (thread_is_ending) {  // as where main's thread destroys what is static: nobody gives this lane back
    try {
      remembered_ = {serial, Take()};
      return remembered_.lane;
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  static thread_local ThreadLanes held;
  for (const ThreadLanes::Entry& entry : held.entries) {
    if (entry.serial == serial) {
      remembered_ = {serial, entry.lane};
      return entry.lane;
    }
  }
  try {
    held.entries.push_back({serial, nullptr});
    held.entries.back().lane = Take();
  } catch (const std::bad_alloc&) {
    if (!held.entries.empty() && held.entries.back().lane == nullptr) held.entries.pop_back();
    return nullptr;
  }
  remembered_ = {serial, held.entries.back().lane};
  return remembered_.lane;
}

Lane* LaneTable::Take() {
  MutexLock lock(mutex_);
  if (!free_.empty()) {
    Lane* lane = free_.back();
    free_.pop_back();
    return lane;
  }
  free_.reserve(lanes_.size() + 1);  // so that GiveBack, at a thread's end, never allocates
  lanes_.push_back(std::make_unique<Lane>());
  lanes_.back()->number = static_cast<std::uint32_t>(lanes_.size());
  return lanes_.back().get();
}

void LaneTable::GiveBack(Lane* lane) {
  MutexLock lock(mutex_);
  free_.push_back(lane);
}

}  // namespace tierlib::trace
