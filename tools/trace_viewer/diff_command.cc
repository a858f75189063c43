#include "diff_command.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "exit_codes.h"
#include "numbers.h"
#include "output.h"
#include "ranks_json.h"
#include "read_trace.h"
#include "text_table.h"
#include "trace_difference.h"

namespace tierlib::trace_viewer {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kStepsShown = 5;
constexpr std::size_t kStepsInJson = 1000;

std::optional<double> Percent(std::uint64_t before, std::uint64_t after) {
  if (before == 0) return std::nullopt;
  const double change = after >= before ? static_cast<double>(after - before) : -static_cast<double>(before - after);
  return 100 * change / static_cast<double>(before);
}

std::string PercentText(std::uint64_t before, std::uint64_t after) {
  const std::optional<double> percent = Percent(before, after);
  if (!percent.has_value()) return before == after ? "" : "new";
  char text[40];
  std::snprintf(text, sizeof text, "%+.*f %%", std::fabs(*percent) < 10 ? 2 : 0, *percent);
  return text;
}

std::string ChangeText(Unit unit, std::uint64_t before, std::uint64_t after) {
  return after >= before ? '+' + FormatMetric(unit, after - before) : '-' + FormatMetric(unit, before - after);
}

std::string DifferenceText(const TraceDifference& difference, bool name_rank, bool colour) {
  std::string text;
  if (difference.changes.empty() && difference.steps.empty()) return text;
  if (name_rank) text += "rank " + std::to_string(difference.rank) + '\n';
  if (difference.steps_before != difference.steps_aligned || difference.steps_after != difference.steps_aligned) {
    text += FormatCount(difference.steps_before, "step") + " before, " + FormatCount(difference.steps_after) +
            " after, " + FormatCount(difference.steps_aligned) +
            " in both: aligned_ metrics are of those, all others of the whole traces\n";
  }
  TextTable table;
  table.AddRow({"metric", "before", "after", "change", "", ""});
  for (const MetricChange& change : difference.changes) {
    std::string fails;
    for (const std::string& condition : change.fails) {
      fails += (fails.empty() ? "FAILS " : ", ") + Printable(condition);
    }
    if (colour && !fails.empty()) fails = "\x1b[31m" + fails + "\x1b[0m";
    table.AddRow({change.name, FormatMetric(change.unit, change.before), FormatMetric(change.unit, change.after),
                  ChangeText(change.unit, change.before, change.after), PercentText(change.before, change.after),
                  std::move(fails)});
  }
  if (!difference.changes.empty()) text += table.ToString();
  if (difference.steps.empty()) return text;
  text += FormatCount(difference.steps.size(), "step") + " changed; by time the most:\n";
  TextTable steps(2);
  for (std::size_t i = 0; i < std::min(difference.steps.size(), kStepsShown); ++i) {
    const StepChange& step = difference.steps[i];
    const auto changed = [&](const char* name, Unit unit, std::uint64_t before, std::uint64_t after) {
      return before == after ? std::string() : std::string(name) + ' ' + ChangeText(unit, before, after);
    };
    steps.AddRow({"step " + FormatCount(step.number), FormatDuration(step.before.ns), FormatDuration(step.after.ns),
                  PercentText(step.before.ns, step.after.ns),
                  changed("stalls", Unit::kNanoseconds, step.before.stall_ns(), step.after.stall_ns()),
                  changed("moved", Unit::kBytes, step.before.moved_bytes, step.after.moved_bytes)});
  }
  return text + steps.ToString();
}

Json DifferenceJson(const TraceDifference& difference) {
  Json metrics = Json::array();
  Json failed = Json::array();
  for (const MetricChange& change : difference.changes) {
    const std::optional<double> percent = Percent(change.before, change.after);
    metrics.push_back({{"name", change.name},
                       {"unit", UnitName(change.unit)},
                       {"before", change.before},
                       {"after", change.after},
                       {"change", static_cast<std::int64_t>(change.after - change.before)},
                       {"percent", percent.has_value() ? Json(*percent) : Json(nullptr)}});
    for (const std::string& condition : change.fails) {
      failed.push_back({{"condition", condition}, {"before", change.before}, {"after", change.after}});
    }
  }
  Json steps = Json::array();
  for (std::size_t i = 0; i < std::min(difference.steps.size(), kStepsInJson); ++i) {
    const StepChange& step = difference.steps[i];
    const auto figures = [](const trace::StepFigures& one) {
      return Json{{"ns", one.ns},
                  {"stall_ns", one.stall_ns()},
                  {"unknown_ns", one.unknown_ns},
                  {"packed_bytes", one.packed_bytes},
                  {"moved_bytes", one.moved_bytes},
                  {"avoided_bytes", one.avoided_bytes},
                  {"copied_out_bytes", one.copied_bytes[0]},
                  {"copied_in_bytes", one.copied_bytes[1]},
                  {"device_peak_bytes", one.device_peak_bytes}};
    };
    steps.push_back({{"step", step.number}, {"before", figures(step.before)}, {"after", figures(step.after)}});
  }
  return {{"rank", difference.rank},
          {"steps",
           {{"before", difference.steps_before},
            {"after", difference.steps_after},
            {"aligned", difference.steps_aligned},
            {"changed", difference.steps.size()}}},
          {"metrics", metrics},
          {"changed_steps", steps},
          {"failed", failed}};
}

using Ranks = std::vector<std::unique_ptr<trace::RecordStream>>;

// All metrics that conditions may name.
std::vector<Metric> KnownMetrics() {
  std::vector<Metric> known = MetricsOf(trace::Summary());
  const std::vector<Metric> aligned = AlignedMetricsOf({});
  known.insert(known.end(), aligned.begin(), aligned.end());
  return known;
}

// Of the ranks that both files have; where each has one, of these, whatever their numbers.
std::vector<TraceDifference> CompareRanks(const Ranks& before, const Ranks& after,
                                          const std::vector<FailCondition>& conditions) {
  std::vector<TraceDifference> differences;
  for (const auto& one : before) {
    for (const auto& other : after) {
      if (one->about().rank != other->about().rank && (before.size() > 1 || after.size() > 1)) continue;
      differences.push_back(Compare(trace::Summarize(*one), trace::Summarize(*other), conditions));
      break;
    }
  }
  return differences;
}

// Names the ranks of one file that the other does not have. Returns how many.
std::size_t NameRanksAlone(const std::string& file, const Ranks& ranks, const std::string& other,
                           const Ranks& partners) {
  if (ranks.size() == 1 && partners.size() == 1) return 0;
  std::size_t alone = 0;
  for (const auto& one : ranks) {
    const std::int32_t rank = one->about().rank;
    const auto same = [rank](const auto& partner) { return partner->about().rank == rank; };
    if (std::any_of(partners.begin(), partners.end(), same)) continue;
    ++alone;
    std::fprintf(stderr, "tierlib-trace: rank %d of %s is not in %s: it is not compared\n", rank,
                 TraceName(file).c_str(), TraceName(other).c_str());
  }
  return alone;
}

// Conditions that cannot be decided are no success. Returns how many.
std::size_t NameUndecided(const std::vector<TraceDifference>& differences) {
  std::size_t undecided = 0;
  for (const TraceDifference& difference : differences) {
    for (const std::string& condition : difference.undecided) {
      std::fprintf(stderr, "tierlib-trace: --fail-on '%s': rank %d has no step that is in both traces\n",
                   Printable(condition).c_str(), difference.rank);
      ++undecided;
    }
  }
  return undecided;
}

}  // namespace

