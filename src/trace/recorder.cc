// How a record gets into the file. Each thread has a lane, and the next free place in the lane's chunk is all that
// Write needs. Only when a chunk is full does the thread take a mutex, hand the chunk over and claim another.
#include "trace/recorder.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <new>
#include <utility>

#include "base/clock.h"
#include "tierlib/bytes.h"
#include "trace/call_stack.h"
#include "trace/format.h"
#include "trace/lane.h"
#include "trace/recorder_state.h"
#include "trace/tick_clock.h"
#include "trace/trace_file.h"

namespace tierlib::trace {
namespace {

// At most `most` bytes of `text`, not ending inside a UTF-8 character.
std::string_view CutText(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t size = most;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

std::int64_t WallNs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void FillHeader(const RecorderOptions& options, const StartOfTicks& start, FileHeader& header) {
  header.version = kVersion;
  header.header_bytes = kHeaderBytes;
  header.chunk_bytes = kChunkBytes;
  header.rank = options.rank;
  header.process_id = static_cast<std::uint32_t>(getpid());
  header.clock = static_cast<std::uint32_t>(start.usable ? ClockKind::kTicks : ClockKind::kMonotonic);
  header.start_clock[0] = start.pairs[0];
  header.start_clock[1] = start.pairs[1];
  header.last_bytes = options.last_bytes;
  header.start_crc = HeaderStartCrc(header);
  std::copy(options.ceiling_bytes_per_s.begin(), options.ceiling_bytes_per_s.end(), header.ceiling_bytes_per_s);
  header.ceiling_crc = HeaderCeilingCrc(header);
  if (options.copy_limits.has_value()) {
    header.piece_bytes = options.copy_limits->piece_bytes;
    header.batch_bytes = options.copy_limits->batch_bytes;
    header.copy_limits_known = 1;
    header.copy_limits_crc = HeaderCopyLimitsCrc(header);
  }
  header.start_monotonic_ns = NowNs();
  header.start_wall_ns = WallNs();
  header.device_capacity = options.device_capacity;
  header.pinned_capacity = options.pinned_capacity;
  const std::string_view device = CutText(options.device, sizeof header.device - 1);
  memcpy(header.device, device.data(), device.size());
  // The magic comes last: what has it, has the rest. A trace is recognised by it, and only a trace may be replaced.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  memcpy(header.magic, kMagic, sizeof kMagic);
  header.crc = HeaderCrc(header);
}

Status CheckOptions(const RecorderOptions& options) {
  constexpr std::uint64_t kLastLeast = 1 << 20;
  if (options.last_bytes != 0 && options.last_bytes < kLastLeast) {
    return InvalidArgumentError("a flight recorder keeps at least " + FormatBytes(kLastLeast) + ", not the last " +
                                FormatBytes(options.last_bytes));
  }
  if (options.slow_step_ratio == 0) return OkStatus();
  if (!(options.slow_step_ratio > 1 && options.slow_step_ratio < 1e6)) {
    return InvalidArgumentError("a step is slow at more than 1 and less than 1000000 times the median, not at " +
                                std::to_string(options.slow_step_ratio));
  }
  if (options.last_bytes == 0) {
    return InvalidArgumentError(
        "keeping what was recorded before a slow step needs a flight recorder: say how much of the newest records it "
        "keeps");
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<Recorder>> Recorder::Open(RecorderOptions options) {
  try {
    TIERLIB_RETURN_IF_ERROR(CheckOptions(options));
    TIERLIB_ASSIGN_OR_RETURN(const std::string path, ExpandTracePath(options.path, options.rank));
    // Before there is a file: one without a header blocks its path, should the program be killed meanwhile.
    const StartOfTicks start = CalibrateTicks();
    TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<TraceFile> file, TraceFile::Create(path, options.limit_bytes));
    FillHeader(options, start, file->header());
    auto state = std::make_unique<RecorderState>(std::move(file), options, start);
    std::unique_ptr<Recorder> recorder(new Recorder(std::move(state)));
    recorder->state_->Start();  // last: from here on it is the recorder's destructor that ends the thread
    return recorder;
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kResourceExhausted);
  }
}

Recorder::Recorder(std::unique_ptr<RecorderState> state) : state_(std::move(state)) {}

Recorder::~Recorder() {
  if (!state_->lanes().in_child()) state_->Finish();
}

std::uint32_t Recorder::Intern(std::string_view text) {
  if (text.empty() || state_->lanes().in_child()) return 0;
  try {
    return state_->Intern(CutText(text, kTextBytesMost));
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

// `word` says, by kTimeIsNs, what `time` counts.
inline void Recorder::Append(std::uint64_t time, std::uint64_t word, std::uint64_t subject, std::uint64_t value) {
  Lane* const lane = state_->lanes().ThisThread();
  if (lane == nullptr ||
      (static_cast<std::size_t>(lane->end - lane->next) < sizeof(Record) && !state_->MakeRoom(*lane))) [[unlikely]] {
    return state_->Drop();
  }
  auto* words = reinterpret_cast<std::uint64_t*>(lane->next);
  words[0] = time;
  words[2] = subject;
  words[3] = value;
  std::atomic_ref<std::uint64_t>(words[1]).store(word, std::memory_order_release);
  lane->next += sizeof(Record);
}

void Recorder::Write(Event event, Tag tag, std::uint16_t detail, std::uint32_t label, std::uint64_t subject,
                     std::uint64_t value) {
  if (!state_->uses_ticks() || state_->NeedsMore(event)) [[unlikely]] {
    return WriteNs(NowNs(), event, tag, detail, label, subject, value, __builtin_return_address(0));
  }
  Append(ReadTicks(), PackRecordWord(event, tag, detail, label & ~kTimeIsNs), subject, value);
}

void Recorder::WriteAt(std::int64_t time_ns, Event event, Tag tag, std::uint16_t detail, std::uint32_t label,
                       std::uint64_t subject, std::uint64_t value) {
  WriteNs(time_ns, event, tag, detail, label, subject, value, __builtin_return_address(0));
}

// `caller`: where the program goes on after its call, for call stacks.
void Recorder::WriteNs(std::int64_t time_ns, Event event, Tag tag, std::uint16_t detail, std::uint32_t label,
                       std::uint64_t subject, std::uint64_t value, const void* caller) {
  const bool needs_more = state_->NeedsMore(event);
  if (needs_more && HasCallStack(event)) [[unlikely]] {
    WriteStack(time_ns, event, tag, subject, caller);
  }
  Append(static_cast<std::uint64_t>(time_ns), PackRecordWord(event, tag, detail, label | kTimeIsNs), subject, value);
  if (needs_more && !HasCallStack(event) && !state_->lanes().in_child()) [[unlikely]] {
    state_->OnRange(event, label, subject, time_ns);
  }
}

// Where the call came from, as a text of one frame a line.
void Recorder::WriteStack(std::int64_t time_ns, Event event, Tag tag, std::uint64_t subject, const void* caller) {
  if (state_->lanes().in_child()) return;
  try {
    const std::uint32_t stack = Intern(CallStackText(caller));
    Append(static_cast<std::uint64_t>(time_ns),
           PackRecordWord(Event::kCallStack, tag, static_cast<std::uint16_t>(event), kTimeIsNs), subject, stack);
  } catch (const std::bad_alloc&) {  // then without
  }
}

std::uint64_t Recorder::dropped() const { return state_->dropped(); }

const std::string& Recorder::path() const { return state_->path(); }

}  // namespace tierlib::trace
