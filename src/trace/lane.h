// Lane: where one thread appends its records. LaneTable: the lanes of one recorder, found by the calling thread without
// a lock.
//
//   I1  A lane is used by one thread at a time. A thread that ends gives its lanes back; a later thread continues them.
//   I2  A thread remembers its lane by the table's serial number, never by address: numbers are not used again, so what
//   is
//       remembered of a table that is gone is never taken for another one.
//   I3  A thread that ends looks for the table in a registry of those that live before it touches it.
//   I4  In a child made by fork there are no lanes: the mappings behind them are shared with the parent. Every table's
//   serial
//       becomes zero there, and no lock of it is taken, since another thread of the parent may have held it.
#ifndef TIERLIB_SRC_TRACE_LANE_H_
#define TIERLIB_SRC_TRACE_LANE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"

namespace tierlib::trace {

// A chunk being filled, and how many came before it. `next == end` where it is full or there is none.
struct alignas(64) Lane {
  unsigned char* next = nullptr;
  unsigned char* end = nullptr;
  unsigned char* chunk = nullptr;
  std::uint64_t chunk_index = 0;
  std::uint32_t number = 0;
  std::uint32_t sequence = 0;
  std::uint64_t records = 0;  // in the chunks before this one
};

// Thread-safety: ThisThread from any thread. Destroyed when no thread uses a lane of it any more.
class LaneTable {
 public:
  LaneTable();
  ~LaneTable();
  LaneTable(const LaneTable&) = delete;
  LaneTable& operator=(const LaneTable&) = delete;

  // The calling thread's lane, numbered from 1. Null in a forked child, or without memory.
  Lane* ThisThread() {
    const std::uint64_t serial = serial_.load(std::memory_order_relaxed);
    return remembered_.serial == serial ? remembered_.lane : Find(serial);
  }
  bool in_child() const { return serial_.load(std::memory_order_relaxed) == 0; }
  // All lanes. REQUIRES: no thread writes.
  const std::vector<std::unique_ptr<Lane>>& all() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return lanes_; }

 private:
  friend class LaneRegistry;
  struct Remembered {
    std::uint64_t serial = 0;
    Lane* lane = nullptr;
  };
  struct ThreadLanes;

  Lane* Find(std::uint64_t serial);
  Lane* Take();
  void GiveBack(Lane* lane);

  static constinit thread_local Remembered remembered_;  // the lane used last by this thread

  std::atomic<std::uint64_t> serial_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Lane>> lanes_ ABSL_GUARDED_BY(mutex_);
  std::vector<Lane*> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_LANE_H_
