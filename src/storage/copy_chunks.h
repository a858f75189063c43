// CopyChunks: how one copy is split into pieces that end one after the other, and where each lies on the host.
//
// Thread-safety: none; the engine that makes the copy owns it.
#ifndef TIERLIB_SRC_STORAGE_COPY_CHUNKS_H_
#define TIERLIB_SRC_STORAGE_COPY_CHUNKS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "allocator/device_backend.h"

namespace tierlib {

// Addresses of the host from `begin` to before `end`; all of them as it is made.
struct HostSpan {
  std::uintptr_t begin = 0;
  std::uintptr_t end = std::numeric_limits<std::uintptr_t>::max();

  bool Meets(const HostSpan& other) const { return begin < other.end && other.begin < end; }
  // The smallest that has both.
  HostSpan With(const HostSpan& other) const;
};

// The hull of what the runs read or write on the host; empty where they have no bytes.
HostSpan SpanOnHost(absl::Span<const CopyRun> runs, CopyDirection direction);

class CopyChunks {
 public:
  static constexpr std::uint64_t kMost = 16;  // chunks of a copy: each costs a call and an event

  struct Chunk {
    absl::Span<const CopyRun> runs;
    std::uint64_t bytes = 0;
    HostSpan host;  // has its bytes on the host, and what lies between them
  };

  // Chunks of `chunk_bytes` bytes, but for the last, or of more where there would be too many; one where that is 0. A
  // copy without bytes is one chunk. `runs` outlives the chunks.
  CopyChunks(absl::Span<const CopyRun> runs, CopyDirection direction, std::uint64_t chunk_bytes);
  CopyChunks(const CopyChunks&) = delete;
  CopyChunks& operator=(const CopyChunks&) = delete;

  absl::Span<const Chunk> chunks() const { return chunks_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  void Split(absl::Span<const CopyRun> runs, std::uint64_t size);

  std::uint64_t bytes_ = 0;
  std::vector<CopyRun> pieces_;  // the runs, cut where chunks end; not used where there is one chunk
  absl::InlinedVector<Chunk, 1> chunks_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_STORAGE_COPY_CHUNKS_H_
