// The results of a run: as JSON for programs, as a few lines for people.
#ifndef TRAIN_LM_REPORT_H_
#define TRAIN_LM_REPORT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tierlib/tierlib.h"
#include "train_lm/options.h"

namespace train_lm {

// Of the validation part, with the weights as inference would use them, after so many steps.
struct Evaluation {
  std::uint64_t step = 0;
  double val_loss = 0;             // over all windows
  std::optional<double> estimate;  // over random batches, where --eval-batches asks for them
  double ms = 0;                   // that both took
};

struct Results {
  std::optional<double> val_loss_start;  // with the weights as stored, before the first step; not with --eval-only
  std::optional<double> val_loss;  // with the weights as inference would use them; not where a signal stopped the run
  std::int64_t val_windows = 0;
  std::vector<Evaluation> evaluations;  // of --eval-every, by step
  std::uint64_t first_step = 0;         // taken before this run, where it resumed
  std::vector<float> losses;            // of each step of this run
  std::vector<double> step_ms;
  tierlib::Ledger traffic;         // of the steps of this run, together
  tierlib::Statistics statistics;  // at the end
  double weight_bits_per_weight = 0;
  std::map<std::string, int> dkm_forms;  // matrices by the form that clustered them
  std::uint64_t parameters = 0;
  std::uint64_t parameters_fingerprint = 0;
  std::uint64_t device_bytes_without_offload = 0;  // computed by a shape-only pass
  std::string device;
  std::vector<std::uint64_t> device_peak_by_learner;  // live bytes, by rank
  std::vector<std::uint64_t> host_peak_by_learner;
};

// What was counted between the two: of the counters that the report has, the others are 0.
tierlib::Ledger LedgerSince(const tierlib::Ledger& before, const tierlib::Ledger& now);

// 0 for an empty list.
double Median(std::vector<double> values);

// Replaces the file at `path`. Losses also appear to the bit, as hexadecimal floats.
tierlib::Status WriteReport(const std::string& path, const Options& options, const Results& results);

// To the standard output stream; Unavailable where that cannot be written.
tierlib::Status PrintResults(const Options& options, const Results& results);

}  // namespace train_lm

#endif  // TRAIN_LM_REPORT_H_
