// The demands of README.md on a client with an autograd: gradients are those of a run without offload, to the bit, in
// every setting; writes and failures are told by name, and nothing is left of what failed.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "conformance/tape_programs.h"
#include "tierlib/autograd/ops.h"
#include "tierlib/faults.h"

namespace tierlib::autograd {
namespace {

using conformance::Copier;
using conformance::Copies;
using conformance::InEverySetting;
using conformance::OptionsFor;
using conformance::Setting;

bool Settles(const Setting& setting) { return setting.copier == Copier::kSynchronous; }

void Off(Options& options) { options.mode = OffloadMode::kOff; }

// Of a run without offload.
std::vector<Bytes> BitsOf(const TapeProgram& program) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create(OptionsFor(Setting(), Off)).value();
  TapeClient client(*runtime);
  program.run(client);
  return client.bits();
}

// Tensors of the autograd lie in tierlib's pool: there is nothing to adopt.
void InEveryOwnedSetting(const std::function<void(const Setting&)>& test) {
  InEverySetting([&test](const Setting& setting) {
    if (!setting.adopted) test(setting);
  });
}

class Tapes : public testing::TestWithParam<TapeProgram> {};

TEST_P(Tapes, GetTheBitsOfARunWithoutOffload) {
  const std::vector<Bytes> expected = BitsOf(GetParam());
  ASSERT_FALSE(expected.empty());
  InEveryOwnedSetting([&](const Setting& setting) {
    for (const OffloadMode mode : {OffloadMode::kNaive, OffloadMode::kMarshal}) {
      SCOPED_TRACE(mode == OffloadMode::kNaive ? "naive" : "marshal");
      const auto change = [mode](Options& options) { options.mode = mode; };
      const std::unique_ptr<Runtime> runtime = Runtime::Create(OptionsFor(setting, change)).value();
      TapeClient client(*runtime, 0, Settles(setting));
      GetParam().run(client);
      EXPECT_TRUE(client.bits() == expected);
      client.DropLeaves();
      ExpectNothingHeld(*runtime);
      const Ledger ledger = runtime->statistics().total;
      EXPECT_GT(ledger.moved, 0u);
      ExpectBookedOnce(ledger);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(All, Tapes, testing::ValuesIn(TapePrograms()),
                         [](const auto& test) { return std::string(test.param.name); });

// 32: every program on two threads of one runtime, in another order each, on one device and on two.
TEST(TapeThreads, TwoTapesOfOneRuntimeGetTheirOwnGradients) {
  std::vector<Bytes> expected[2];
  const auto run_all = [](Runtime& runtime, int device, bool backwards) {
    std::vector<Bytes> bits;
    const std::vector<TapeProgram>& programs = TapePrograms();
    for (std::size_t i = 0; i < programs.size(); ++i) {
      TapeClient client(runtime, device);
      programs[backwards ? programs.size() - 1 - i : i].run(client);
      bits.insert(bits.end(), client.bits().begin(), client.bits().end());
      EXPECT_TRUE(runtime.Synchronize(client.context().stream()).ok());
    }
    return bits;
  };
  {
    const std::unique_ptr<Runtime> alone = Runtime::Create(OptionsFor(Setting(), Off)).value();
    for (const int thread : {0, 1}) expected[thread] = run_all(*alone, 0, thread == 1);
  }
  for (const int devices : {1, 2}) {
    for (const Copies copies : {Copies::kWhole, Copies::kInChunks, Copies::kGathered}) {
      SCOPED_TRACE(std::to_string(devices) + " devices, copies " + std::to_string(static_cast<int>(copies)));
      const Setting setting = {.copier = Copier::kDelayed, .copies = copies};
      const std::unique_ptr<Runtime> runtime =
          Runtime::Create(OptionsFor(setting, [devices](Options& options) {
            options.devices[0].emulated.copy_jitter_ns = 50'000;
            options.devices.resize(static_cast<std::size_t>(devices), options.devices[0]);
            options.devices.back().device = devices - 1;
          })).value();
      std::vector<Bytes> bits[2];
      std::vector<std::thread> threads;
      for (const int thread : {0, 1}) {
        threads.emplace_back([&, thread] { bits[thread] = run_all(*runtime, thread % devices, thread == 1); });
      }
      for (std::thread& thread : threads) thread.join();
      for (const int thread : {0, 1}) EXPECT_TRUE(bits[thread] == expected[thread]) << "thread " << thread;
      ExpectNothingHeld(*runtime);
      EXPECT_GT(runtime->statistics().total.moved, 0u);
    }
  }
}

// --- Writes
// -----------------------------------------------------------------------------------------------------------

// What came of a write into a leaf that an op saved: of the write, of the pass that asks for it, and of a pass of what
// was recorded after the write.
struct WriteOutcome {
  Status write, backward;
  Bytes before, after;  // gradients, where there is one
};

// `part`: through a view of the leaf's storage, as another alias would.
WriteOutcome WriteAfterSave(const Options& options, bool settles, bool part) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
  WriteOutcome outcome;
  TapeClient client(*runtime, 0, settles);
  Parameter& leaf = client.Leaf({32, 64});
  {
    Tape tape(client.context());
    const Value loss = Sum(client.Then(Square(tape.Leaf(leaf))));
    Layout target = leaf.value.layout();
    if (part) {
      target.sizes[0] = 16;
      target.offset_bytes += 8 * 64 * 4;
    }
    const std::vector<float> other(static_cast<std::size_t>(target.elements()), 0.5F);
    outcome.write = leaf.value.WithLayout(target).CopyFromHost(other.data(), other.size() * sizeof(float));
    outcome.backward = tape.Backward(loss);
    if (outcome.backward.ok()) outcome.before = ReadBytes(std::exchange(leaf.gradient, Tensor()));
    EXPECT_FALSE(leaf.gradient.defined()) << "a pass that failed leaves no gradient";
  }
  {
    Tape tape(client.context());
    const Status again = tape.Backward(Sum(client.Then(Square(tape.Leaf(leaf)))));
    EXPECT_TRUE(again.ok()) << again;
    if (again.ok()) outcome.after = ReadBytes(leaf.gradient);
  }
  client.DropLeaves();
  ExpectNothingHeld(*runtime);
  return outcome;
}

// 18 to 20, 22.
TEST(TapeWrites, AreRefusedWaitedForOrTheErrorThatTheyAreWithoutOffload) {
  int refused = 0;
  for (const bool part : {false, true}) {
    const WriteOutcome without = WriteAfterSave(OptionsFor(Setting(), Off), false, part);
    ASSERT_TRUE(without.write.ok()) << without.write;
    ASSERT_EQ(without.backward.code(), StatusCode::kFailedPrecondition);
    InEveryOwnedSetting([&](const Setting& setting) {
      for (const bool waits : {false, true}) {
        SCOPED_TRACE(waits ? "waits" : "does not wait");
        const auto change = [waits](Options& options) { options.write_waits = waits; };
        const WriteOutcome got = WriteAfterSave(OptionsFor(setting, change), Settles(setting), part);
        if (got.write.ok()) {
          EXPECT_EQ(got.backward.code(), without.backward.code()) << got.backward;
          EXPECT_NE(got.backward.message().find("square (backward): "), std::string_view::npos) << got.backward;
          EXPECT_NE(got.backward.message().find("written in place"), std::string_view::npos) << got.backward;
          EXPECT_TRUE(got.after == without.after) << "another content, which was saved after the write";
          continue;
        }
        ++refused;
        EXPECT_FALSE(waits || Settles(setting)) << got.write;
        EXPECT_EQ(got.write.code(), StatusCode::kFailedPrecondition);
        for (const char* named : {"'leaf1'", "version", "'square.input'"}) {
          EXPECT_NE(got.write.message().find(named), std::string_view::npos) << got.write;
        }
        EXPECT_TRUE(got.backward.ok()) << "nobody wrote: " << got.backward;
        EXPECT_TRUE(got.before == got.after);
      }
    });
  }
  EXPECT_GT(refused, 0) << "no copy was in flight: this tests nothing";
}

// --- Failures
// ---------------------------------------------------------------------------------------------------------

Status Step(TapeClient& client, Parameter& leaf) {
  Tape tape(client.context());
  const Value x = client.Then(Square(tape.Leaf(leaf)));
  const Value y = client.Then(Gelu(client.Then(Contiguous(Transpose(x)))));
  return tape.Backward(Sum(client.Then(Mul(y, x))));
}

// 36: calls of the runtime to its device and tiers fail, one a step, in forward and backward. The step says so or has
// the right gradient, and the next one has.
TEST(TapeFailures, InAnyPhaseLeaveTheNextStepExact) {
  constexpr std::uint64_t kFailures = 8;  // of a step's calls, spread over it
  Bytes expected;
  {
    const std::unique_ptr<Runtime> runtime = Runtime::Create(OptionsFor(Setting(), Off)).value();
    TapeClient client(*runtime);
    Parameter& leaf = client.Leaf({8, 8});
    ASSERT_TRUE(Step(client, leaf).ok());
    expected = ReadBytes(leaf.gradient);
  }
  int told = 0;
  InEveryOwnedSetting([&](const Setting& setting) {
    const auto faults = std::make_shared<Faults>();
    const auto change = [&faults](Options& options) { options.devices[0].faults = faults; };
    const std::unique_ptr<Runtime> runtime = Runtime::Create(OptionsFor(setting, change)).value();
    TapeClient client(*runtime, 0, Settles(setting));
    Parameter& leaf = client.Leaf({8, 8});
    faults->Arm(FaultPlan());
    ASSERT_TRUE(Step(client, leaf).ok());
    const std::uint64_t calls = faults->calls();
    for (std::uint64_t i = 0; i < kFailures; ++i) {
      SCOPED_TRACE("failure " + std::to_string(i) + " of " + std::to_string(calls) + " calls");
      leaf.gradient = Tensor();
      FaultPlan plan;
      plan.call = 1 + i * calls / kFailures;
      faults->Arm(plan);
      const Status status = Step(client, leaf);
      faults->Disarm();
      if (!status.ok()) {
        ++told;
        EXPECT_TRUE(status.code() == StatusCode::kUnavailable || status.code() == StatusCode::kResourceExhausted)
            << status;
        EXPECT_FALSE(leaf.gradient.defined());
        const Status again = Step(client, leaf);
        ASSERT_TRUE(again.ok()) << again;
      }
      EXPECT_TRUE(ReadBytes(leaf.gradient) == expected);
    }
    client.DropLeaves();
    ExpectNothingHeld(*runtime);
  });
  EXPECT_GT(told, 20) << "hardly a call failed";
}

}  // namespace
}  // namespace tierlib::autograd
