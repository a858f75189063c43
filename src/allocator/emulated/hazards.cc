#include "allocator/emulated/hazards.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tierlib::emulated {
namespace {

// The common part of two ranges; empty (begin == end) where there is none.
struct Overlap {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

Overlap Intersect(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto a_begin = reinterpret_cast<std::uintptr_t>(a);
  const auto b_begin = reinterpret_cast<std::uintptr_t>(b);
  Overlap overlap{std::max(a_begin, b_begin), std::min(a_begin + a_bytes, b_begin + b_bytes)};
  if (overlap.begin >= overlap.end) return Overlap{};
  return overlap;
}

Status Found(const Arena& arena, std::string_view what, bool writes, Overlap overlap) {
  const void* begin = reinterpret_cast<const void*>(overlap.begin);
  const bool on_device = arena.Contains(begin);
  const std::uint64_t origin = on_device ? arena.OffsetOf(begin) : overlap.begin;
  return FailedPreconditionError(absl::StrFormat(
      "%s %s %s bytes [%d, %d) of a copy in progress", absl::string_view(what.data(), what.size()),
      writes ? "writes" : "reads", on_device ? "device" : "host", origin, origin + (overlap.end - overlap.begin)));
}

}  // namespace

void Hazards::End(const CopyWork& copy) {
  in_progress_.erase(std::remove(in_progress_.begin(), in_progress_.end(), &copy), in_progress_.end());
}

Status Hazards::CheckOne(std::string_view what, const Access& access) const {
  for (const CopyWork* copy : in_progress_) {
    for (const CopyRun& run : copy->runs) {
      const Overlap written = Intersect(access.begin, access.bytes, run.destination, run.bytes);
      if (written.begin != written.end) return Found(arena_, what, access.writes, written);
      const Overlap read = Intersect(access.begin, access.bytes, run.source, run.bytes);
      if (access.writes && read.begin != read.end) return Found(arena_, what, true, read);
    }
  }
  return OkStatus();
}

Status Hazards::Check(std::string_view what, absl::Span<const Access> accesses) const {
  if (in_progress_.empty()) return OkStatus();
  for (const Access& access : accesses) TIERLIB_RETURN_IF_ERROR(CheckOne(what, access));
  return OkStatus();
}

Status Hazards::Check(const CopyWork& copy) const {
  if (in_progress_.empty()) return OkStatus();
  for (const CopyRun& run : copy.runs) {
    TIERLIB_RETURN_IF_ERROR(CheckOne("a copy", Access{run.source, run.bytes, false}));
    TIERLIB_RETURN_IF_ERROR(CheckOne("a copy", Access{run.destination, run.bytes, true}));
  }
  return OkStatus();
}

Status Hazards::Check(const FillWork& fill) const {
  return in_progress_.empty() ? OkStatus() : CheckOne("a fill", Access{fill.base, fill.bytes, true});
}

}  // namespace tierlib::emulated
