#include "trace/header_reader.h"

#include <string.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace tierlib::trace {
namespace {

void Add(Trace& trace, std::uint64_t offset, std::string what) {
  ++trace.problem_count;
  if (trace.problems.size() < Trace::kProblemsMost) trace.problems.push_back({offset, std::move(what)});
}

}  // namespace

// Version 1 ends its header before the fields of version 2.
Status ReadHeader(std::string_view bytes, FileHeader& header, Trace& trace) {
  if (bytes.size() < sizeof kMagic || memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) {
    return DataLossError("not a tierlib trace: it does not begin with the magic bytes");
  }
  if (bytes.size() < kHeaderBytes) {
    return DataLossError("truncated inside the header: " + std::to_string(bytes.size()) + " of " +
                         std::to_string(kHeaderBytes) + " bytes");
  }
  memcpy(&header, bytes.data(), sizeof header);
  if (header.version != kVersion && header.version != kVersionOfRecordsOnly) {
    return UnimplementedError("version " + std::to_string(header.version) +
                              " of the trace format; this program reads " + std::to_string(kVersionOfRecordsOnly) +
                              " and " + std::to_string(kVersion));
  }
  if (header.crc != HeaderCrc(header)) {
    Add(trace, 0, "the header has a bad checksum: its capacities, rank, device and start time are not used");
  } else {
    trace.rank = header.rank;
    trace.process_id = header.process_id;
    trace.start_monotonic_ns = header.start_monotonic_ns;
    trace.start_wall_ns = header.start_wall_ns;
    trace.device_capacity = header.device_capacity;
    trace.pinned_capacity = header.pinned_capacity;
    trace.device.assign(header.device, strnlen(header.device, sizeof header.device));
  }
  const auto& ceiling = header.ceiling_bytes_per_s;
  if (header.version == kVersion && (ceiling[0] != 0 || ceiling[1] != 0)) {
    if (header.ceiling_crc == HeaderCeilingCrc(header)) {
      trace.ceiling_bytes_per_s = {ceiling[0], ceiling[1]};
    } else {
      Add(trace, offsetof(FileHeader, ceiling_bytes_per_s), "the link's ceilings have a bad checksum and are not used");
    }
  }
  if (header.version == kVersion && header.copy_limits_known != 0) {
    if (header.copy_limits_crc == HeaderCopyLimitsCrc(header)) {
      trace.copy_limits = CopyLimits{header.piece_bytes, header.batch_bytes};
    } else {
      Add(trace, offsetof(FileHeader, piece_bytes), "the limits of copies have a bad checksum and are not used");
    }
  }
  trace.dropped = header.dropped;
  trace.is_copy = header.closed == kCopied && header.version == kVersion;
  trace.closed = header.closed == kEnded || trace.is_copy;
  if (trace.closed && (header.end_crc != HeaderEndCrc(header) ||
                       (header.version == kVersion && header.extent_crc != HeaderExtentCrc(header)))) {
    Add(trace, offsetof(FileHeader, end_crc), "the end of the header has a bad checksum");
    trace.closed = false;
    trace.dropped = 0;
  }
  return OkStatus();
}

void CheckWhole(std::string_view bytes, const FileHeader& header, const RecordExtent& extent, Trace& trace) {
  const std::int64_t last_ns = extent.records > 0 ? extent.last_ns : trace.start_monotonic_ns;
  const std::int64_t end_ns = trace.closed ? std::max(last_ns, header.end_monotonic_ns) : last_ns;
  const auto add_gap = [&](const Gap& gap) {
    if (trace.gaps.size() < Trace::kGapsMost) trace.gaps.push_back(gap);
  };
  const std::uint64_t chunks = (bytes.size() - kHeaderBytes) / kChunkBytes;
  const bool is_cut = header.version == kVersion ? bytes.size() < header.file_bytes : chunks < header.chunk_count;
  if (!trace.closed) {
    Add(trace, bytes.size(), "the program did not end the trace; what it wrote until then is used");
    add_gap({last_ns, last_ns, GapReason::kTruncated, 0, 0});
  } else if (is_cut) {
    const std::uint64_t missing = header.chunk_count - std::min(chunks, header.chunk_count);
    Add(trace, bytes.size(),
        "truncated: " + std::to_string(missing) + " of " + std::to_string(header.chunk_count) +
            " chunks are missing or cut");
    add_gap({last_ns, end_ns, GapReason::kTruncated, 0, 0});
  }
  if (header.version == kVersion && header.set_back_ns != 0) {
    Add(trace, offsetof(FileHeader, set_back_ns),
        "the processor's counter was set back while recording: times of records before that was seen are wrong");
    add_gap({std::min(header.set_back_after_ns, header.set_back_ns), header.set_back_ns, GapReason::kDamaged, 0, 0});
  }
  if (trace.dropped > 0) {
    Add(trace, offsetof(FileHeader, dropped),
        std::to_string(trace.dropped) + " records were dropped: the file could not grow, or reached its limit");
    const std::int64_t stopped_ns = header.version == kVersion && header.stopped_ns != 0 ? header.stopped_ns : last_ns;
    add_gap({stopped_ns, std::max(stopped_ns, end_ns), GapReason::kDropped, 0, trace.dropped});
  }
}

}  // namespace tierlib::trace
