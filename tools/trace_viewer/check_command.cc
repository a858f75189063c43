#include "check_command.h"

#include "exit_codes.h"
#include "numbers.h"
#include "output.h"
#include "ranks_json.h"
#include "read_trace.h"

namespace tierlib::trace_viewer {
namespace {

using Json = nlohmann::ordered_json;
using trace::ConservationReport;

constexpr std::size_t kFindingsShown = 100;  // as text; JSON has all that were kept

std::string FindingLine(const std::string& prefix, const trace::Finding& finding) {
  std::string line = prefix;
  if (finding.record == 0) {
    line += "the whole trace";
  } else {
    line += "record " + FormatCount(finding.record) + " at " +
            FormatDuration(finding.time_ns < 0 ? 0 : static_cast<std::uint64_t>(finding.time_ns));
  }
  return line + ": " + trace::RuleName(finding.rule) + ": " + Printable(finding.what, 400) + '\n';
}

std::string Followed(const ConservationReport& report) {
  std::string text = FormatCount(report.records, "record") + ": " + FormatCount(report.blocks, "block") + ", " +
                     FormatCount(report.transfers, "transfer") + ", " + FormatCount(report.packs, "packed value") +
                     " of " + FormatCount(report.storages, "storage") + ", " + FormatCount(report.steps, "step") +
                     ", " + FormatCount(report.stalls, "stall") + ", " + FormatCount(report.ops, "op");
  if (report.several_devices) text += "; several devices, whose blocks and transfers are not followed";
  if (!report.ended) text += "; the trace was not ended, so what is open at its end is not counted";
  if (report.unexplained > 0) {
    text += "; records are missing, which may explain " + FormatCount(report.unexplained, "contradiction");
  }
  return text;
}

Json ReportJson(const RankReport& rank) {
  const ConservationReport& report = rank.report;
  Json by_rule = Json::object();
  for (std::size_t rule = 0; rule < trace::kRuleCount; ++rule) {
    if (report.by_rule[rule] > 0) by_rule[trace::RuleName(static_cast<trace::Rule>(rule))] = report.by_rule[rule];
  }
  Json findings = Json::array();
  for (const trace::Finding& finding : report.findings) {
    findings.push_back({{"rule", trace::RuleName(finding.rule)},
                        {"record", finding.record},
                        {"time_ns", finding.time_ns},
                        {"what", finding.what}});
  }
  return {{"rank", rank.rank},
          {"finding_count", report.finding_count},
          {"by_rule", by_rule},
          {"findings", findings},
          {"unexplained", report.unexplained},
          {"complete", report.complete},
          {"ended", report.ended},
          {"several_devices", report.several_devices},
          {"followed",
           {{"records", report.records},
            {"blocks", report.blocks},
            {"transfers", report.transfers},
            {"storages", report.storages},
            {"packs", report.packs},
            {"steps", report.steps},
            {"stalls", report.stalls},
            {"ops", report.ops}}},
          {"problem_count", rank.problem_count}};
}

}  // namespace

std::string CheckText(const std::string& file, const std::vector<RankReport>& ranks) {
  std::string text;
  for (const RankReport& rank : ranks) {
    const ConservationReport& report = rank.report;
    const std::string prefix = ranks.size() == 1 ? "" : "rank " + std::to_string(rank.rank) + ": ";
    const std::size_t shown = std::min(report.findings.size(), kFindingsShown);
    for (std::size_t j = 0; j < shown; ++j) text += FindingLine(prefix, report.findings[j]);
    if (report.finding_count > shown) {
      text += prefix + FormatCount(report.finding_count - shown, "more finding") + '\n';
    }
    text += file + ": " + prefix +
            (report.finding_count == 0 ? "it adds up" : FormatCount(report.finding_count, "finding")) + " (" +
            Followed(report) + ")\n";
  }
  return text;
}

std::string CheckJson(const std::string& file, const std::vector<RankReport>& ranks) {
  std::vector<Json> list;
  for (const RankReport& rank : ranks) list.push_back(ReportJson(rank));
  return RanksJson(file, std::move(list));
}

int RunCheck(const CheckOptions& options) {
  const StatusOr<OpenedTraces> traces = OpenTracesArgument(options.file);
  if (!traces.ok()) return kUnreadable;
  std::vector<RankReport> reports;
  std::uint64_t findings = 0;
  std::uint64_t problems = 0;
  for (const auto& trace : traces->ranks) {
    reports.push_back({trace->about().rank, trace->about().problem_count, trace::CheckConservation(*trace)});
    findings += reports.back().report.finding_count;
    problems += reports.back().problem_count;
  }
  const std::string text =
      options.json ? CheckJson(options.file, reports) : CheckText(TraceName(options.file), reports);
  if (!WriteOutput("-", text)) return kNotWritten;
  for (const auto& trace : traces->ranks) {
    PrintProblems(options.file, trace->about().problems, trace->about().problem_count);
  }
  return findings > 0 ? kFindings : problems > 0 ? kTruncated : kOk;
}

}  // namespace tierlib::trace_viewer
