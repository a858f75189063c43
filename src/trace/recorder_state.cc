#include "trace/recorder_state.h"

#include <string.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <new>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/clock.h"

namespace tierlib::trace {

RecorderState::RecorderState(std::unique_ptr<TraceFile> file, const RecorderOptions& options, const StartOfTicks& start)
    : file_(std::move(file)),
      path_(file_->path()),
      watches_steps_(options.slow_step_ratio > 0),
      takes_stacks_(options.stacks),
      marks_(options.nvtx ? CreateRangeMarks() : nullptr),
      needs_more_(watches_steps_ || takes_stacks_ || marks_ != nullptr),
      uses_ticks_(start.usable),
      blocks_(*file_, mutex_, options.last_bytes),
      records_(kRecordsPerChunk),
      steps_(options.slow_step_ratio) {
  if (!start.usable) return;
  for (const ClockPair& pair : start.pairs) (void)scale_.Add(pair);
  last_pair_ = start.pairs[1];
}

RecorderState::~RecorderState() {
  if (lanes_.in_child()) {  // the thread is the parent's: nobody is to wait for it, or for what it waited on
    std::construct_at(&wake_);
    std::construct_at(&thread_);
  }
}

// A forked child neither writes nor counts: the file belongs to the parent.
void RecorderState::Drop() {
  if (lanes_.in_child()) return;
  dropped_.fetch_add(1, std::memory_order_relaxed);
  // In the file as well, so that a killed program's trace tells.
  std::atomic_ref<std::uint64_t>(file_->header().dropped).fetch_add(1, std::memory_order_relaxed);
}

void RecorderState::StopRecording() {
  if (stopped_.exchange(true)) return;
  std::atomic_ref<std::int64_t>(file_->header().stopped_ns).store(NowNs(), std::memory_order_relaxed);
  std::fprintf(stderr, "tierlib: trace %s: %s; recording stops, the program goes on\n", path_.c_str(),
               file_->failure().c_str());
}

bool RecorderState::OpenChunk(Lane& lane, ChunkKind kind, const TraceFile::Chunk& chunk) {
  if (chunk.base == nullptr) return false;
  lane.chunk = chunk.base;
  lane.chunk_index = chunk.index;
  lane.next = chunk.base + sizeof(ChunkHeader);
  lane.end = chunk.base + kChunkBytes;
  auto* header = reinterpret_cast<ChunkHeader*>(chunk.base);
  header->kind = static_cast<std::uint16_t>(kind);
  header->lane = lane.number;
  header->sequence = lane.sequence++;
  header->first_record = lane.records;
  std::atomic_ref<std::uint32_t>(header->magic).store(kChunkMagic, std::memory_order_release);
  return true;
}

// Hands the lane's full chunk over to be sealed, and gives it another one. False where there is none.
// REQUIRES: fewer than kFullMost chunks wait, or the lane has none.
bool RecorderState::Turn(Lane& lane, ChunkKind kind) {
  if (lane.chunk != nullptr) {
    const auto bytes = static_cast<std::size_t>(lane.next - lane.chunk) - sizeof(ChunkHeader);
    const auto records = static_cast<std::uint32_t>(bytes / sizeof(Record));
    full_[(full_begin_ + full_count_++) % kFullMost] = {{lane.chunk, lane.chunk_index}, records};
    lane.records += records;
    lane.chunk = lane.next = lane.end = nullptr;
    if (full_count_ >= kFullToWake) wake_.NotifyOne();
  }
  return !stopped_.load(std::memory_order_relaxed) && OpenChunk(lane, kind, file_->Claim());
}

bool RecorderState::MakeRoom(Lane& lane) {
  if (stopped_.load(std::memory_order_relaxed) && lane.chunk == nullptr) return false;
  for (;;) {
    {
      MutexLock lock(mutex_);
      if (full_count_ < kFullMost || lane.chunk == nullptr) {
        if (Turn(lane, ChunkKind::kRecords)) return true;
        if (stopped_.load(std::memory_order_relaxed)) return false;
      }
    }
    // Too many wait, or the file cannot grow: sealing one gives a chunk. Where none waits any more, as another thread
    // sealed them all, a full chunk can be handed over.
    if (SealOne() || lane.chunk != nullptr) continue;
    MutexLock lock(mutex_);
    if (lane.chunk != nullptr) continue;  // others sealed all that waited meanwhile: now there is a place for this one
    if (OpenChunk(lane, ChunkKind::kRecords, file_->Claim())) return true;
    if (full_count_ > 0) continue;  // as long as chunks can be sealed, one is left for their blocks
    if (OpenChunk(lane, ChunkKind::kRecords, file_->ClaimLast())) return true;
    StopRecording();
    return false;
  }
}

void RecorderState::CloseTexts() {
  if (texts_.chunk == nullptr) return;
  auto* header = reinterpret_cast<ChunkHeader*>(texts_.chunk);
  const unsigned char* payload = texts_.chunk + sizeof(ChunkHeader);
  header->used_bytes = static_cast<std::uint32_t>(texts_.next - payload);
  header->crc = ChunkCrc(*header, payload);
  std::atomic_ref<std::uint16_t>(header->sealed).store(1, std::memory_order_release);
  file_->Retire(texts_.chunk_index);
  texts_.chunk = texts_.next = texts_.end = nullptr;
}

bool RecorderState::WriteText(std::uint32_t label, std::string_view text, bool may_take_last) {
  const std::size_t bytes = TextEntryBytes(text.size());
  if (static_cast<std::size_t>(texts_.end - texts_.next) < bytes) {
    CloseTexts();
    if (stopped_.load(std::memory_order_relaxed)) return false;
    if (!OpenChunk(texts_, ChunkKind::kTexts, file_->Claim()) &&
        !(may_take_last && OpenChunk(texts_, ChunkKind::kTexts, file_->ClaimLast()))) {
      return false;
    }
  }
  auto* header = reinterpret_cast<TextHeader*>(texts_.next);
  memcpy(texts_.next + sizeof(TextHeader), text.data(), text.size());
  header->bytes = static_cast<std::uint32_t>(text.size());
  std::atomic_ref<std::uint32_t>(header->label).store(label, std::memory_order_release);
  texts_.next += bytes;
  return true;
}

std::uint32_t RecorderState::AddLabel(std::string_view text, bool may_take_last) {
  if (labels_.size() >= kTextsMost) return kOtherLabel;
  const std::uint32_t label = static_cast<std::uint32_t>(labels_.size()) + 1;
  // Readers use the first of two texts with this number: where the next one finds no room, this is written again.
  if (label == kTextsMost && !WriteText(kOtherLabel, "(other)", may_take_last)) return 0;
  const auto [added, is_new] = labels_.emplace(std::string(text), label);
  if (!WriteText(label, text, may_take_last)) {
    labels_.erase(added);
    return 0;
  }
  if (marks_ != nullptr) marks_->Name(label, text);
  return label;
}

std::uint32_t RecorderState::Intern(std::string_view text) {
  const auto find_or_add = [this, text](bool may_take_last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = labels_.find(absl::string_view(text.data(), text.size()));
    return found != labels_.end() ? found->second : AddLabel(text, may_take_last);
  };
  for (bool may_seal = true;; may_seal = SealOne()) {  // where the file cannot grow, that gives a chunk
    MutexLock lock(mutex_);
    const std::uint32_t label = find_or_add(!may_seal);
    if (label != 0 || stopped_.load(std::memory_order_relaxed)) return label;
    if (may_seal) continue;
    StopRecording();
    return 0;
  }
}

void RecorderState::OnRange(Event event, std::uint32_t label, std::uint64_t subject, std::int64_t time_ns) {
  if (marks_ != nullptr) marks_->Mark(event, label, subject);
  const bool is_step = event == Event::kStepBegin || event == Event::kStepEnd;
  if (watches_steps_ && is_step) OnStep(event, subject, time_ns);
}

void RecorderState::OnStep(Event event, std::uint64_t step, std::int64_t time_ns) {
  double times = 0;
  {
    MutexLock lock(steps_mutex_);
    if (event == Event::kStepBegin) {
      steps_.Begin(time_ns);
    } else {
      times = steps_.End(time_ns);
    }
  }
  if (times == 0) return;
  char text[96];
  std::snprintf(text, sizeof text, "step %llu took %.3g times the median", static_cast<unsigned long long>(step),
                times);
  {
    MutexLock lock(mutex_);
    try {
      if (copy_because_.empty()) copy_because_ = text;
    } catch (const std::bad_alloc&) {
      return;
    }
    wake_.NotifyOne();
  }
  if (!thread_.joinable()) CopyWhereAsked();
}

void RecorderState::EndFile() {
  CloseTexts();
  blocks_.Moved(file_->Compact());
  FileHeader& header = file_->header();
  header.dropped = dropped_.load();
  header.end_monotonic_ns = NowNs();
  header.chunk_count = file_->claimed();
  header.file_bytes = file_->UsedBytes();
  // A file of a few chunks is read as a whole.
  const std::vector<unsigned char> index = file_->claimed() > 2 ? blocks_.MakeIndex() : std::vector<unsigned char>();
  const std::uint64_t index_offset = kHeaderBytes + file_->claimed() * kChunkBytes;
  if (!index.empty() && file_->Append(index_offset, index.data(), index.size())) {
    header.index_offset = index_offset;
    header.file_bytes = index_offset + index.size();
    header.chunk_count += (index.size() + kChunkBytes - 1) / kChunkBytes;
  }
  header.end_crc = HeaderEndCrc(header);
  header.extent_crc = HeaderExtentCrc(header);
  file_->Truncate(header.file_bytes);
  std::atomic_ref<std::uint32_t>(header.closed).store(kEnded, std::memory_order_release);
  file_->Unlock();
}

void RecorderState::Finish() {
  EndThread();
  CopyWhereAsked();
  SealWhatIsLeft();
  MutexLock sealing(sealing_mutex_);
  blocks_.Finish();
  MutexLock lock(mutex_);
  EndFile();
}

}  // namespace tierlib::trace
