#include "trace/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "trace/format.h"

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

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  StatusOr<Trace> Read() {
    TIERLIB_RETURN_IF_ERROR(ReadHeader());
    trace_.records.reserve((bytes_.size() - kHeaderBytes) / sizeof(Record));
    for (std::size_t offset = kHeaderBytes; offset < bytes_.size(); offset += kChunkBytes) {
      ReadChunk(offset, bytes_.substr(offset, kChunkBytes));
    }
    CheckWhole();
    const auto earlier = [](const Record& a, const Record& b) { return a.time_ns < b.time_ns; };
    if (!std::is_sorted(trace_.records.begin(), trace_.records.end(), earlier)) {
      std::stable_sort(trace_.records.begin(), trace_.records.end(), earlier);
    }
    return std::move(trace_);
  }

 private:
  struct LaneState {
    std::uint32_t next_sequence = 0;
  };

  void Add(std::uint64_t offset, std::string what) {
    ++trace_.problem_count;
    if (trace_.problems.size() < Trace::kProblemsMost) trace_.problems.push_back({offset, std::move(what)});
  }

  Status ReadHeader() {
    if (bytes_.size() < sizeof kMagic || memcmp(bytes_.data(), kMagic, sizeof kMagic) != 0) {
      return DataLossError("not a tierlib trace: it does not begin with the magic bytes");
    }
    if (bytes_.size() < kHeaderBytes) {
      return DataLossError("truncated inside the header: " + std::to_string(bytes_.size()) + " of " +
                           std::to_string(kHeaderBytes) + " bytes");
    }
    header_ = Load<FileHeader>(bytes_, 0);
    if (header_.version != kVersion) {
      return UnimplementedError("version " + std::to_string(header_.version) +
                                " of the trace format; this program reads " + std::to_string(kVersion));
    }
    if (header_.crc != HeaderCrc(header_)) {
      Add(0, "the header has a bad checksum: its capacities, rank, device and start time are not used");
    } else {
      trace_.rank = header_.rank;
      trace_.process_id = header_.process_id;
      trace_.start_monotonic_ns = header_.start_monotonic_ns;
      trace_.start_wall_ns = header_.start_wall_ns;
      trace_.device_capacity = header_.device_capacity;
      trace_.pinned_capacity = header_.pinned_capacity;
      trace_.device.assign(header_.device, strnlen(header_.device, sizeof header_.device));
    }
    trace_.dropped = header_.dropped;
    trace_.closed = header_.closed == 1;
    if (trace_.closed && header_.end_crc != HeaderEndCrc(header_)) {
      Add(offsetof(FileHeader, end_crc), "the end of the header has a bad checksum");
      trace_.closed = false;
      trace_.dropped = 0;
    }
    return OkStatus();
  }

  // Findings about the file as a whole.
  void CheckWhole() {
    const std::uint64_t chunks = (bytes_.size() - kHeaderBytes) / kChunkBytes;
    if (!trace_.closed) {
      Add(bytes_.size(), "the program did not end the trace; what it wrote until then is used");
    } else if (chunks < header_.chunk_count) {
      Add(bytes_.size(), "truncated: " + std::to_string(header_.chunk_count - chunks) + " of " +
                             std::to_string(header_.chunk_count) + " chunks are missing or cut");
    }
    if (trace_.dropped > 0) {
      Add(offsetof(FileHeader, dropped),
          std::to_string(trace_.dropped) + " records were dropped: the file could not grow, or reached its limit");
    }
  }

  void ReadChunk(std::size_t offset, std::string_view chunk) {
    if (chunk.size() < sizeof(ChunkHeader)) {
      if (!AllZero(chunk)) Add(offset, "truncated inside the header of a chunk");
      return;
    }
    const ChunkHeader header = Load<ChunkHeader>(chunk, 0);
    if (header.magic == 0 && AllZero(chunk)) return;  // reserved and never claimed
    if (header.magic != kChunkMagic) return Add(offset, "a chunk with bad magic bytes is skipped");
    std::string_view payload = chunk.substr(sizeof(ChunkHeader));
    if (header.sealed == 1) {
      if (header.used_bytes > kPayloadBytes) return Add(offset, "a chunk with a bad length is skipped");
      if (header.used_bytes <= payload.size()) {
        if (header.crc != ChunkCrc(header, payload.data())) {
          return Add(offset, "a chunk with a bad checksum is skipped: up to " + std::to_string(kRecordsPerChunk) +
                                 " records are lost");
        }
        payload = payload.substr(0, header.used_bytes);
      } else {
        Add(offset, "a chunk is cut: what is left of it is used unverified");
      }
    } else if (trace_.closed) {
      Add(offset, "a chunk is not sealed although the trace was ended");
    }
    CheckSequence(offset, header);
    if (header.kind == static_cast<std::uint16_t>(ChunkKind::kRecords)) return ReadRecords(offset, payload);
    if (header.kind == static_cast<std::uint16_t>(ChunkKind::kTexts)) return ReadTexts(offset, payload);
    Add(offset, "a chunk of unknown kind " + std::to_string(header.kind) + " is skipped");
  }

  void CheckSequence(std::size_t offset, const ChunkHeader& header) {
    std::uint32_t& next = next_sequence_[header.lane];
    if (header.sequence != next) {
      Add(offset, "lane " + std::to_string(header.lane) + " continues with its chunk " +
                      std::to_string(header.sequence) + " where " + std::to_string(next) + " was expected");
    }
    next = header.sequence + 1;
  }

  void ReadRecords(std::size_t chunk_offset, std::string_view payload) {
    std::size_t at = 0;
    for (; at + sizeof(Record) <= payload.size(); at += sizeof(Record)) {
      const std::uint64_t offset = chunk_offset + sizeof(ChunkHeader) + at;
      const std::uint8_t event = static_cast<std::uint8_t>(payload[at + offsetof(Record, event)]);
      if (event == 0) break;  // never written, or torn
      if (!IsKnownEvent(event)) {
        Add(offset, "a record of unknown event " + std::to_string(event) + " is skipped");
        continue;
      }
      trace_.records.push_back(Load<Record>(payload, at));
    }
    if (!AllZero(payload.substr(at))) Add(chunk_offset + sizeof(ChunkHeader) + at, "a torn record is skipped");
  }

  void ReadTexts(std::size_t chunk_offset, std::string_view payload) {
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

  const std::string_view bytes_;
  FileHeader header_ = {};
  absl::flat_hash_map<std::uint32_t, std::uint32_t> next_sequence_;
  Trace trace_;
};

}  // namespace

