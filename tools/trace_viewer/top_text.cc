#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_map.h"
#include "numbers.h"
#include "ranks_json.h"
#include "summary_command.h"
#include "text_table.h"
#include "tierlib/bytes.h"
#include "top_command.h"
#include "trace/summary.h"
#include "trace/trace_cut.h"

namespace tierlib::trace_viewer {
namespace {

constexpr std::size_t kBarColumns = 30;
constexpr std::size_t kStallsShown = 5;

// "[#######------]"; without a capacity, nothing to compare with.
std::string Bar(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return "";
  const double share = std::min(1.0, static_cast<double>(part) / static_cast<double>(whole));
  const auto full = static_cast<std::size_t>(share * kBarColumns + 0.5);
  return '[' + std::string(full, '#') + std::string(kBarColumns - full, '-') + ']';
}

std::string PerSecond(std::uint64_t bytes, std::uint64_t ns) {
  return ns == 0 ? "" : FormatRate(static_cast<double>(bytes) * 1e9 / static_cast<double>(ns));
}

const char* Word(TopState state) {
  switch (state) {
    case TopState::kRunning: return "running";
    case TopState::kEnded: return "ended";
    case TopState::kEndedEarly: return "ended without ending its trace";
  }
  return "?";
}

std::string Headline(const std::string& file, const trace::Trace& trace, const trace::Summary& all, TopState state,
                     bool colour) {
  const char* const word = Word(state);
  const char* const begin = !colour ? "" : state == TopState::kRunning ? "\x1b[32m" : "\x1b[33m";
  std::string text = file + "  process " + std::to_string(trace.process_id) + ' ' + begin + word +
                     (colour ? "\x1b[0m" : "") + ", " + FormatDuration(all.duration_ns);
  if (!all.device.empty()) text += ", device " + Printable(all.device);
  if (all.rank != 0) text += ", rank " + std::to_string(all.rank);
  return text + '\n';
}

std::string StepsLine(const trace::Trace& trace, const trace::Summary& all, const trace::Summary& now) {
  if (all.steps.count + all.steps.unfinished == 0) return "no step yet\n";
  std::uint64_t last = 0;
  for (auto record = trace.records.rbegin(); record != trace.records.rend(); ++record) {
    if (record->event != trace::Event::kStepBegin) continue;
    last = record->subject;
    break;
  }
  std::string text = "step " + FormatCount(last) + ", median " + FormatDuration(all.steps.median_ns);
  if (now.steps.count > 0) text += ", now " + FormatDuration(now.steps.median_ns);
  if (!all.steps.each.empty()) text += ", last " + FormatDuration(all.steps.each.back().ns);
  return text + '\n';
}

std::string TierLines(const trace::Summary& all) {
  TextTable table;
  table.AddRow({"tier", "live", "peak", "capacity", "", "full"});
  for (const trace::TierSummary& tier : all.tiers) {
    table.AddRow({trace::TierCodeName(tier.tier), FormatBytes(tier.live_at_end), FormatBytes(tier.peak_bytes),
                  tier.capacity == 0 ? "" : FormatBytes(tier.capacity), Bar(tier.live_at_end, tier.capacity),
                  tier.times_full == 0 ? "" : FormatCount(tier.times_full, "time")});
  }
  return all.tiers.empty() ? "" : table.ToString();
}

std::string FlowLines(const trace::Summary& all, const trace::Summary& now, std::uint64_t now_ns) {
  TextTable table;
  table.AddRow({"", "in all", "now"});
  const auto bytes = [&](const char* name, std::uint64_t whole, std::uint64_t recent) {
    table.AddRow({name, FormatBytes(whole), PerSecond(recent, now_ns)});
  };
  const auto avoided = [](const trace::Summary& one) {
    return one.avoided_identity + one.avoided_lineage + one.avoided_recompute + one.frees_nothing;
  };
  bytes("copied out", all.transfers[0].bytes, now.transfers[0].bytes);
  bytes("copied in", all.transfers[1].bytes, now.transfers[1].bytes);
  bytes("avoided", avoided(all), avoided(now));
  table.AddRow({"stalled", FormatDuration(all.stall_ns) + " (" + FormatPercent(all.stall_ns, all.duration_ns) + ")",
                FormatDuration(now.stall_ns) + " (" + FormatPercent(now.stall_ns, now_ns) + ")"});
  return table.ToString();
}

std::string StallLines(const trace::Summary& now) {
  if (now.stalls.empty()) return "";
  TextTable table(2);
  for (std::size_t i = 0; i < std::min(now.stalls.size(), kStallsShown); ++i) {
    const trace::StallSummary& stall = now.stalls[i];
    table.AddRow({stall.label.empty() ? "(no label)" : Printable(stall.label), FormatDuration(stall.ns),
                  std::string(trace::StallCauseName(stall.cause)) + ", " + FormatCount(stall.count, "time")});
  }
  return "largest stalls now\n" + table.ToString();
}

// The window's figures. A cut leaves out what began before it; of stalls, which may be long, the part within counts.
trace::Summary SummarizeSince(const trace::Trace& trace, std::int64_t begin_ns) {
  using trace::Record;
  trace::Trace cut = trace::CutTrace(trace, begin_ns, std::numeric_limits<std::int64_t>::max());
  const auto ends_stall = [](const Record& record) { return record.event == trace::Event::kStallEnd; };
  cut.records.erase(std::remove_if(cut.records.begin(), cut.records.end(), ends_stall), cut.records.end());
  const auto others = static_cast<std::ptrdiff_t>(cut.records.size());
  cut.labels = trace.labels;
  absl::flat_hash_map<std::uint64_t, std::uint32_t> storage_labels;
  for (const Record& record : trace.records) {
    if (record.event == trace::Event::kStorageRegister) storage_labels[record.subject] = record.label;
    if (!ends_stall(record) || record.time_ns < begin_ns) continue;
    const std::uint64_t within = static_cast<std::uint64_t>(record.time_ns) - static_cast<std::uint64_t>(begin_ns);
    cut.records.push_back(record);
    cut.records.back().value = std::min(record.value, within);
    if (record.label == 0) cut.records.back().label = storage_labels[record.subject];
  }
  std::inplace_merge(cut.records.begin(), cut.records.begin() + others, cut.records.end(),
                     [](const Record& a, const Record& b) { return a.time_ns < b.time_ns; });
  return trace::Summarize(cut);
}

// What a picture shows: of the whole trace, and of its last `now_ns`.
struct Figures {
  trace::Summary all;
  trace::Summary now;
  std::uint64_t now_ns = 0;
};

Figures FiguresOf(const trace::Trace& trace, std::uint64_t window_ns) {
  Figures figures;
  figures.all = trace::Summarize(trace);
  if (trace.records.empty()) return figures;
  figures.now_ns = std::min(window_ns, figures.all.duration_ns);
  const auto last_ns = static_cast<std::uint64_t>(trace.records.back().time_ns);
  figures.now = SummarizeSince(trace, static_cast<std::int64_t>(last_ns - figures.now_ns));
  return figures;
}

}  // namespace

std::string TopText(const std::string& file, const trace::Trace& trace, std::uint64_t window_ns, TopState state,
                    bool colour) {
  const Figures figures = FiguresOf(trace, window_ns);
  const std::string headline = Headline(file, trace, figures.all, state, colour);
  if (trace.records.empty()) return headline + "no records yet\n";
  return headline + StepsLine(trace, figures.all, figures.now) + '\n' + TierLines(figures.all) + '\n' +
         FlowLines(figures.all, figures.now, figures.now_ns) + StallLines(figures.now) + "now: the last " +
         FormatDuration(figures.now_ns) + '\n';
}

std::string TopJson(const std::string& file, const trace::Trace& trace, std::uint64_t window_ns, TopState state) {
  const Figures figures = FiguresOf(trace, window_ns);
  const nlohmann::ordered_json json = {{"schema_version", kSchemaVersion},
                                       {"file", file},
                                       {"state", Word(state)},
                                       {"now_ns", figures.now_ns},
                                       {"all", SummaryFields(figures.all)},
                                       {"now", SummaryFields(figures.now)}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n';
}

}  // namespace tierlib::trace_viewer
