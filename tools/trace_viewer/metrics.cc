#include "metrics.h"

#include <algorithm>
#include <array>

#include "numbers.h"
#include "tierlib/bytes.h"

namespace tierlib::trace_viewer {
namespace {

using trace::Summary;

// In the order of trace::StallCause.
constexpr std::array<const char*, trace::kStallCauseCount> kStallMetrics = {
    "stall_allocation_ns",  "stall_copy_out_tail_ns", "stall_late_copy_in_ns",
    "stall_write_fence_ns", "stall_host_pool_ns",     "stall_producer_ns",
    "stall_disk_ns",        "stall_contention_ns",    "stall_checksum_ns"};

class List {
 public:
  void Count(std::string name, std::uint64_t value) { list_.push_back({std::move(name), Unit::kCount, value}); }
  void Bytes(std::string name, std::uint64_t value) { list_.push_back({std::move(name), Unit::kBytes, value}); }
  void Time(std::string name, std::uint64_t value) { list_.push_back({std::move(name), Unit::kNanoseconds, value}); }
  void Rate(std::string name, double value) {
    list_.push_back({std::move(name), Unit::kBytesPerSecond, static_cast<std::uint64_t>(std::min(value, 1e18))});
  }
  std::vector<Metric> Take() { return std::move(list_); }

 private:
  std::vector<Metric> list_;
};

void AddBytes(const Summary& summary, List& list) {
  list.Count("packs", summary.packs);
  list.Count("unpacks", summary.unpacks);
  list.Bytes("bytes_naive", summary.naive);
  list.Bytes("bytes_moved", summary.moved);
  list.Bytes("bytes_avoided",
             summary.avoided_identity + summary.avoided_lineage + summary.avoided_recompute + summary.frees_nothing);
  list.Bytes("bytes_avoided_identity", summary.avoided_identity);
  list.Bytes("bytes_avoided_lineage", summary.avoided_lineage);
  list.Bytes("bytes_avoided_recompute", summary.avoided_recompute);
  list.Bytes("bytes_frees_nothing", summary.frees_nothing);
  list.Bytes("bytes_kept", summary.kept);
  list.Bytes("bytes_replayed", summary.replayed);
  list.Bytes("bytes_recomputed", summary.recomputed);
  list.Count("recomputes", summary.recomputes);
  list.Bytes("bytes_reconsidered", summary.reconsidered);
  list.Bytes("bytes_freed", summary.freed);
  list.Bytes("bytes_freed_made_again", summary.freed_made_again);
  list.Bytes("bytes_freed_nothing", summary.freed_nothing);
  list.Bytes("bytes_moved_in", summary.moved_in);
  list.Bytes("bytes_taken_back", summary.taken_back);
  list.Bytes("bytes_prefetched", summary.prefetched);
  list.Bytes("bytes_prefetched_in_vain", summary.prefetched_in_vain);
  list.Bytes("bytes_prefetch_missed", summary.prefetch_missed);
}

void AddTransfers(const Summary& summary, List& list) {
  static constexpr std::array<const char*, trace::kDirectionCodeCount> kNames = {"out", "in", "within"};
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    const trace::TransferSummary& transfers = summary.transfers[i];
    const std::string name = std::string("transfers_") + kNames[i];
    list.Count(name, transfers.count);
    list.Bytes(name + "_bytes", transfers.bytes);
    list.Count(name + "_failed", transfers.failed);
    list.Count(name + "_unfinished", transfers.unfinished);
    list.Time(name + "_busy_ns", transfers.busy_ns);
    list.Rate(name + "_bytes_per_second", transfers.BytesPerSecond());
  }
}

void AddTimes(const Summary& summary, List& list) {
  list.Time("compute_ns", summary.time.compute_ns);
  list.Time("unknown_ns", summary.time.unknown_ns);
  list.Time("transfer_ns", summary.time.transfer_ns);
  list.Time("exposed_ns", summary.time.exposed_ns);
  list.Time("hidden_ns", summary.time.hidden_ns);
  list.Count("stalls", summary.stall_count);
  list.Time("stall_ns", summary.stall_ns);
  std::array<std::uint64_t, trace::kStallCauseCount> by_cause = {};
  for (const trace::StallSummary& stall : summary.stalls) by_cause[static_cast<std::size_t>(stall.cause)] += stall.ns;
  for (std::size_t cause = 0; cause < by_cause.size(); ++cause) list.Time(kStallMetrics[cause], by_cause[cause]);
}

void AddTiers(const Summary& summary, List& list) {
  for (std::size_t code = 0; code < trace::kTierCodeCount; ++code) {
    trace::TierSummary tier;
    for (const trace::TierSummary& used : summary.tiers) {
      if (static_cast<std::size_t>(used.tier) == code) tier = used;
    }
    const std::string name = trace::TierCodeName(static_cast<trace::TierCode>(code));
    list.Bytes(name + "_peak_bytes", tier.peak_bytes);
    list.Bytes(name + "_unused_at_peak_bytes", tier.unused_at_peak);
    list.Bytes(name + "_live_at_end_bytes", tier.live_at_end);
    list.Count(name + "_times_full", tier.times_full);
    list.Bytes(name + "_fallback_bytes", summary.fallbacks[code].bytes);
  }
  list.Bytes("recomputed_instead_bytes", summary.recomputed_instead.bytes);
  list.Bytes("refused_bytes", summary.refused.bytes);
}

}  // namespace

