#include "cut_command.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include "exit_codes.h"
#include "numbers.h"
#include "output.h"
#include "ranks_json.h"
#include "read_trace.h"
#include "trace/merged_file.h"
#include "trace/trace_cut.h"
#include "trace/trace_writer.h"

namespace tierlib::trace_viewer {
namespace {

constexpr std::string_view kStep = "step:";

Status Wrong(std::string_view range, const std::string& why) {
  return InvalidArgumentError("--range '" + Printable(range) + "': " + why +
                              "; write for example step:100-120 or 1.5s-2.0s");
}

StatusOr<std::uint64_t> StepNumber(std::string_view range, std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  return Wrong(range, "'" + Printable(text) + "' is no step");
}

StatusOr<std::uint64_t> TimeNs(std::string_view range, std::string_view text) {
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"min", 6e10}, {"s", 1e9}};
  for (const auto& [unit, ns] : kUnits) {
    if (!text.ends_with(unit)) continue;
    const std::string_view digits = text.substr(0, text.size() - unit.size());
    double number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    const bool whole = error == std::errc() && end == digits.data() + digits.size() && !digits.starts_with('-');
    if (whole && number * ns < 9e18) return static_cast<std::uint64_t>(number * ns);
    break;
  }
  return Wrong(range, "'" + Printable(text) + "' is no time: a number with ns, us, ms, s or min");
}

// `since` after the first record, or the end of the clock.
std::int64_t After(std::int64_t first_ns, std::uint64_t since) {
  const auto room =
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) - static_cast<std::uint64_t>(first_ns);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(first_ns) + std::min(since, room));
}

std::string StepsThere(trace::RecordSource& trace) {
  std::optional<std::uint64_t> least;
  std::uint64_t most = 0;
  trace.ForEach([&](const trace::Record& record) {
    if (record.event != trace::Event::kStepBegin) return;
    least = std::min(least.value_or(record.subject), record.subject);
    most = std::max(most, record.subject);
  });
  if (!least.has_value()) return "it has no steps";
  return "it has steps " + std::to_string(*least) + " to " + std::to_string(most);
}

// What was written.
struct CutReport {
  struct Rank {
    std::int32_t rank = 0;
    std::uint64_t records = 0;   // those included that say what the state was at the begin
    std::uint64_t begin_ns = 0;  // since the first record of the whole trace, as far as that has records
    std::uint64_t end_ns = 0;
    std::uint64_t problem_count = 0;  // of the whole trace
  };
  std::string output;
  std::uint64_t bytes = 0;
  std::vector<Rank> ranks;
};

CutReport::Rank ReportOf(const trace::RecordSource& trace, const TimeSpan& span, const trace::Trace& part) {
  const trace::RecordExtent extent = trace.extent();
  const auto since_first = [&](std::int64_t time_ns) {
    const std::int64_t within = std::clamp(time_ns, extent.first_ns, std::max(extent.first_ns, extent.last_ns));
    return static_cast<std::uint64_t>(within) - static_cast<std::uint64_t>(extent.first_ns);
  };
  return {trace.about().rank, part.records.size(), since_first(span.begin_ns), since_first(span.end_ns),
          trace.about().problem_count};
}

std::string ReportJson(const std::string& file, const CutReport& report) {
  std::vector<nlohmann::ordered_json> ranks;
  for (const CutReport::Rank& rank : report.ranks) {
    ranks.push_back({{"rank", rank.rank},
                     {"records", rank.records},
                     {"begin_ns", rank.begin_ns},
                     {"end_ns", rank.end_ns},
                     {"problem_count", rank.problem_count}});
  }
  return RanksJson(file, std::move(ranks), {{"output", report.output}, {"bytes", report.bytes}});
}

}  // namespace

