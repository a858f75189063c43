// The time of training steps without offload, with naive offload, and with tierlib's, over links of several speeds.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/clock.h"
#include "offload_bench/measure.h"
#include "tierlib/autograd/optimizer.h"
#include "tierlib/runtime.h"

namespace tierlib::bench {
namespace {

struct Link {
  const char* name;
  double bytes_per_s;  // 0: unthrottled
};
constexpr Link kLinks[] = {{"2 GB/s", 2e9}, {"5 GB/s", 5e9}, {"unthrottled", 0}};

struct Setting {
  OffloadMode mode;
  const char* mode_name;
  Link link;
  std::uint64_t spare_bytes = DeviceOptions::kAutomatic;
  std::uint64_t prefetch_bytes = 0;
  bool takes_back = true;
};
constexpr std::uint64_t kAhead = MiB(128);

std::vector<Setting> Settings(const std::string& mode) {
  std::vector<Setting> settings = {{OffloadMode::kOff, "off", {"-", 0}}};
  for (const Link& link : kLinks) {
    settings.push_back({OffloadMode::kNaive, "naive", link});
    settings.push_back({OffloadMode::kMarshal, "marshal", link});
    settings.push_back({OffloadMode::kMarshal, "compact", link, /*spare_bytes=*/0});
    settings.push_back({OffloadMode::kMarshal, "ahead", link, /*spare_bytes=*/0, kAhead});
    settings.push_back(
        {OffloadMode::kMarshal, "copied", link, DeviceOptions::kAutomatic, kAhead, /*takes_back=*/false});
  }
  const auto left_out = [&](const Setting& setting) { return !mode.empty() && mode != setting.mode_name; };
  settings.erase(std::remove_if(settings.begin(), settings.end(), left_out), settings.end());
  return settings;
}

void Require(const Status& status, const Model& model) {
  if (status.ok()) return;
  std::fprintf(stderr, "offload_bench: %s: %s\n", model.name.c_str(), status.ToString().c_str());
  std::exit(1);
}

std::uint64_t SumOf(const StallTimes& stalls) {
  return stalls.late_copy_in_ns + stalls.copy_out_tail_ns + stalls.write_fence_ns + stalls.allocation_ns +
         stalls.producer_ns;
}

class Trainer {
 public:
  Trainer(const Model& model, const Setting& setting)
      : model_(model),
        runtime_(Runtime::Create(OptionsFor(setting)).value()),
        context_(autograd::Context::Create(*runtime_).value()),
        inputs_(*context_) {}

  // The figures of one step, as a row's.
  StepRow Step(std::uint64_t number) {
    const std::int64_t begin_ns = NowNs();
    runtime_->BeginStep(number);
    Pass();
    runtime_->EndStep();
    return Figures(EndedAt() - begin_ns);
  }

  // How long the same takes, nanoseconds; `timed`: within a step, so that the runtime takes its time too.
  std::int64_t StepNs(bool timed) {
    const std::int64_t begin_ns = NowNs();
    if (timed) runtime_->BeginStep(0);
    Pass();
    if (timed) runtime_->EndStep();
    return EndedAt() - begin_ns;
  }

 private:
  void Pass() {
    {
      inputs_.Rewind();
      autograd::Tape tape(*context_);
      const autograd::Value loss = model_.loss(tape, inputs_);
      Require(tape.status(), model_);
      Require(tape.Backward(loss), model_);
    }
    autograd::ClearGradients(inputs_.parameters());
  }

  // When the stream had ended its work, on the host's clock.
  std::int64_t EndedAt() {
    Require(runtime_->Synchronize(context_->stream()), model_);
    const std::int64_t end_ns = NowNs();
    Require(runtime_->Drain(), model_);
    return end_ns;
  }

  static Options OptionsFor(const Setting& setting) {
    Options options;
    options.devices[0].capacity = GiB(4);
    options.devices[0].emulated.kernel_threads = 1;
    options.devices[0].emulated.copy_out_bytes_per_s = setting.link.bytes_per_s;
    options.devices[0].emulated.copy_in_bytes_per_s = setting.link.bytes_per_s;
    options.devices[0].spare_bytes = setting.spare_bytes;
    options.devices[0].prefetch_bytes = setting.prefetch_bytes;
    options.devices[0].takes_back = setting.takes_back;
    options.mode = setting.mode;
    return options;
  }

