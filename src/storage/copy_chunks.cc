#include "storage/copy_chunks.h"

#include <algorithm>

namespace tierlib {
namespace {

// Cuts in what is larger than it was asked to be lie at multiples of this in the copy.
constexpr std::uint64_t kAlignment = 256;

std::uint64_t ChunkBytes(std::uint64_t bytes, std::uint64_t wanted) {
  if (wanted == 0 || bytes <= wanted) return bytes;
  const std::uint64_t least = (bytes - 1) / CopyChunks::kMost + 1;
  return wanted >= least ? wanted : (least - 1) / kAlignment * kAlignment + kAlignment;
}

}  // namespace

HostSpan HostSpan::With(const HostSpan& other) const {
  return {std::min(begin, other.begin), std::max(end, other.end)};
}

HostSpan SpanOnHost(absl::Span<const CopyRun> runs, CopyDirection direction) {
  HostSpan hull = {std::numeric_limits<std::uintptr_t>::max(), 0};
  for (const CopyRun& run : runs) {
    const void* const host = direction == CopyDirection::kDeviceToHost ? run.destination : run.source;
    const auto begin = reinterpret_cast<std::uintptr_t>(host);
    if (run.bytes > 0) hull = hull.With({begin, begin + run.bytes});
  }
  return hull;
}

CopyChunks::CopyChunks(absl::Span<const CopyRun> runs, CopyDirection direction, std::uint64_t chunk_bytes) {
  for (const CopyRun& run : runs) bytes_ += run.bytes;
  const std::uint64_t size = ChunkBytes(bytes_, chunk_bytes);
  if (size == bytes_) {
    chunks_.push_back({runs, bytes_, HostSpan()});
  } else {
    Split(runs, size);
  }
  for (Chunk& chunk : chunks_) chunk.host = SpanOnHost(chunk.runs, direction);
}

void CopyChunks::Split(absl::Span<const CopyRun> runs, std::uint64_t size) {
  pieces_.reserve(runs.size() + kMost);  // chunks point into it; each cuts at most one run
  std::size_t first = 0;
  std::uint64_t filled = 0;
  const auto end_chunk = [&] {
    chunks_.push_back({absl::MakeConstSpan(pieces_).subspan(first), filled, HostSpan()});
    first = pieces_.size();
    filled = 0;
  };
  for (CopyRun run : runs) {
    while (run.bytes > 0) {
      const std::uint64_t bytes = std::min<std::uint64_t>(run.bytes, size - filled);
      pieces_.push_back({run.destination, run.source, static_cast<std::size_t>(bytes)});
      run.destination = static_cast<char*>(run.destination) + bytes;
      run.source = static_cast<const char*>(run.source) + bytes;
      run.bytes -= bytes;
      filled += bytes;
      if (filled == size) end_chunk();
    }
  }
  if (filled > 0) end_chunk();
}

}  // namespace tierlib
