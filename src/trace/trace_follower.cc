#include "trace/trace_follower.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "trace/header_reader.h"

namespace tierlib::trace {
namespace {

// Of one trace from its begin to its end: what is written into the header while recording comes later.
bool IsSameTrace(const FileHeader& a, const FileHeader& b) { return a.crc == b.crc && a.crc != 0; }

// Adds records to others that are in the order of time, behind those of the same time. Says from the last one on where
// each came to be, if somebody asks.
void Merge(std::vector<Record> added, std::vector<Record>& records, std::vector<std::size_t>* places) {
  std::stable_sort(added.begin(), added.end(), [](const Record& a, const Record& b) { return a.time_ns < b.time_ns; });
  std::size_t from = records.size();
  std::size_t left = added.size();
  records.resize(from + left);
  while (left > 0) {
    const std::size_t to = from + left - 1;
    if (from > 0 && added[left - 1].time_ns < records[from - 1].time_ns) {
      records[to] = records[--from];
    } else {
      records[to] = added[--left];
      if (places != nullptr) places->push_back(to);
    }
  }
}

}  // namespace

Status TraceFollower::Refresh() try {
  const int descriptor = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return ReadTraceFile(path_).status();  // says why
  const Status status = RefreshFrom(descriptor);
  close(descriptor);
  return status;
} catch (const std::bad_alloc&) {
  return ResourceExhaustedError("not enough memory to read the trace");
}

Status TraceFollower::RefreshFrom(int descriptor) {
  struct stat info;
  if (fstat(descriptor, &info) != 0) return Status(StatusCode::kUnknown, "cannot read " + path_);
  const auto file_bytes = static_cast<std::uint64_t>(info.st_size);
  std::string front;
  TIERLIB_RETURN_IF_ERROR(ReadAt(descriptor, 0, kHeaderBytes, front));
  Trace fresh;
  FileHeader header;
  TIERLIB_RETURN_IF_ERROR(ReadHeader(front, header, fresh));
  if (header.version != kVersion || fresh.closed) {
    TIERLIB_ASSIGN_OR_RETURN(trace_, ReadTraceDescriptor(descriptor, path_));
    bytes_read_ += file_bytes;
    header_ = {};  // what follows begins anew
    return OkStatus();
  }
  if (!IsSameTrace(header, header_)) {
    trace_ = {};
    so_far_ = {};
    finals_.clear();
    open_places_.clear();
  }
  TIERLIB_ASSIGN_OR_RETURN(const std::string changed, ReadChanged(descriptor, file_bytes));
  ChunkReader reader(changed, header, fresh);
  reader.Continue(&so_far_);
  std::vector<Record> sealed;
  std::vector<Record> open;
  reader.Read([](std::size_t) {},
              [&](std::uint32_t segment, absl::Span<const Record> records) {
                std::vector<Record>& to = reader.IsSealed(segment) ? sealed : open;
                to.insert(to.end(), records.begin(), records.end());
              });
  header_ = header;
  Take(std::move(fresh), std::move(sealed), std::move(open));
  return OkStatus();
}

// Chunks are looked at by their headers first. Those of records, and what is not full yet, are read each time.
StatusOr<std::string> TraceFollower::ReadChanged(int descriptor, std::uint64_t file_bytes) {
  std::string changed;
  TIERLIB_RETURN_IF_ERROR(ReadAt(descriptor, 0, kHeaderBytes, changed));
  FileHeader header;
  memcpy(&header, changed.data(), sizeof header);
  const std::uint64_t chunks = file_bytes < kHeaderBytes ? 0 : (file_bytes - kHeaderBytes) / kChunkBytes;
  finals_.resize(static_cast<std::size_t>(chunks));
  just_read_.clear();
  for (std::size_t i = 0; i < finals_.size(); ++i) {
    if (finals_[i].is && header.last_bytes == 0) continue;
    const std::uint64_t offset = kHeaderBytes + std::uint64_t{i} * kChunkBytes;
    std::string front;
    TIERLIB_RETURN_IF_ERROR(ReadAt(descriptor, offset, sizeof(ChunkHeader), front));
    ChunkHeader chunk = {};
    memcpy(&chunk, front.data(), std::min(front.size(), sizeof chunk));
    if (chunk.magic != kChunkMagic || (finals_[i].is && finals_[i].sequence == chunk.sequence)) continue;
    const std::size_t begin = changed.size();
    TIERLIB_RETURN_IF_ERROR(ReadAt(descriptor, offset, kChunkBytes, changed));
    if (changed.size() < begin + sizeof chunk) break;  // the file is being ended
    memcpy(&chunk, changed.data() + begin, sizeof chunk);
    changed.resize(begin + kChunkBytes);
    finals_[i] = {false, chunk.sequence};
    if (chunk.sealed == 1 && chunk.kind != static_cast<std::uint16_t>(ChunkKind::kRecords)) just_read_.push_back(i);
  }
  return changed;
}

// Appends what is there of `bytes` bytes.
Status TraceFollower::ReadAt(int descriptor, std::uint64_t offset, std::size_t bytes, std::string& to) {
  const std::size_t begin = to.size();
  to.resize(begin + bytes);
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t count = pread(descriptor, to.data() + begin + done, bytes - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Status(StatusCode::kUnknown, "cannot read " + path_ + ": " + strerror(errno));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  to.resize(begin + done);
  bytes_read_ += done;
  return OkStatus();
}

void TraceFollower::RemoveOpen() {
  if (open_places_.empty()) return;
  std::vector<Record>& records = trace_.records;
  std::size_t to = open_places_.front();
  std::size_t next = 0;
  for (std::size_t from = to; from < records.size(); ++from) {
    if (next < open_places_.size() && from == open_places_[next]) {
      ++next;
    } else {
      records[to++] = records[from];
    }
  }
  records.resize(to);
  open_places_.clear();
}

void TraceFollower::Take(Trace&& facts, std::vector<Record>&& sealed, std::vector<Record>&& open) {
  if (so_far_.holes.empty()) {  // otherwise something of them was left out
    for (const std::size_t chunk : just_read_) finals_[chunk].is = true;
  }
  RemoveOpen();
  facts.records = std::move(trace_.records);
  trace_.labels.insert(facts.labels.begin(), facts.labels.end());
  facts.labels = std::move(trace_.labels);
  facts.gaps.clear();
  facts.problems.clear();
  facts.problem_count = 0;
  trace_ = std::move(facts);
  Merge(std::move(sealed), trace_.records, nullptr);
  Merge(std::move(open), trace_.records, &open_places_);
  std::reverse(open_places_.begin(), open_places_.end());
}

}  // namespace tierlib::trace
