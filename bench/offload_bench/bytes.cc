// Saved bytes of a pass, naive and by what tierlib moves of them.
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "offload_bench/measure.h"
#include "tierlib/runtime.h"

namespace tierlib::bench {
namespace {

constexpr int kMostHops = 6;

Ledger Pass(const Model& model, int hop_limit) {
  Options options;
  options.devices[0].capacity = GiB(8);
  options.devices[0].emulated.schedule = EmulatedSchedule::kShapeOnly;
  options.pinned_limit = GiB(4);
  options.hop_limit = hop_limit;
  const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
  const std::unique_ptr<autograd::Context> context = autograd::Context::Create(*runtime).value();
  Inputs inputs(*context);
  autograd::Tape tape(*context);
  const autograd::Value loss = model.loss(tape, inputs);
  Status status = tape.status();
  if (status.ok()) status = tape.Backward(loss);
  if (!status.ok()) {
    std::fprintf(stderr, "offload_bench: %s: %s\n", model.name.c_str(), status.ToString().c_str());
    std::exit(1);
  }
  return runtime->statistics().total;
}

}  // namespace

BytesRow CountBytes(const Model& model) {
  BytesRow row;
  row.model = model;
  for (int hops = 0; hops <= kMostHops; ++hops) {
    const Ledger ledger = Pass(model, hops);
    row.naive = ledger.naive - ledger.frees_nothing;
    row.by_hops.push_back(ledger.moved);
    if (hops == 0) row.identity = ledger.moved;
    if (hops == Options().hop_limit) row.walk = ledger.moved;
  }
  return row;
}

}  // namespace tierlib::bench