std::string Trace::LabelText(std::uint32_t label) const {
  if (label == 0) return "";
  const auto found = labels.find(label);
  return found != labels.end() ? found->second : "label " + std::to_string(label);
}

StatusOr<Trace> ReadTrace(std::string_view bytes) {
  try {
    return Reader(bytes).Read();
  } catch (const std::bad_alloc&) {
    return ResourceExhaustedError("not enough memory to read the trace");
  }
}

StatusOr<Trace> ReadTraceDescriptor(int descriptor, const std::string& name) {
  // Read, not mapped: a file that another program cuts meanwhile must not be a SIGBUS.
  try {
    std::string bytes;
    struct stat info;
    if (fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode)) bytes.reserve(static_cast<std::size_t>(info.st_size));
    char buffer[64 << 10];
    for (;;) {
      const ssize_t count = read(descriptor, buffer, sizeof buffer);
      if (count == 0) return ReadTrace(bytes);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Status(StatusCode::kUnknown, "cannot read " + name + ": " + strerror(errno));
      bytes.append(buffer, static_cast<std::size_t>(count));
    }
  } catch (const std::bad_alloc&) {
    return ResourceExhaustedError("not enough memory to read " + name);
  }
}

StatusOr<Trace> ReadTraceFile(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) {
    const std::string message = "cannot read " + path + ": " + strerror(errno);
    if (errno == ENOENT || errno == ENOTDIR) return NotFoundError(message);
    return Status(errno == EACCES ? StatusCode::kPermissionDenied : StatusCode::kUnknown, message);
  }
  StatusOr<Trace> trace = ReadTraceDescriptor(descriptor, path);
  close(descriptor);
  return trace;
}

}  // namespace tierlib::trace