StatusOr<CutRange> ParseCutRange(std::string_view text) {
  CutRange range;
  range.of_steps = text.starts_with(kStep);
  const std::string_view ends = range.of_steps ? text.substr(kStep.size()) : text;
  const std::size_t dash = ends.find('-');
  const std::string_view first = ends.substr(0, dash);
  const std::string_view second = dash == std::string_view::npos ? first : ends.substr(dash + 1);
  if (dash == std::string_view::npos && !range.of_steps) return Wrong(text, "a span of time has two ends");
  if (first.empty() && second.empty()) return Wrong(text, "neither end is given");
  for (const auto& [part, to] : {std::pair(first, &range.begin), std::pair(second, &range.end)}) {
    if (part.empty()) continue;
    TIERLIB_ASSIGN_OR_RETURN(*to, range.of_steps ? StepNumber(text, part) : TimeNs(text, part));
  }
  if (range.begin.has_value() && range.end.has_value() && *range.end < *range.begin) {
    return Wrong(text, "it ends before it begins");
  }
  return range;
}

StatusOr<TimeSpan> SpanOf(trace::RecordSource& trace, const CutRange& range) {
  constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
  if (!range.of_steps) {
    const std::int64_t first_ns = trace.extent().first_ns;
    return TimeSpan{After(first_ns, range.begin.value_or(0)),
                    range.end.has_value() ? After(first_ns, *range.end) : kLast};
  }
  std::optional<TimeSpan> span;
  bool open = false;  // a step of the range has begun and not ended
  trace.ForEach([&](const trace::Record& record) {
    const bool begins = record.event == trace::Event::kStepBegin;
    if (!begins && (record.event != trace::Event::kStepEnd || !open)) return;
    if (open) span->end_ns = record.time_ns - (begins ? 1 : 0);
    open = begins && record.subject >= range.begin.value_or(0) &&
           record.subject <= range.end.value_or(std::numeric_limits<std::uint64_t>::max());
    if (open && !span.has_value()) span = TimeSpan{record.time_ns, record.time_ns};
  });
  if (!span.has_value()) return NotFoundError("none of these steps is in the trace: " + StepsThere(trace));
  if (open) span->end_ns = kLast;
  return *span;
}

int RunCut(const CutOptions& options) {
  const StatusOr<CutRange> range = ParseCutRange(options.range);
  if (!range.ok()) {
    std::fprintf(stderr, "tierlib-trace: %s\n", std::string(range.status().message()).c_str());
    return kUsage;
  }
  if (options.file != "-" && options.output != "-" && SameFile(options.file, options.output)) {
    std::fprintf(stderr, "tierlib-trace: %s is the trace itself: name another file with -o\n",
                 Printable(options.output, 200).c_str());
    return kUsage;
  }
  if (options.json && !HasRoomForJson(options.output)) return kUsage;
  const StatusOr<OpenedTraces> traces = OpenTracesArgument(options.file);
  if (!traces.ok()) return kUnreadable;
  CutReport report;
  std::vector<std::string> parts;
  std::uint64_t problems = 0;
  for (const auto& trace : traces->ranks) {
    const StatusOr<TimeSpan> span = SpanOf(*trace, *range);
    if (!span.ok()) {
      TellUnreadable(options.file, span.status());
      return kUsage;
    }
    const trace::Trace part = trace::CutTrace(*trace, span->begin_ns, span->end_ns);
    parts.push_back(trace::EncodeTrace(part));
    report.ranks.push_back(ReportOf(*trace, *span, part));
    problems += trace->about().problem_count;
  }
  std::vector<trace::RankBytes> ranks;
  for (std::size_t i = 0; i < parts.size(); ++i) ranks.push_back({traces->ranks[i]->about().rank, parts[i]});
  const std::string merged = parts.size() == 1 ? std::string() : trace::MergeTraces(std::move(ranks));
  const std::string& written = parts.size() == 1 ? parts.front() : merged;
  report.output = options.output;
  report.bytes = written.size();
  if (!WriteOutput(options.output, written)) return kNotWritten;
  if (options.json && !WriteOutput("-", ReportJson(options.file, report))) return kNotWritten;
  for (const auto& trace : traces->ranks) {
    PrintProblems(options.file, trace->about().problems, trace->about().problem_count);
  }
  return problems > 0 ? kTruncated : kOk;
}

}  // namespace tierlib::trace_viewer
