#include "train_lm/report.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tierlib/io/atomic_file.h"

namespace train_lm {
namespace {

using Json = nlohmann::ordered_json;
using tierlib::Status;

std::string Hexadecimal(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%a", value);
  return text;
}

Json OrNull(const std::optional<double>& value) { return value.has_value() ? Json(*value) : Json(nullptr); }
Json BitsOrNull(const std::optional<double>& value) {
  return value.has_value() ? Json(Hexadecimal(*value)) : Json(nullptr);
}

Json PerStep(const tierlib::Ledger& traffic, std::uint64_t steps) {
  const auto mean = [&](std::uint64_t bytes) { return steps == 0 ? 0 : bytes / steps; };
  return {{"naive", mean(traffic.naive)},
          {"moved_out", mean(traffic.moved)},
          {"moved_in", mean(traffic.moved_in)},
          {"avoided_identity", mean(traffic.avoided_identity)},
          {"avoided_lineage", mean(traffic.avoided_lineage)},
          {"frees_nothing", mean(traffic.frees_nothing)},
          {"kept", mean(traffic.kept)},
          {"freed", mean(traffic.freed)},
          {"stalls", mean(traffic.stalls)}};
}

// Only marshal follows a policy: naive moves everything, off nothing.
const char* PolicyInForce(const Options& options) {
  if (options.offload == tierlib::OffloadMode::kOff) return "none";
  return options.offload == tierlib::OffloadMode::kMarshal && options.policy == tierlib::OffloadPolicy::kFit ? "fit"
                                                                                                             : "all";
}

// Where the peak is, and what the plan does about it; null where there is none.
Json PeakOf(const tierlib::Statistics& statistics) {
  if (statistics.peaks.empty()) return nullptr;
  const tierlib::PeakStatistics& peak = statistics.peaks.front();
  return {{"target", peak.target},
          {"unmoved_peak", peak.unmoved_peak},
          {"planned_peak", peak.planned_peak},
          {"planned", peak.planned},
          {"planned_values", peak.planned_values},
          {"kept", peak.kept},
          {"kept_values", peak.kept_values},
          {"peak_after", peak.peak_after},
          {"peak_in_backward", peak.peak_in_backward}};
}

// With the least of each kind beside all of them; null where there were none.
Json EvaluationsOf(const std::vector<Evaluation>& evaluations) {
  if (evaluations.empty()) return nullptr;
  Json all = Json::array();
  std::optional<double> least_loss, least_estimate;
  const auto lower = [](std::optional<double>& least, const std::optional<double>& value) {
    if (value && !(least && *least <= *value)) least = value;
  };
  for (const Evaluation& each : evaluations) {
    all.push_back(
        {{"step", each.step}, {"val_loss", each.val_loss}, {"estimate", OrNull(each.estimate)}, {"ms", each.ms}});
    lower(least_loss, each.val_loss);
    lower(least_estimate, each.estimate);
  }
  return {{"least_val_loss", OrNull(least_loss)}, {"least_estimate", OrNull(least_estimate)}, {"all", std::move(all)}};
}

Json MakeReport(const Options& options, const Results& r) {
  const std::uint64_t steps = r.losses.size();
  const tierlib::Statistics& s = r.statistics;
  const Json traffic = PerStep(r.traffic, steps);
  Json loss_bits = Json::array();
  for (const float loss : r.losses) loss_bits.push_back(Hexadecimal(static_cast<double>(loss)));
  Json report;
  report["val_loss_start"] = OrNull(r.val_loss_start);
  report["val_loss"] = OrNull(r.val_loss);
  report["val_windows"] = r.val_windows;
  report["evaluations"] = EvaluationsOf(r.evaluations);
  report["first_step"] = r.first_step;
  report["steps"] = steps;
  report["step_ms_median"] = Median(r.step_ms);
  report["device_peak_bytes"] = s.device.live_peak;
  report["host_peak_bytes"] = s.pinned.live_peak + s.pageable.live_peak;
  report["learners"] = options.learners;
  report["device_peak_bytes_by_learner"] = r.device_peak_by_learner;
  report["host_peak_bytes_by_learner"] = r.host_peak_by_learner;
  report["bytes_moved_per_step"] = traffic["moved_out"];
  report["bytes_avoided_per_step"] = {{"identity", traffic["avoided_identity"]},
                                      {"lineage", traffic["avoided_lineage"]},
                                      {"frees_nothing", traffic["frees_nothing"]},
                                      {"kept", traffic["kept"]}};
  report["traffic_per_step"] = traffic;
  report["weight_bits_per_weight"] = r.weight_bits_per_weight;
  report["dkm_forms"] = r.dkm_forms;
  report["parameters"] = r.parameters;
  report["device"] = r.device;
  report["device_memory"] = options.device_memory;
  report["device_extent_peak_bytes"] = s.device.extent_peak;
  report["device_bytes_without_offload"] = r.device_bytes_without_offload;
  report["offload"] = OffloadName(options.offload);
  report["offload_policy"] = PolicyInForce(options);
  report["peak"] = PeakOf(s);
  report["evictions"] = s.shortages.evictions;
  report["seed"] = options.seed;
  report["threads"] = options.threads;
  report["options"] = DecidingOptions(options);
  report["val_loss_start_bits"] = BitsOrNull(r.val_loss_start);
  report["val_loss_bits"] = BitsOrNull(r.val_loss);
  report["step_ms"] = r.step_ms;
  report["losses"] = r.losses;
  report["loss_bits"] = std::move(loss_bits);
  report["parameters_fingerprint"] = r.parameters_fingerprint;
  return report;
}

}  // namespace

tierlib::Ledger LedgerSince(const tierlib::Ledger& before, const tierlib::Ledger& now) {
  using L = tierlib::Ledger;
  static constexpr std::uint64_t L::*kReported[] = {
      &L::naive, &L::moved, &L::moved_in, &L::avoided_identity, &L::avoided_lineage, &L::frees_nothing,
      &L::kept,  &L::freed, &L::stalls};
  L since;
  for (const auto counter : kReported) since.*counter = now.*counter - before.*counter;
  return since;
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

Status WriteReport(const std::string& path, const Options& options, const Results& results) {
  const std::string text = MakeReport(options, results).dump(1) + "\n";
  TIERLIB_ASSIGN_OR_RETURN(tierlib::io::AtomicFile file, tierlib::io::AtomicFile::Create(path));
  TIERLIB_RETURN_IF_ERROR(file.Append(text.data(), text.size()));
  return file.Commit();
}

Status PrintResults(const Options& options, const Results& r) {
  if (r.val_loss_start.has_value()) std::printf("val_loss_start %.4f\n", *r.val_loss_start);
  if (r.val_loss.has_value()) {
    std::printf("val_loss %.4f (%lld windows, %.3f bits a weight of the block matrices)\n", *r.val_loss,
                static_cast<long long>(r.val_windows), r.weight_bits_per_weight);
  }
  if (!r.dkm_forms.empty()) {
    std::string forms;
    for (const auto& [form, matrices] : r.dkm_forms) {
      forms += (forms.empty() ? "" : ", ") + std::to_string(matrices) + " by form " + form;
    }
    std::printf("clustered matrices: %s\n", forms.c_str());
  }
  if (!r.losses.empty()) {
    const std::uint64_t steps = r.losses.size();
    std::printf(
        "%llu steps, median %.1f ms; offload %s: %s moved a step, %s avoided; peak %s on the device, %s on the host\n",
        static_cast<unsigned long long>(steps), Median(r.step_ms), OffloadName(options.offload),
        tierlib::FormatBytes(r.traffic.moved / steps).c_str(),
        tierlib::FormatBytes((r.traffic.avoided_identity + r.traffic.avoided_lineage) / steps).c_str(),
        tierlib::FormatBytes(r.statistics.device.live_peak).c_str(),
        tierlib::FormatBytes(r.statistics.pinned.live_peak + r.statistics.pageable.live_peak).c_str());
  }
  if (!r.losses.empty() && !r.statistics.peaks.empty()) {
    const tierlib::PeakStatistics& peak = r.statistics.peaks.front();
    std::printf("peak of a step: %s without moving anything, in %s after '%s'; %s with %s moved; target %s\n",
                tierlib::FormatBytes(peak.unmoved_peak).c_str(), peak.peak_in_backward ? "backward" : "forward",
                peak.peak_after.c_str(), tierlib::FormatBytes(peak.planned_peak).c_str(),
                tierlib::FormatBytes(peak.planned).c_str(), tierlib::FormatBytes(peak.target).c_str());
  }
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return tierlib::OkStatus();
  return tierlib::UnavailableError("the standard output cannot be written");
}

}  // namespace train_lm
