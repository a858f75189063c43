// RecorderState: what is behind a Recorder. Owns the file, the lanes, the texts and the thread that seals.
//
//   R1  A record is written by its thread, into its lane's chunk, without a lock.
//   R2  A full chunk waits in `full_` until it is sealed: its records are in blocks before the chunk is given back, so
//       each is in the file at every moment, for a moment twice. A record is known by its lane and its number there.
//   R3  At most kFullMost chunks wait. A thread that would be the next to wait seals one itself: nothing is dropped
//       because the sealing thread is behind, and the file's part for unsealed records is bounded.
//   R4  `sealing_mutex_` is taken before `mutex_`. Threads that record take the first where R3 makes them, or where
//       the disk is full, and hold the second for moments.
//   R5  In a child made by fork there is no thread, and no lock is taken: the file belongs to the parent.
//
// Thread-safety: any thread, but for the constructor, Start, and Finish.
#ifndef TIERLIB_SRC_TRACE_RECORDER_STATE_H_
#define TIERLIB_SRC_TRACE_RECORDER_STATE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "trace/block_store.h"
#include "trace/call_stack.h"
#include "trace/lane.h"
#include "trace/range_marks.h"
#include "trace/recorder.h"
#include "trace/step_watch.h"
#include "trace/tick_clock.h"
#include "trace/trace_file.h"

namespace tierlib::trace {

class RecorderState {
 public:
  // Throws std::bad_alloc. The file's header is filled in.
  RecorderState(std::unique_ptr<TraceFile> file, const RecorderOptions& options, const StartOfTicks& start);
  ~RecorderState();

  // Starts the thread that seals. Where the system has none to give, threads that record do its work.
  void Start();
  // Ends the file. REQUIRES: nobody records.
  void Finish();

  LaneTable& lanes() { return lanes_; }
  bool uses_ticks() const { return uses_ticks_.load(std::memory_order_relaxed); }
  // A call stack is wanted before records of this event, or OnRange after them.
  bool NeedsMore(Event event) const {
    if (!needs_more_) return false;
    return HasCallStack(event) ? takes_stacks_ : (watches_steps_ || marks_ != nullptr) && IsRange(event);
  }
  const std::string& path() const { return path_; }
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

  // The slow path of a write: the lane has no room. False where recording has stopped.
  bool MakeRoom(Lane& lane);
  void Drop();
  std::uint32_t Intern(std::string_view text);
  // A record that begins or ends a range was written.
  void OnRange(Event event, std::uint32_t label, std::uint64_t subject, std::int64_t time_ns);

 private:
  static constexpr std::size_t kFullMost = 64;
  static constexpr std::size_t kFullToWake = 8;  // chunks for which the sealing thread is woken at once
  static constexpr int kCopiesMost = 8;          // of a flight recorder's file
  static constexpr std::size_t kPairsMost = 8192;

  struct FullChunk {
    TraceFile::Chunk chunk;
    std::uint32_t records = 0;
  };

  // recorder_state.cc
  void OnStep(Event event, std::uint64_t step, std::int64_t time_ns);
  bool Turn(Lane& lane, ChunkKind kind) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False where `chunk` is none.
  bool OpenChunk(Lane& lane, ChunkKind kind, const TraceFile::Chunk& chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseTexts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StopRecording() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False, 0: there is no room, or only that which is left for blocks and may not be taken.
  bool WriteText(std::uint32_t label, std::string_view text, bool may_take_last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::uint32_t AddLabel(std::string_view text, bool may_take_last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndFile() ABSL_EXCLUSIVE_LOCKS_REQUIRED(sealing_mutex_, mutex_);

  // recorder_sealing.cc
  void SealInTurns();
  bool SealOne() ABSL_LOCKS_EXCLUDED(mutex_);
  bool SealChunk(const FullChunk& full) ABSL_EXCLUSIVE_LOCKS_REQUIRED(sealing_mutex_);
  void LeaveAsItIs(const FullChunk& full) ABSL_EXCLUSIVE_LOCKS_REQUIRED(sealing_mutex_);
  void GiveBack(const TraceFile::Chunk& chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(sealing_mutex_);
  ClockPair TakeClock() ABSL_EXCLUSIVE_LOCKS_REQUIRED(sealing_mutex_);
  void WriteClock(const ClockPair& pair) ABSL_EXCLUSIVE_LOCKS_REQUIRED(sealing_mutex_);
  void CopyWhereAsked() ABSL_LOCKS_EXCLUDED(mutex_);
  Status EndCopy(int descriptor, std::uint64_t chunks, std::int64_t end_ns);
  Status CopyTo(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(sealing_mutex_);
  void EndThread();
  void SealWhatIsLeft();

  const std::unique_ptr<TraceFile> file_;
  const std::string path_;
  const bool watches_steps_;
  const bool takes_stacks_;
  const std::unique_ptr<RangeMarks> marks_;  // null: none are wanted
  const bool needs_more_;                    // of some events
  LaneTable lanes_;
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> uses_ticks_;

  // Apart from what every record looks at.
  alignas(64) Mutex mutex_;  // also for claiming, retiring and giving back chunks of file_
  Lane texts_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::uint32_t> labels_ ABSL_GUARDED_BY(mutex_);
  std::array<FullChunk, kFullMost> full_ ABSL_GUARDED_BY(mutex_);  // a ring
  std::size_t full_begin_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t full_count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string copy_because_ ABSL_GUARDED_BY(mutex_);  // "": no copy is asked for
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  CondVar wake_;

  Mutex sealing_mutex_;
  BlockStore blocks_ ABSL_GUARDED_BY(sealing_mutex_);
  TickScale scale_ ABSL_GUARDED_BY(sealing_mutex_);
  ClockPair last_pair_ ABSL_GUARDED_BY(sealing_mutex_);
  int clock_slot_ ABSL_GUARDED_BY(sealing_mutex_) = 0;
  std::vector<Record> records_ ABSL_GUARDED_BY(sealing_mutex_);  // of the chunk being sealed
  int copies_ ABSL_GUARDED_BY(sealing_mutex_) = 0;

  Mutex steps_mutex_;
  StepWatch steps_ ABSL_GUARDED_BY(steps_mutex_);

  std::thread thread_;
};

}  // namespace tierlib::trace

#endif  // TIERLIB_SRC_TRACE_RECORDER_STATE_H_
