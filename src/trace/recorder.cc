// How a record gets into the file. Each thread has a lane, and the next free place in the lane's chunk is all that
// Write needs. Only when a chunk is full does the thread take the mutex, seal the chunk and claim another.
#include "trace/recorder.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <new>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "trace/format.h"
#include "trace/lane.h"
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

void FillHeader(const RecorderOptions& options, FileHeader& header) {
  header.version = kVersion;
  header.header_bytes = kHeaderBytes;
  header.chunk_bytes = kChunkBytes;
  header.rank = options.rank;
  header.process_id = static_cast<std::uint32_t>(getpid());
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

}  // namespace

struct Recorder::State {
  explicit State(std::unique_ptr<TraceFile> trace_file) : file(std::move(trace_file)), path(file->path()) {}

  const std::unique_ptr<TraceFile> file;  // claiming and retiring chunks needs the mutex
  const std::string path;
  LaneTable lanes;
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<bool> stopped{false};

  Mutex mutex;
  Lane texts ABSL_GUARDED_BY(mutex);  // number 0
  absl::flat_hash_map<std::string, std::uint32_t> labels ABSL_GUARDED_BY(mutex);

  // A forked child neither writes nor counts: the file belongs to the parent.
  void Drop() {
    if (lanes.in_child()) return;
    dropped.fetch_add(1, std::memory_order_relaxed);
    // In the file as well, so that a killed program's trace tells.
    std::atomic_ref<std::uint64_t>(file->header().dropped).fetch_add(1, std::memory_order_relaxed);
  }

  void Seal(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (lane.chunk == nullptr) return;
    auto* header = reinterpret_cast<ChunkHeader*>(lane.chunk);
    const unsigned char* payload = lane.chunk + sizeof(ChunkHeader);
    header->used_bytes = static_cast<std::uint32_t>(lane.next - payload);
    header->crc = ChunkCrc(*header, payload);
    std::atomic_ref<std::uint16_t>(header->sealed).store(1, std::memory_order_release);
    file->Retire(lane.chunk_index);
    lane.chunk = lane.next = lane.end = nullptr;
  }

  // Seals the lane's chunk and gives it a new one. False where recording has stopped.
  bool Turn(Lane& lane, ChunkKind kind) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    Seal(lane);
    if (stopped.load(std::memory_order_relaxed)) return false;
    const TraceFile::Chunk chunk = file->Claim();
    if (chunk.base == nullptr) {
      stopped.store(true);
      std::fprintf(stderr, "tierlib: trace %s: %s; recording stops, the program goes on\n", path.c_str(),
                   file->failure().c_str());
      return false;
    }
    lane.chunk = chunk.base;
    lane.chunk_index = chunk.index;
    lane.next = chunk.base + sizeof(ChunkHeader);
    lane.end = chunk.base + kChunkBytes;
    auto* header = reinterpret_cast<ChunkHeader*>(chunk.base);
    header->kind = static_cast<std::uint16_t>(kind);
    header->lane = lane.number;
    header->sequence = lane.sequence++;
    std::atomic_ref<std::uint32_t>(header->magic).store(kChunkMagic, std::memory_order_release);
    return true;
  }

  // The slow path of a write: the lane has no room.
  bool MakeRoom(Lane& lane) {
    if (stopped.load(std::memory_order_relaxed) && lane.chunk == nullptr) return false;
    MutexLock lock(mutex);
    return Turn(lane, ChunkKind::kRecords);
  }

  bool WriteText(std::uint32_t label, std::string_view text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const std::size_t bytes = TextEntryBytes(text.size());
    if (static_cast<std::size_t>(texts.end - texts.next) < bytes && !Turn(texts, ChunkKind::kTexts)) return false;
    auto* header = reinterpret_cast<TextHeader*>(texts.next);
    memcpy(texts.next + sizeof(TextHeader), text.data(), text.size());
    header->bytes = static_cast<std::uint32_t>(text.size());
    std::atomic_ref<std::uint32_t>(header->label).store(label, std::memory_order_release);
    texts.next += bytes;
    return true;
  }

  std::uint32_t Intern(std::string_view text) {
    MutexLock lock(mutex);
    const auto found = labels.find(absl::string_view(text.data(), text.size()));
    if (found != labels.end()) return found->second;
    if (labels.size() >= kTextsMost) return kOtherLabel;
    const std::uint32_t label = static_cast<std::uint32_t>(labels.size()) + 1;
    const auto [added, is_new] = labels.emplace(std::string(text), label);
    if (!WriteText(label, text)) {
      labels.erase(added);
      return 0;
    }
    if (label == kTextsMost) (void)WriteText(kOtherLabel, "(other)");
    return label;
  }

  void Finish() {
    MutexLock lock(mutex);
    for (const std::unique_ptr<Lane>& lane : lanes.all()) Seal(*lane);
    Seal(texts);
    FileHeader& header = file->header();
    header.dropped = dropped.load();
    header.end_monotonic_ns = NowNs();
    header.chunk_count = file->claimed();
    header.end_crc = HeaderEndCrc(header);
    file->Truncate();
    std::atomic_ref<std::uint32_t>(header.closed).store(1, std::memory_order_release);
    file->Unlock();
  }
};

StatusOr<std::unique_ptr<Recorder>> Recorder::Open(RecorderOptions options) {
  try {
    TIERLIB_ASSIGN_OR_RETURN(const std::string path, ExpandTracePath(options.path, options.rank));
    TIERLIB_ASSIGN_OR_RETURN(std::unique_ptr<TraceFile> file, TraceFile::Create(path, options.limit_bytes));
    FillHeader(options, file->header());
    return std::unique_ptr<Recorder>(new Recorder(std::make_unique<State>(std::move(file))));
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kResourceExhausted);
  }
}

Recorder::Recorder(std::unique_ptr<State> state) : state_(std::move(state)) {}

Recorder::~Recorder() {
  if (!state_->lanes.in_child()) state_->Finish();
}

std::uint32_t Recorder::Intern(std::string_view text) {
  if (text.empty() || state_->lanes.in_child()) return 0;
  try {
    return state_->Intern(CutText(text, kTextBytesMost));
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

void Recorder::Write(Event event, Tag tag, std::uint16_t detail, std::uint32_t label, std::uint64_t subject,
                     std::uint64_t value) {
  WriteAt(NowNs(), event, tag, detail, label, subject, value);
}

void Recorder::WriteAt(std::int64_t time_ns, Event event, Tag tag, std::uint16_t detail, std::uint32_t label,
                       std::uint64_t subject, std::uint64_t value) {
  Lane* const lane = state_->lanes.ThisThread();
  if (lane == nullptr ||
      (static_cast<std::size_t>(lane->end - lane->next) < sizeof(Record) && !state_->MakeRoom(*lane))) {
    return state_->Drop();
  }
  auto* words = reinterpret_cast<std::uint64_t*>(lane->next);
  words[0] = static_cast<std::uint64_t>(time_ns);
  words[2] = subject;
  words[3] = value;
  std::atomic_ref<std::uint64_t>(words[1]).store(PackRecordWord(event, tag, detail, label), std::memory_order_release);
  lane->next += sizeof(Record);
}

std::uint64_t Recorder::dropped() const { return state_->dropped.load(std::memory_order_relaxed); }

const std::string& Recorder::path() const { return state_->path; }

}  // namespace tierlib::trace
