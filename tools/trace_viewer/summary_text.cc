#include <algorithm>
#include <cstdio>
#include <vector>

#include "numbers.h"
#include "summary_command.h"
#include "text_table.h"
#include "tierlib/bytes.h"

namespace tierlib::trace_viewer {
namespace {

using trace::DirectionCode;
using trace::Summary;
using trace::TierCode;
using trace::TierSummary;

constexpr std::size_t kStallsShown = 5;
constexpr std::size_t kExcessShown = 4;

const trace::TransferSummary& Direction(const Summary& summary, DirectionCode direction) {
  return summary.transfers[static_cast<std::size_t>(direction)];
}

std::string Headline(const std::string& file, const Summary& summary) {
  std::string text =
      file + "  " + FormatCount(summary.steps.count, "step") + ", " + FormatDuration(summary.duration_ns);
  if (!summary.device.empty()) text += ", device " + Printable(summary.device);
  if (summary.device_capacity > 0) text += " (" + FormatBytes(summary.device_capacity) + ")";
  if (summary.pinned_capacity > 0) text += ", host pinned " + FormatBytes(summary.pinned_capacity);
  if (summary.rank != 0) text += ", rank " + std::to_string(summary.rank);
  return text + '\n';
}

std::uint64_t Avoided(const Summary& summary) {
  return summary.avoided_identity + summary.avoided_lineage + summary.avoided_recompute + summary.frees_nothing;
}

// What was avoided, a line for the sum and one for each kind that happened.
std::vector<std::string> AvoidedLines(const Summary& summary) {
  const std::uint64_t avoided = Avoided(summary);
  std::vector<std::string> lines = {FormatBytes(avoided) + " (" + FormatPercent(avoided, summary.naive) + ")"};
  const auto add = [&](const char* kind, std::uint64_t bytes) {
    if (bytes > 0) lines.push_back(std::string(kind) + ' ' + FormatBytes(bytes));
  };
  add("identity", summary.avoided_identity);
  add("lineage", summary.avoided_lineage);
  add("recompute", summary.avoided_recompute);
  add("frees nothing", summary.frees_nothing);
  return lines;
}

std::string MainTable(const Summary& summary) {
  TextTable table;
  table.AddRow({"", "peak", "moved out", "moved in", "avoided", "exposed"});
  const std::vector<std::string> avoided = AvoidedLines(summary);
  std::vector<std::vector<std::string>> rows(std::max(avoided.size(), std::max<std::size_t>(summary.tiers.size(), 1)),
                                             std::vector<std::string>(6));
  for (std::size_t i = 0; i < summary.tiers.size(); ++i) {
    rows[i][0] = trace::TierCodeName(summary.tiers[i].tier);
    rows[i][1] = FormatBytes(summary.tiers[i].peak_bytes);
  }
  rows[0][2] = FormatBytes(Direction(summary, DirectionCode::kOut).bytes);
  rows[0][3] = FormatBytes(Direction(summary, DirectionCode::kIn).bytes);
  for (std::size_t i = 0; i < avoided.size(); ++i) rows[i][4] = avoided[i];
  const std::uint64_t exposed = summary.time.exposed_ns;
  rows[0][5] = FormatDuration(exposed) + " (" + FormatPercent(exposed, summary.duration_ns) + ")";
  for (std::vector<std::string>& row : rows) table.AddRow(std::move(row));
  return table.ToString();
}

// Bytes moved because memory ran short, after they had been kept.
std::uint64_t MovedLater(const Summary& summary) {
  std::uint64_t bytes = 0;
  for (const trace::DecisionSummary& decision : summary.decisions) {
    const bool moved = decision.action == trace::DecisionAction::kMove;
    if (moved && decision.reason == trace::DecisionReason::kMemoryShort) bytes += decision.bytes;
  }
  return bytes;
}

std::string PackedLine(const Summary& summary) {
  if (summary.packs == 0) return "";
  std::string text = "packed " + FormatBytes(summary.naive) + " in " + FormatCount(summary.packs, "value") +
                     ": moved " + FormatBytes(summary.moved) + ", avoided " + FormatBytes(Avoided(summary)) +
                     ", kept on the device " + FormatBytes(summary.kept);
  // A value that was kept at first is booked again when memory runs short, so the parts may add up to more than the
  // whole.
  if (const std::uint64_t later = MovedLater(summary); later > 0) text += " (" + FormatBytes(later) + " moved later)";
  if (summary.replayed > 0) text += "; made again " + FormatBytes(summary.replayed);
  if (summary.recomputed > 0) {
    text += "; computed again " + FormatBytes(summary.recomputed) + " in " + FormatCount(summary.recomputes, "call");
  }
  return text + '\n';
}

// What left the device for good, and what came back there.
std::string ReloadLine(const Summary& summary) {
  std::string text;
  const auto add = [&](std::uint64_t bytes, const char* what) {
    if (bytes > 0) text += (text.empty() ? "" : ", ") + std::string(what) + ' ' + FormatBytes(bytes);
  };
  add(summary.freed, "freed on the device");
  add(summary.freed_made_again, "of it to be made again");
  add(summary.freed_nothing, "moved without freeing any");
  add(summary.moved_in, "copied back");
  add(summary.prefetched, "of it ahead of being asked for");
  add(summary.prefetched_in_vain, "in vain");
  add(summary.prefetch_missed, "too late for that");
  add(summary.taken_back, "had back without a copy");
  return text.empty() ? "" : text + '\n';
}

std::string TransferLines(const Summary& summary) {
  TextTable table(2);
  static constexpr const char* kNames[] = {"out", "in", "within"};
  bool any = false;
  for (std::size_t i = 0; i < summary.transfers.size(); ++i) {
    const trace::TransferSummary& transfers = summary.transfers[i];
    if (transfers.count == 0) continue;
    any = true;
    std::vector<std::string> row = {kNames[i],
                                    FormatCount(transfers.count) + (transfers.count == 1 ? " copy" : " copies"),
                                    FormatBytes(transfers.bytes)};
    if (transfers.busy_ns > 0) {
      row.push_back(FormatDuration(transfers.busy_ns) + " busy");
      std::string rate = FormatRate(transfers.BytesPerSecond());
      if (transfers.ceiling_bytes_per_s > 0) {
        rate += " of " + FormatRate(static_cast<double>(transfers.ceiling_bytes_per_s));
      }
      row.push_back(std::move(rate));
    }
    if (transfers.failed > 0) row.push_back(FormatCount(transfers.failed) + " failed");
    if (transfers.unfinished > 0) row.push_back(FormatCount(transfers.unfinished) + " not finished");
    table.AddRow(std::move(row));
  }
  return any ? "transfers\n" + table.ToString() : "";
}

std::string TimeLine(const Summary& summary) {
  const trace::TimeSummary& time = summary.time;
  std::string text;
  if (time.compute_ns > 0) {
    text = "compute " + FormatDuration(time.compute_ns) + ", neither compute nor a known stall " +
           FormatDuration(time.unknown_ns);
  }
  if (time.transfer_ns > 0) {
    text += (text.empty() ? "" : "; ") + ("copies under way " + FormatDuration(time.transfer_ns)) + ", hidden " +
            FormatDuration(time.hidden_ns) + " (" + FormatPercent(time.hidden_ns, time.transfer_ns) + "), waited for " +
            FormatDuration(time.exposed_ns);
  }
  return text.empty() ? "" : text + '\n';
}

std::string StallLines(const Summary& summary) {
  if (summary.stalls.empty()) return "";
  TextTable table(2);
  for (std::size_t i = 0; i < std::min(summary.stalls.size(), kStallsShown); ++i) {
    const trace::StallSummary& stall = summary.stalls[i];
    table.AddRow({stall.label.empty() ? "(no label)" : Printable(stall.label), FormatDuration(stall.ns),
                  std::string(trace::StallCauseName(stall.cause)) + ", " + FormatCount(stall.count, "time")});
  }
  return "largest stalls\n" + table.ToString();
}

std::string StepLine(const Summary& summary) {
  const trace::StepSummary& steps = summary.steps;
  if (steps.count == 0) return "";
  std::string text = "median step " + FormatDuration(steps.median_ns);
  if (steps.slowest_ns > steps.median_ns) {
    char ratio[48];
    std::snprintf(
        ratio, sizeof ratio, "%.2f",
        static_cast<double>(steps.slowest_ns) / static_cast<double>(std::max<std::uint64_t>(steps.median_ns, 1)));
    text += "; slowest step " + FormatCount(steps.slowest_step) + ": " + ratio + "x of the median, " +
            FormatDuration(steps.slowest_ns - steps.median_ns) + " more";
    for (std::size_t i = 0; i < steps.slowest_excess.size(); ++i) {
      const auto& excess = steps.slowest_excess[i];
      text += (i == 0 ? ", of which " : ", ") + FormatDuration(excess.ns) + ' ' + trace::StallCauseName(excess.cause);
    }
  }
  return text + '\n';
}

// What a slow step had more of: "late copy in 2.5 ms, attention 1.2 ms, neither ops nor known stalls 0.3 ms".
std::string ExcessText(const trace::SlowStep& slow) {
  std::string text;
  for (std::size_t i = 0; i < std::min(slow.excess.size(), kExcessShown); ++i) {
    const trace::StepExcess& more = slow.excess[i];
    const std::string amount = more.is_time() ? FormatDuration(more.more()) : FormatBytes(more.more());
    const bool unknown = more.kind == trace::StepExcess::Kind::kUnknown;
    const std::string name = unknown             ? "neither ops nor known stalls"
                             : more.name.empty() ? trace::StepExcessKindName(more.kind)
                                                 : Printable(more.name);
    text += (i == 0 ? "" : ", ") + name + ' ' + amount;
  }
  return text;
}

std::string SlowStepLines(const Summary& summary) {
  TextTable table(2);
  bool any = false;
  for (const trace::SlowStep& slow : summary.steps.slow) {
    const std::uint64_t more = slow.ns - summary.steps.median_ns;
    if (more * 100 < summary.steps.median_ns) break;  // within 1 % of the median
    table.AddRow({"step " + FormatCount(slow.number), FormatDuration(slow.ns),
                  "at " + FormatDuration(slow.begin_ns < 0 ? 0 : static_cast<std::uint64_t>(slow.begin_ns)),
                  slow.excess.empty() ? "nothing that is traced is more" : ExcessText(slow)});
    any = true;
  }
  return any ? "slowest steps, and what they had more of than the median one\n" + table.ToString() : "";
}

std::string PeakLines(const Summary& summary) {
  std::string text;
  for (const TierSummary& tier : summary.tiers) {
    const std::string name = trace::TierCodeName(tier.tier);
    if (tier.peak_bytes > 0) {
      text += name + " peak at " + FormatDuration(static_cast<std::uint64_t>(tier.peak_time_ns));
      std::uint64_t known = 0;  // the peak, unless records are missing
      for (const trace::TagBytes& part : tier.at_peak) known += part.bytes;
      for (std::size_t i = 0; i < tier.at_peak.size(); ++i) {
        text += (i == 0 ? ": " : ", ") + std::string(trace::TagName(tier.at_peak[i].tag)) + ' ' +
                FormatPercent(tier.at_peak[i].bytes, known);
      }
      if (tier.unused_at_peak > 0) text += "; reserved and not used " + FormatBytes(tier.unused_at_peak);
      text += '\n';
    }
    if (tier.times_full > 0) text += name + " was full " + FormatCount(tier.times_full, "time") + '\n';
    if (!tier.consistent) text += name + ": more was freed than allocated, so records are missing\n";
  }
  return text;
}

// Where saved values went that pinned memory had no room for.
std::string FallbackLine(const Summary& summary) {
  std::string text;
  const auto add = [&](const std::string& to, const trace::FallbackSummary& sum) {
    if (sum.count == 0) return;
    text += (text.empty() ? "pinned memory had no room: " : ", ") + FormatBytes(sum.bytes) + ' ' + to + ' ' +
            FormatCount(sum.count, "time");
  };
  for (std::size_t tier = 0; tier < summary.fallbacks.size(); ++tier) {
    add(std::string("to ") + trace::TierCodeName(static_cast<TierCode>(tier)), summary.fallbacks[tier]);
  }
  add("to be computed again", summary.recomputed_instead);
  add("nowhere", summary.refused);
  return text.empty() ? "" : text + '\n';
}

}  // namespace

std::string SummaryText(const std::string& file, const Summary& summary) {
  if (summary.records == 0) return Headline(file, summary) + "no records\n";
  return Headline(file, summary) + '\n' + MainTable(summary) + PackedLine(summary) + ReloadLine(summary) +
         TransferLines(summary) + TimeLine(summary) + StallLines(summary) + StepLine(summary) + SlowStepLines(summary) +
         PeakLines(summary) + FallbackLine(summary);
}

}  // namespace tierlib::trace_viewer
