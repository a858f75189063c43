// RecorderState's part that turns full chunks into blocks, and copies a flight recorder's file.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <system_error>

#include "base/clock.h"
#include "base/failpoint.h"
#include "trace/recorder_state.h"

namespace tierlib::trace {
namespace {

Failpoint no_thread("trace.thread");
Failpoint no_memory_for_thread("trace.thread_memory");
Failpoint counter_falls("trace.counter_falls");

constexpr std::int64_t kClockEveryNs = 1'000'000'000;
constexpr std::int64_t kFirstClockNs = 1'000'000;

// The program's signals are for its own threads: one that is started meanwhile gets none.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

void RecorderState::Start() {
  if (no_thread.Fails()) return;
  const AllSignalsBlocked blocked;
  // Without a thread those that record seal, see R3.
  try {
    if (no_memory_for_thread.Fails()) throw std::bad_alloc();
    thread_ = std::thread([this] { SealInTurns(); });
    pthread_setname_np(thread_.native_handle(), "tierlib-trace");
  } catch (const std::system_error&) {
  } catch (const std::bad_alloc&) {
  }
}

void RecorderState::EndThread() {
  {
    MutexLock lock(mutex_);
    ending_ = true;
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

// The thread. Beside sealing it looks at the clocks: soon after the start, then less and less often.
void RecorderState::SealInTurns() {
  std::int64_t wait_ns = kFirstClockNs;
  std::int64_t clock_due_ns = NowNs() + wait_ns;
  for (;;) {
    while (SealOne()) {
    }
    CopyWhereAsked();
    if (NowNs() >= clock_due_ns) {
      MutexLock sealing(sealing_mutex_);
      (void)TakeClock();
      wait_ns = std::min(wait_ns * 10, kClockEveryNs);
      clock_due_ns = NowNs() + wait_ns;
    }
    MutexLock lock(mutex_);
    if (ending_) return;
    if (full_count_ == 0 && copy_because_.empty()) (void)wake_.WaitUntil(mutex_, clock_due_ns);
  }
}

bool RecorderState::SealOne() {
  MutexLock sealing(sealing_mutex_);
  FullChunk full;
  {
    MutexLock lock(mutex_);
    if (full_count_ == 0) return false;
    full = full_[full_begin_];
    full_begin_ = (full_begin_ + 1) % kFullMost;
    --full_count_;
  }
  if (SealChunk(full)) return true;
  LeaveAsItIs(full);
  MutexLock lock(mutex_);
  StopRecording();
  return true;
}

// A moment of both clocks, for all conversions from here on and for readers. The last one where there is no later one.
ClockPair RecorderState::TakeClock() {
  if (!uses_ticks()) return last_pair_;
  ClockPair pair = MeasureClockPair();
  if (counter_falls.Fails()) pair.ticks = 1;
  if (scale_.Add(pair)) {
    last_pair_ = pair;
    scale_.Thin(kPairsMost);
    WriteClock(pair);
  } else if (pair.ticks < last_pair_.ticks) {
    // The counter was set back, as after a suspend to memory. Times since the last pair are not known.
    file_->header().set_back_after_ns = last_pair_.monotonic_ns;
    std::atomic_ref<std::int64_t>(file_->header().set_back_ns).store(pair.monotonic_ns, std::memory_order_release);
    uses_ticks_.store(false, std::memory_order_relaxed);
  }
  return last_pair_;
}

void RecorderState::WriteClock(const ClockPair& pair) {
  ClockSlot& slot = file_->header().last_clock[clock_slot_];
  clock_slot_ = 1 - clock_slot_;
  std::atomic_ref<std::uint32_t>(slot.crc).store(0, std::memory_order_release);
  slot.pair = pair;
  std::atomic_ref<std::uint32_t>(slot.crc).store(ClockSlotCrc(slot), std::memory_order_release);
}

// False where the file has no room for the blocks.
bool RecorderState::SealChunk(const FullChunk& full) {
  const auto* header = reinterpret_cast<const ChunkHeader*>(full.chunk.base);
  if (full.records > 0) {
    // Taken after the records were: their times lie between two pairs, and every reader comes to the same ones.
    const ClockPair pair = TakeClock();
    memcpy(static_cast<void*>(records_.data()), full.chunk.base + sizeof(ChunkHeader), full.records * sizeof(Record));
    const bool in_ticks = file_->header().clock == static_cast<std::uint32_t>(ClockKind::kTicks);
    for (std::uint32_t i = 0; i < full.records; ++i) {
      Record& record = records_[i];
      if (in_ticks && (record.label & kTimeIsNs) == 0) {
        record.time_ns = scale_.ToNs(static_cast<std::uint64_t>(record.time_ns));
      }
      record.label &= ~kTimeIsNs;
    }
    if (!blocks_.Append({records_.data(), full.records}, header->lane, header->first_record, pair)) return false;
  }
  GiveBack(full.chunk);
  return true;
}

// The blocks are valid by now: the chunk may go.
void RecorderState::GiveBack(const TraceFile::Chunk& chunk) {
  auto* header = reinterpret_cast<ChunkHeader*>(chunk.base);
  std::atomic_ref<std::uint32_t>(header->magic).store(0, std::memory_order_release);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  memset(chunk.base, 0, kChunkBytes);
  MutexLock lock(mutex_);
  file_->GiveBack(chunk);
}

void RecorderState::LeaveAsItIs(const FullChunk& full) {
  auto* header = reinterpret_cast<ChunkHeader*>(full.chunk.base);
  header->used_bytes = full.records * static_cast<std::uint32_t>(sizeof(Record));
  header->crc = ChunkCrc(*header, full.chunk.base + sizeof(ChunkHeader));
  std::atomic_ref<std::uint16_t>(header->sealed).store(1, std::memory_order_release);
  MutexLock lock(mutex_);
  file_->Retire(full.chunk.index);
}

void RecorderState::SealWhatIsLeft() {
  while (SealOne()) {
  }
  for (const std::unique_ptr<Lane>& lane : lanes_.all()) {
    if (lane->chunk == nullptr) continue;
    const auto bytes = static_cast<std::size_t>(lane->next - lane->chunk) - sizeof(ChunkHeader);
    const FullChunk full = {{lane->chunk, lane->chunk_index}, static_cast<std::uint32_t>(bytes / sizeof(Record))};
    lane->chunk = lane->next = lane->end = nullptr;
    MutexLock sealing(sealing_mutex_);
    if (!SealChunk(full)) LeaveAsItIs(full);
  }
}

void RecorderState::CopyWhereAsked() try {
  MutexLock sealing(sealing_mutex_);
  std::string because;
  {
    MutexLock lock(mutex_);
    because.swap(copy_because_);
  }
  if (because.empty() || copies_ >= kCopiesMost) return;
  const std::string path = path_ + "." + std::to_string(++copies_);
  const Status copied = CopyTo(path);
  std::fprintf(
      stderr, "tierlib: trace %s: %s; %s%s\n", path_.c_str(), because.c_str(),
      copied.ok() ? "kept as " : "not kept: ", copied.ok() ? path.c_str() : std::string(copied.message()).c_str());
} catch (const std::bad_alloc&) {  // then there is no copy
}

// Makes the header of a copy say what it is.
Status RecorderState::EndCopy(int descriptor, std::uint64_t chunks, std::int64_t end_ns) {
  FileHeader header;
  if (pread(descriptor, &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header)) {
    header.closed = kCopied;
    header.end_monotonic_ns = end_ns;
    header.chunk_count = chunks;
    header.file_bytes = kHeaderBytes + chunks * kChunkBytes;
    header.end_crc = HeaderEndCrc(header);
    header.extent_crc = HeaderExtentCrc(header);
    if (pwrite(descriptor, &header, sizeof header, 0) == static_cast<ssize_t>(sizeof header)) return OkStatus();
  }
  return ResourceExhaustedError("its header cannot be written");
}

// Threads go on recording meanwhile: of a chunk that is being filled the copy has what was there. It ends before: all
// that was written until then is in it.
Status RecorderState::CopyTo(const std::string& path) {
  (void)TakeClock();
  const std::int64_t end_ns = NowNs();
  std::uint64_t chunks = 0;
  {
    MutexLock lock(mutex_);
    chunks = file_->claimed();
  }
  TIERLIB_ASSIGN_OR_RETURN(const int descriptor, CreateFileForTrace(path));
  const std::uint64_t bytes = kHeaderBytes + chunks * kChunkBytes;
  Status status = file_->CopyTo(descriptor, bytes);
  if (status.ok()) status = EndCopy(descriptor, chunks, end_ns);
  close(descriptor);
  if (!status.ok()) unlink(path.c_str());
  return status;
}

}  // namespace tierlib::trace
