// The time of training steps without offload, with naive offload, and with tierlib's, over links of several speeds.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

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
};

std::vector<Setting> Settings() {
  std::vector<Setting> settings = {{OffloadMode::kOff, "off", {"-", 0}}};
  for (const Link& link : kLinks) {
    settings.push_back({OffloadMode::kNaive, "naive", link});
    settings.push_back({OffloadMode::kMarshal, "marshal", link});
    settings.push_back({OffloadMode::kMarshal, "compact", link, /*spare_bytes=*/0});
  }
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
    {
      inputs_.Rewind();
      autograd::Tape tape(*context_);
      const autograd::Value loss = model_.loss(tape, inputs_);
      Require(tape.status(), model_);
      Require(tape.Backward(loss), model_);
    }
    autograd::ClearGradients(inputs_.parameters());
    runtime_->EndStep();
    Require(runtime_->Synchronize(context_->stream()), model_);
    const std::int64_t end_ns = NowNs();
    Require(runtime_->Drain(), model_);
    return Figures(end_ns - begin_ns);
  }

 private:
  static Options OptionsFor(const Setting& setting) {
    Options options;
    options.devices[0].capacity = GiB(4);
    options.devices[0].emulated.kernel_threads = 1;
    options.devices[0].emulated.copy_out_bytes_per_s = setting.link.bytes_per_s;
    options.devices[0].emulated.copy_in_bytes_per_s = setting.link.bytes_per_s;
    options.devices[0].spare_bytes = setting.spare_bytes;
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
    row.stalls = statistics.times.front().by_storage;
    std::sort(row.stalls.begin(), row.stalls.end(),
              [](const StorageStalls& a, const StorageStalls& b) { return SumOf(a.times) > SumOf(b.times); });
    row.freed_over_moved = ledger.moved == 0 ? 1 : static_cast<double>(ledger.freed) / row.moved;
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

std::vector<StepRow> TimeSteps(const Model& model, int rounds, int steps) {
  const std::vector<Setting> settings = Settings();
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

}  // namespace tierlib::bench