int RunDiff(const DiffOptions& options) {
  std::vector<FailCondition> conditions;
  for (const std::string& text : options.fail_on) {
    const StatusOr<std::vector<FailCondition>> parsed = ParseFailConditions(text, KnownMetrics());
    if (!parsed.ok()) {
      std::fprintf(stderr, "tierlib-trace: %s\n", std::string(parsed.status().message()).c_str());
      return kUsage;
    }
    conditions.insert(conditions.end(), parsed->begin(), parsed->end());
  }
  if (options.before == "-" && options.after == "-") {
    std::fprintf(stderr, "tierlib-trace: both traces are standard input: name a file for one of them\n");
    return kUsage;
  }
  const StatusOr<OpenedTraces> before = OpenTracesArgument(options.before);
  if (!before.ok()) return kUnreadable;
  const StatusOr<OpenedTraces> after = OpenTracesArgument(options.after);
  if (!after.ok()) return kUnreadable;
  const std::vector<TraceDifference> differences = CompareRanks(before->ranks, after->ranks, conditions);
  if (differences.empty()) {
    std::fprintf(stderr, "tierlib-trace: %s and %s have no rank in common\n", TraceName(options.before).c_str(),
                 TraceName(options.after).c_str());
    return kUnreadable;
  }
  std::string text;
  std::vector<Json> ranks;
  std::uint64_t fails = 0;
  for (const TraceDifference& difference : differences) {
    fails += difference.fails;
    if (options.json) ranks.push_back(DifferenceJson(difference));
    text += DifferenceText(difference, differences.size() > 1, MayColour(STDOUT_FILENO));
  }
  if (options.json) text = RanksJson(options.after, std::move(ranks), {{"before", options.before}});
  if (!WriteOutput("-", text)) return kNotWritten;
  std::uint64_t problems = 0;
  for (const auto* file : {&before, &after}) {
    for (const auto& rank : (*file)->ranks) {
      const trace::Trace& trace = rank->about();
      PrintProblems(file == &before ? options.before : options.after, trace.problems, trace.problem_count);
      problems += trace.problem_count;
    }
  }
  const std::size_t alone = NameRanksAlone(options.before, before->ranks, options.after, after->ranks) +
                            NameRanksAlone(options.after, after->ranks, options.before, before->ranks);
  fails += NameUndecided(differences) + (conditions.empty() ? 0 : alone);
  return fails > 0 ? kFindings : problems > 0 ? kTruncated : kOk;
}

}  // namespace tierlib::trace_viewer