  StepRow Figures(std::int64_t step_ns) const {
    const Statistics statistics = runtime_->statistics();
    const StepTimes& times = statistics.times.front().last_step;
    const Ledger& ledger = statistics.last_step;
    StepRow row;
    row.step_ms = static_cast<double>(step_ns) / 1e6;
    for (const StreamTimes& stream : times.streams) {
      const StallTimes& stalls = stream.stalls;
      row.compute_ms += static_cast<double>(stream.compute_ns) / 1e6;
      row.stall_ms += static_cast<double>(SumOf(stalls)) / 1e6;
      row.unknown_ms += static_cast<double>(stream.unknown_ns) / 1e6;
    }
    row.transfer_ms = static_cast<double>(times.transfer_ns) / 1e6;
    row.exposed_ms = static_cast<double>(times.exposed_ns) / 1e6;
    row.hidden_ms = static_cast<double>(times.hidden_ns) / 1e6;
    row.moved = static_cast<double>(ledger.moved);
    row.moved_in = static_cast<double>(ledger.moved_in);
    row.taken_back = static_cast<double>(ledger.taken_back);
    row.copies = static_cast<double>(ledger.copies_out);
    row.steps = statistics.times.front().total.steps;
    row.stalls = runtime_->StallsByStorage(0);
    std::sort(row.stalls.begin(), row.stalls.end(),
              [](const StorageStalls& a, const StorageStalls& b) { return SumOf(a.times) > SumOf(b.times); });
    row.freed_over_moved =
        ledger.moved == 0 ? 1 : static_cast<double>(ledger.freed - ledger.freed_made_again) / row.moved;
    row.freed_nothing = static_cast<double>(ledger.freed_nothing);
    row.freed_made_again = static_cast<double>(ledger.freed_made_again);
    row.avoided_lineage = static_cast<double>(ledger.avoided_lineage);
    row.prefetched = static_cast<double>(ledger.prefetched);
    return row;
  }

  const Model& model_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<autograd::Context> context_;
  Inputs inputs_;
};

double Median(std::vector<StepRow>& rows, double StepRow::*figure) {
  const auto middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
  std::nth_element(rows.begin(), middle, rows.end(),
                   [figure](const StepRow& a, const StepRow& b) { return a.*figure < b.*figure; });
  return *middle.*figure;
}

// The step of median time, whole: its parts belong together.
StepRow MedianStep(std::vector<StepRow>& rows) {
  const double time = Median(rows, &StepRow::step_ms);
  return *std::find_if(rows.begin(), rows.end(), [time](const StepRow& row) { return row.step_ms == time; });
}

}  // namespace

std::vector<StepRow> TimeSteps(const Model& model, const std::string& mode, int rounds, int steps) {
  const std::vector<Setting> settings = Settings(mode);
  std::vector<std::vector<StepRow>> measured(settings.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < settings.size(); ++i) {
      Trainer trainer(model, settings[i]);
      (void)trainer.Step(0);
      for (int step = 1; step <= steps; ++step) {
        measured[i].push_back(trainer.Step(static_cast<std::uint64_t>(step)));
      }
    }
  }
  std::vector<StepRow> rows;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    rows.push_back(MedianStep(measured[i]));
    rows.back().model = model.name;
    rows.back().mode = settings[i].mode_name;
    rows.back().link = settings[i].link.name;
  }
  return rows;
}

LedgerComparison CompareLedger(const Model& model, int pairs) {
  Trainer trainer(model, {OffloadMode::kMarshal, "compact", {"5 GB/s", 5e9}, /*spare_bytes=*/0});
  (void)trainer.StepNs(true);
  std::vector<double> ratios;
  for (int pair = 0; pair < pairs; ++pair) {
    double ns[2] = {};
    for (const bool timed : {pair % 2 == 0, pair % 2 != 0}) ns[timed] = static_cast<double>(trainer.StepNs(timed));
    ratios.push_back(ns[1] / ns[0]);
  }
  std::sort(ratios.begin(), ratios.end());
  const auto at = [&](std::size_t quarters) { return ratios[(ratios.size() - 1) * quarters / 4]; };
  return {model.name, pairs, at(2), at(1), at(3)};
}

}  // namespace tierlib::bench
