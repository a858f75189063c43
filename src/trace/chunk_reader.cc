#include "trace/chunk_reader.h"

#include <string.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace tierlib::trace {
namespace {

template <typename T>
T Load(std::string_view bytes, std::size_t offset) {
  T value;
  memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

bool AllZero(std::string_view bytes) {
  return bytes.empty() || (bytes[0] == 0 && memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

bool IsKnown(const Record& record) { return IsKnownEvent(static_cast<std::uint8_t>(record.event)); }

}  // namespace

ChunkReader::ChunkReader(std::string_view bytes, const FileHeader& header, Trace& trace)
    : bytes_(bytes),
      header_(header),
      trace_(trace),
      in_ticks_(has_blocks() && header.clock == static_cast<std::uint32_t>(ClockKind::kTicks)) {}

void ChunkReader::OnlyBetween(std::int64_t begin_ns, std::int64_t end_ns) {
  begin_ns_ = begin_ns;
  end_ns_ = end_ns;
}

void ChunkReader::Read(Expect expect, Sink sink) {
  for (std::size_t offset = kHeaderBytes; offset < bytes_.size(); offset += kChunkBytes) {
    LookAtChunk(offset, bytes_.substr(offset, kChunkBytes));
  }
  MakeScale();
  CheckTexts();
  if (has_blocks()) {
    // Of the same records a block comes before the chunk that it was made of.
    std::sort(segments_.begin(), segments_.end(), [](const Segment& a, const Segment& b) {
      return std::tuple(a.lane, a.first_record, !a.is_block, a.offset) <
             std::tuple(b.lane, b.first_record, !b.is_block, b.offset);
    });
  }
  std::size_t records = 0;
  for (const Segment& segment : segments_) {
    if (Wanted(segment)) records += segment.is_block ? segment.records : segment.bytes / sizeof(Record);
  }
  expect(records);
  ReadLanes(sink);
  for (const auto& [other, of_index] : index_) NoteLostEnd(other, {});  // lanes of which nothing is left
  NoteOverwritten();
  const bool is_told = std::any_of(trace_.gaps.begin(), trace_.gaps.end(),
                                   [](const Gap& gap) { return gap.reason == GapReason::kDamaged; });
  if (damaged_ && !is_told) AddGap({last_ns_, last_ns_, GapReason::kDamaged, 0, 0});
  for (const Gap& gap : told_gaps_) AddGap(gap);
}

// `sealed`: as far as blocks go, without chunks that were not sealed when they were read.
void ChunkReader::ReadLanes(Sink sink) {
  std::uint32_t lane = segments_.empty() ? 0 : segments_[0].lane;
  LaneEnd end = BeginOf(lane);
  LaneEnd sealed = end;
  std::map<std::uint32_t, std::uint64_t> holes;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    Segment& segment = segments_[i];
    if (has_blocks() && segment.lane != lane) {
      NoteLostEnd(lane, end);
      lane = segment.lane;
      sealed = end = BeginOf(lane);
    }
    if (WaitsForHole(segment, sealed)) {
      holes[lane] = sealed.next;
    } else if (Wanted(segment)) {
      ReadSegment(segment, end);
      if (segment.is_block) sealed = end;
      if (so_far_ != nullptr) so_far_->lanes[lane] = sealed;
      if (!scratch_.empty()) sink(static_cast<std::uint32_t>(i), scratch_);
    } else {
      end.next = std::max(end.next, segment.first_record + segment.records);
      const auto header = Load<BlockHeader>(bytes_, segment.offset);
      end.last_ns = header.end_ns;
      end.clock = header.clock;
      end.begun = true;
    }
  }
  NoteLostEnd(lane, end);
  if (so_far_ != nullptr) so_far_->holes = std::move(holes);
}

LaneEnd ChunkReader::BeginOf(std::uint32_t lane) const {
  if (so_far_ == nullptr) return {};
  const auto found = so_far_->lanes.find(lane);
  return found == so_far_->lanes.end() ? LaneEnd() : found->second;
}

bool ChunkReader::WaitsForHole(const Segment& segment, const LaneEnd& sealed) const {
  if (so_far_ == nullptr || !segment.is_block || segment.first_record <= sealed.next) return false;
  if (!sealed.begun && header_.overwritten != 0) return false;
  const auto known = so_far_->holes.find(segment.lane);
  return known == so_far_->holes.end() || known->second != sealed.next;
}

void ChunkReader::Damaged(std::uint64_t offset, std::string what) {
  damaged_ = true;
  Add(offset, std::move(what));
}

void ChunkReader::Add(std::uint64_t offset, std::string what) {
  ++trace_.problem_count;
  if (trace_.problems.size() < Trace::kProblemsMost) trace_.problems.push_back({offset, std::move(what)});
}

void ChunkReader::AddGap(const Gap& gap) {
  if (trace_.gaps.size() < Trace::kGapsMost) trace_.gaps.push_back(gap);
}

bool ChunkReader::Wanted(const Segment& segment) const {
  if (!segment.is_block) return true;
  const auto header = Load<BlockHeader>(bytes_, segment.offset);
  return header.end_ns >= begin_ns_ && header.begin_ns <= end_ns_;
}

void ChunkReader::LookAtChunk(std::size_t offset, std::string_view chunk) {
  if (chunk.size() < sizeof(ChunkHeader)) {
    if (!AllZero(chunk)) Add(offset, "truncated inside the header of a chunk");
    return;
  }
  const ChunkHeader header = Load<ChunkHeader>(chunk, 0);
  // Reserved and never claimed; from version 2 on also given back, whatever is left of what it held.
  if (header.magic == 0 && (has_blocks() || AllZero(chunk))) return;
  if (header.magic != kChunkMagic) return Damaged(offset, "a chunk with bad magic bytes is skipped");
  std::string_view payload = chunk.substr(sizeof(ChunkHeader));
  if (has_blocks() && header.kind == static_cast<std::uint16_t>(ChunkKind::kBlocks)) {
    return LookAtBlocks(offset, payload);  // which have checksums of their own
  }
  if (header.sealed == 1) {
    if (header.used_bytes > kPayloadBytes) return Damaged(offset, "a chunk with a bad length is skipped");
    if (header.used_bytes <= payload.size()) {
      if (header.crc != ChunkCrc(header, payload.data())) {
        return Damaged(offset, "a chunk with a bad checksum is skipped: up to " + std::to_string(kRecordsPerChunk) +
                                   " records are lost");
      }
      payload = payload.substr(0, header.used_bytes);
    } else {
      Add(offset, "a chunk is cut: what is left of it is used unverified");
    }
  } else if (header_.closed == kEnded && trace_.closed) {
    Add(offset, "a chunk is not sealed although the trace was ended");
  }
  const bool of_records = header.kind == static_cast<std::uint16_t>(ChunkKind::kRecords);
  if (!has_blocks()) CheckSequence(offset, header);
  if (of_records && header.first_record > std::numeric_limits<std::uint64_t>::max() - kRecordsPerChunk) {
    return Damaged(offset, "a chunk with a bad first record is skipped");
  }
  if (of_records) {
    Segment segment;
    segment.first_record = header.first_record;
    segment.offset = offset + sizeof(ChunkHeader);
    segment.lane = header.lane;
    segment.bytes = static_cast<std::uint16_t>(payload.size());
    segment.is_sealed = header.sealed == 1;
    segments_.push_back(segment);
  } else if (header.kind == static_cast<std::uint16_t>(ChunkKind::kTexts)) {
    if (has_blocks()) text_sequences_.push_back(header.sequence);
    ReadTexts(offset, payload);
  } else if (has_blocks() && header.kind == static_cast<std::uint16_t>(ChunkKind::kIndex)) {
    if (header.sealed == 1) ReadIndex(payload);
  } else if (has_blocks() && header.kind == static_cast<std::uint16_t>(ChunkKind::kGaps)) {
    ReadGaps(offset, payload);
  } else {
    Add(offset, "a chunk of unknown kind " + std::to_string(header.kind) + " is skipped");
  }
}

void ChunkReader::LookAtBlocks(std::size_t chunk_offset, std::string_view payload) {
  std::size_t at = 0;
  while (at + sizeof(std::uint32_t) <= payload.size()) {
    const std::size_t offset = chunk_offset + sizeof(ChunkHeader) + at;
    const std::string_view rest = payload.substr(at);
    if (Load<std::uint32_t>(rest, 0) == 0) return;  // nothing more, or a block that was being written
    const std::size_t claimed = ClaimedBlockBytes(rest);
    BlockHeader header;
    if (claimed == 0) return Damaged(offset, "a block with a bad length and what follows it in its chunk are skipped");
    if (ReadBlockHeader(rest, &header)) {
      Segment segment;
      segment.first_record = header.first_record;
      segment.offset = offset;
      segment.lane = header.lane;
      segment.bytes = static_cast<std::uint16_t>(header.block_bytes);
      segment.records = static_cast<std::uint16_t>(header.record_count);
      segment.is_block = true;
      segments_.push_back(segment);
      if (in_ticks_ && header.clock.ticks != 0) pairs_.push_back(header.clock);
    } else {
      Damaged(offset, "a block with a bad checksum is skipped");
    }
    at += claimed;
  }
}

void ChunkReader::CheckSequence(std::size_t offset, const ChunkHeader& header) {
  std::uint32_t& next = next_sequence_[header.lane];
  if (header.sequence != next) {
    Add(offset, "lane " + std::to_string(header.lane) + " continues with its chunk " + std::to_string(header.sequence) +
                    " where " + std::to_string(next) + " was expected");
  }
  next = header.sequence + 1;
}

// Chunks of texts may have been moved, and one be there twice where the program was killed while it did that.
void ChunkReader::CheckTexts() {
  std::sort(text_sequences_.begin(), text_sequences_.end());
  text_sequences_.erase(std::unique(text_sequences_.begin(), text_sequences_.end()), text_sequences_.end());
  if (text_sequences_.empty() || text_sequences_.back() + std::uint64_t{1} == text_sequences_.size()) return;
  const std::uint64_t missing = text_sequences_.back() + std::uint64_t{1} - text_sequences_.size();
  Damaged(bytes_.size(),
          std::to_string(missing) + (missing == 1 ? " chunk of texts is missing" : " chunks of texts are missing"));
}

void ChunkReader::ReadTexts(std::size_t chunk_offset, std::string_view payload) {
  std::size_t at = 0;
  while (at + sizeof(TextHeader) <= payload.size()) {
    const TextHeader header = Load<TextHeader>(payload, at);
    if (header.label == 0) break;
    if (header.label > kOtherLabel || header.bytes > kTextBytesMost ||
        TextEntryBytes(header.bytes) > payload.size() - at) {
      break;  // reported below: it is not zero
    }
    trace_.labels.try_emplace(header.label, payload.substr(at + sizeof(TextHeader), header.bytes));
    at += TextEntryBytes(header.bytes);
  }
  if (!AllZero(payload.substr(at))) Add(chunk_offset + sizeof(ChunkHeader) + at, "a torn text is skipped");
}

void ChunkReader::ReadIndex(std::string_view payload) {
  for (std::size_t at = 0; at + sizeof(IndexEntry) <= payload.size(); at += sizeof(IndexEntry)) {
    const auto entry = Load<IndexEntry>(payload, at);
    if (index_.size() >= kIndexLanesMost && index_.count(entry.lane) == 0) continue;
    LaneEnd& lane = index_[entry.lane];
    const std::uint64_t next = entry.first_record + entry.record_count;
    if (next < entry.first_record || next <= lane.next) continue;
    lane.next = next;
    lane.last_ns = entry.end_ns;
  }
}

void ChunkReader::ReadGaps(std::size_t chunk_offset, std::string_view payload) {
  for (std::size_t at = 0; at + sizeof(GapEntry) <= payload.size(); at += sizeof(GapEntry)) {
    const auto entry = Load<GapEntry>(payload, at);
    if (entry.reason >= kGapReasonCount || entry.end_ns < entry.begin_ns) {
      Add(chunk_offset + sizeof(ChunkHeader) + at,
          "a gap of unknown reason, or that ends before it begins, is skipped");
      continue;
    }
    const auto reason = static_cast<GapReason>(entry.reason);
    if (told_gaps_.size() < Trace::kGapsMost) {
      told_gaps_.push_back({entry.begin_ns, entry.end_ns, reason, entry.lane, entry.records});
    }
    const std::string missing =
        entry.records == 0 ? "records" : std::to_string(entry.records) + (entry.records == 1 ? " record" : " records");
    Add(chunk_offset + sizeof(ChunkHeader) + at,
        "the trace that this one was made of lacked " + missing + " (" + GapReasonName(reason) + ")");
  }
}

void ChunkReader::MakeScale() {
  if (!in_ticks_) return;
  const bool start_is_right = header_.start_crc == HeaderStartCrc(header_);
  if (so_far_ != nullptr) pairs_.insert(pairs_.end(), so_far_->pairs.begin(), so_far_->pairs.end());
  if (start_is_right) pairs_.insert(pairs_.end(), header_.start_clock, header_.start_clock + 2);
  for (const ClockSlot& slot : header_.last_clock) {
    if (slot.pair.ticks != 0 && slot.crc == ClockSlotCrc(slot)) pairs_.push_back(slot.pair);
  }
  std::sort(pairs_.begin(), pairs_.end(), [](const ClockPair& a, const ClockPair& b) {
    return std::tuple(a.ticks, a.monotonic_ns) < std::tuple(b.ticks, b.monotonic_ns);
  });
  const auto same = [](const ClockPair& a, const ClockPair& b) {
    return a.ticks == b.ticks && a.monotonic_ns == b.monotonic_ns;
  };
  pairs_.erase(std::unique(pairs_.begin(), pairs_.end(), same), pairs_.end());
  for (const ClockPair& pair : pairs_) (void)scale_.Add(pair);
  if (so_far_ != nullptr) so_far_->pairs = pairs_;
  if (!start_is_right) {
    Add(offsetof(FileHeader, start_clock),
        "the start of the clock has a bad checksum: times of records that are in no "
        "block may be wrong");
  }
}

void ChunkReader::ReadSegment(Segment& segment, LaneEnd& lane) {
  scratch_.clear();
  if (segment.is_block) {
    ReadBlock(segment, lane);
  } else {
    ReadRecords(segment, lane);
  }
  // Unknown events are left out here, after they were counted.
  const auto unknown = [&](const Record& record) {
    if (IsKnown(record)) return false;
    if (trace_.problems.size() < Trace::kProblemsMost) {
      const auto event = static_cast<std::uint8_t>(record.event);
      Add(segment.offset, "a record of unknown event " + std::to_string(event) + " is skipped");
    } else {
      ++trace_.problem_count;  // a hostile file may be full of them: no text that is thrown away
    }
    return true;
  };
  scratch_.erase(std::remove_if(scratch_.begin(), scratch_.end(), unknown), scratch_.end());
}

void ChunkReader::ReadAgain(std::uint32_t index, std::vector<Record>& records) {
  const Segment& segment = segments_[index];
  records.clear();
  if (segment.is_block) {
    const auto header = Load<BlockHeader>(bytes_, segment.offset);
    (void)decoder_.Decode(bytes_.substr(segment.offset, segment.bytes), header, records);  // as it was the first time
    records.erase(records.begin(), records.begin() + segment.skip);
  } else {
    LaneEnd lane = lane_begins_[segment.lane_begin];
    (void)TakeRecords(segment, lane, records);
  }
  records.erase(std::remove_if(records.begin(), records.end(), [](const Record& r) { return !IsKnown(r); }),
                records.end());
}

void ChunkReader::ReadBlock(Segment& segment, LaneEnd& lane) {
  const std::uint64_t end = segment.first_record + segment.records;
  if (end <= lane.next) return;  // a block that was being moved when the program was killed
  const auto header = Load<BlockHeader>(bytes_, segment.offset);
  const char* wrong = decoder_.Decode(bytes_.substr(segment.offset, segment.bytes), header, scratch_);
  if (wrong != nullptr) return Damaged(segment.offset, "a block is skipped: " + std::string(wrong));
  NoteLost(segment, scratch_[0].time_ns, lane);
  if (segment.first_record < lane.next) {
    segment.skip = static_cast<std::uint16_t>(lane.next - segment.first_record);
    scratch_.erase(scratch_.begin(), scratch_.begin() + segment.skip);
  }
  lane.next = end;
  lane.last_ns = header.end_ns;
  lane.clock = header.clock;
}

// Pairs that the lane's last block was made with may be gone. What was written before that block was made, and is not
// in it, is not earlier than what is.
std::int64_t ChunkReader::TimeOfTicks(std::uint64_t ticks, const LaneEnd& lane) const {
  const std::int64_t time_ns = scale_.ToNs(ticks);
  if (ticks > lane.clock.ticks) return time_ns;
  return std::max(time_ns, std::min(lane.last_ns, lane.clock.monotonic_ns));
}

std::size_t ChunkReader::TakeRecords(const Segment& segment, LaneEnd& lane, std::vector<Record>& records) const {
  const std::string_view payload = bytes_.substr(segment.offset, segment.bytes);
  std::uint64_t number = segment.first_record;
  std::size_t at = 0;
  for (; at + sizeof(Record) <= payload.size(); at += sizeof(Record), ++number) {
    const std::uint8_t event = static_cast<std::uint8_t>(payload[at + offsetof(Record, event)]);
    if (event == 0) break;  // never written, or torn
    if (has_blocks() && number < lane.next) continue;
    Record record = Load<Record>(payload, at);
    if (has_blocks()) {
      if (in_ticks_ && (record.label & kTimeIsNs) == 0) {
        record.time_ns = TimeOfTicks(static_cast<std::uint64_t>(record.time_ns), lane);
      }
      record.label &= ~kTimeIsNs;
    }
    lane.last_ns = std::max(lane.last_ns, record.time_ns);
    lane.next = number + 1;
    records.push_back(record);
  }
  return at;
}

void ChunkReader::ReadRecords(Segment& segment, LaneEnd& lane) {
  segment.lane_begin = static_cast<std::uint32_t>(lane_begins_.size());
  lane_begins_.push_back(lane);
  LaneEnd after = lane;
  const std::size_t at = TakeRecords(segment, after, scratch_);
  if (has_blocks() && !scratch_.empty()) NoteLost(segment, scratch_[0].time_ns, lane);
  lane.next = after.next;
  lane.last_ns = after.last_ns;
  if (is_copy() && !segment.is_sealed) return;  // what came after was written while the copy was made
  if (AllZero(bytes_.substr(segment.offset, segment.bytes).substr(at))) return;
  Add(segment.offset + at, "a torn record is skipped");
  AddGap({lane.last_ns, lane.last_ns, GapReason::kTorn, segment.lane, 1});
}

void ChunkReader::NoteLost(const Segment& segment, std::int64_t time_ns, LaneEnd& lane) {
  const bool first = !std::exchange(lane.begun, true);
  if (segment.first_record <= lane.next) return;
  // A chunk that was copied before its last records were written, and the next one after.
  if (is_copy() && !segment.is_block && time_ns > header_.end_monotonic_ns) return;
  const std::uint64_t lost = segment.first_record - lane.next;
  if (first && header_.overwritten != 0) {
    overwritten_ += lost;
    overwritten_until_ns_ = std::max(overwritten_until_ns_, time_ns);
    return;
  }
  Add(segment.offset, "lane " + std::to_string(segment.lane) + ": " + std::to_string(lost) +
                          " records are missing before its record " + std::to_string(segment.first_record));
  const std::int64_t begin_ns = first ? std::min(trace_.start_monotonic_ns, time_ns) : std::min(lane.last_ns, time_ns);
  AddGap({begin_ns, time_ns, GapReason::kDamaged, segment.lane, lost});
}

// A lane was read up to `end`: does the index say that it goes on?
void ChunkReader::NoteLostEnd(std::uint32_t lane, const LaneEnd& end) {
  last_ns_ = std::max(last_ns_, end.last_ns);
  const auto found = index_.find(lane);
  if (found == index_.end()) return;
  const LaneEnd of_index = found->second;
  if (std::exchange(found->second.begun, true) || of_index.next <= end.next) return;
  const std::uint64_t lost = of_index.next - end.next;
  Add(bytes_.size(), "lane " + std::to_string(lane) + ": its last " + std::to_string(lost) + " records are missing");
  const std::int64_t begin_ns = end.begun ? end.last_ns : trace_.start_monotonic_ns;
  AddGap({std::min(begin_ns, of_index.last_ns), of_index.last_ns, GapReason::kDamaged, lane, lost});
}

// Of a flight recorder. The header says until when; without it, the first times of the lanes do.
void ChunkReader::NoteOverwritten() {
  if (!has_blocks() || (overwritten_ == 0 && header_.overwritten == 0)) return;
  const std::int64_t until = header_.overwritten != 0 && header_.overwritten_until_ns != 0
                                 ? header_.overwritten_until_ns
                                 : overwritten_until_ns_;
  AddGap({std::min(trace_.start_monotonic_ns, until), until, GapReason::kOverwritten, 0,
          std::max(overwritten_, header_.overwritten)});
}

}  // namespace tierlib::trace