std::vector<Metric> MetricsOf(const Summary& summary) {
  List list;
  list.Time("duration_ns", summary.duration_ns);
  list.Count("records", summary.records);
  list.Count("dropped", summary.dropped);
  list.Count("steps", summary.steps.count);
  list.Time("step_median_ns", summary.steps.median_ns);
  list.Time("step_slowest_ns", summary.steps.slowest_ns);
  AddBytes(summary, list);
  AddTransfers(summary, list);
  AddTimes(summary, list);
  AddTiers(summary, list);
  return list.Take();
}

std::vector<Metric> AlignedMetricsOf(const std::vector<trace::StepFigures>& steps) {
  trace::StepFigures sum;
  for (const trace::StepFigures& step : steps) {
    sum.ns += step.ns;
    sum.packed_bytes += step.packed_bytes;
    sum.moved_bytes += step.moved_bytes;
    sum.avoided_bytes += step.avoided_bytes;
    sum.unknown_ns += step.unknown_ns;
    sum.device_peak_bytes = std::max(sum.device_peak_bytes, step.device_peak_bytes);
    for (std::size_t i = 0; i < sum.stalled_ns.size(); ++i) sum.stalled_ns[i] += step.stalled_ns[i];
    for (std::size_t i = 0; i < sum.copied_bytes.size(); ++i) sum.copied_bytes[i] += step.copied_bytes[i];
  }
  List list;
  list.Count("aligned_steps", steps.size());
  list.Time("aligned_ns", sum.ns);
  list.Time("aligned_stall_ns", sum.stall_ns());
  list.Time("aligned_unknown_ns", sum.unknown_ns);
  list.Bytes("aligned_packed_bytes", sum.packed_bytes);
  list.Bytes("aligned_moved_bytes", sum.moved_bytes);
  list.Bytes("aligned_avoided_bytes", sum.avoided_bytes);
  list.Bytes("aligned_copied_out_bytes", sum.copied_bytes[0]);
  list.Bytes("aligned_copied_in_bytes", sum.copied_bytes[1]);
  list.Bytes("aligned_device_peak_bytes", sum.device_peak_bytes);
  return list.Take();
}

std::string FormatMetric(Unit unit, std::uint64_t value) {
  switch (unit) {
    case Unit::kCount: return FormatCount(value);
    case Unit::kBytes: return FormatBytes(value);
    case Unit::kNanoseconds: return FormatDuration(value);
    case Unit::kBytesPerSecond: return FormatRate(static_cast<double>(value));
  }
  return "?";
}

const char* UnitName(Unit unit) {
  switch (unit) {
    case Unit::kCount: return "count";
    case Unit::kBytes: return "bytes";
    case Unit::kNanoseconds: return "ns";
    case Unit::kBytesPerSecond: return "bytes/s";
  }
  return "?";
}

}  // namespace tierlib::trace_viewer
