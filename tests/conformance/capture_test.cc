// Captured graphs: a training step that is captured once and launched with other inputs gives the gradients, to the
// bit, that it gives when it runs without offload; what a launch reads lives as long as the graph.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "conformance/setting.h"
#include "tierlib/faults.h"

namespace tierlib::conformance {
namespace {

constexpr std::uint64_t kSide = 32;
constexpr std::uint64_t kBytes = kSide * kSide;  // of each tensor
constexpr std::size_t kLayers = 5;

// What kernels compute: bytes, so that every bit counts.
void Forward(const std::uint8_t* in, std::uint8_t* out, std::size_t layer) {
  for (std::size_t i = 0; i < kBytes; ++i) {
    out[i] = static_cast<std::uint8_t>(in[i] * (2 * layer + 3) + in[(i * 7 + layer) % kBytes] + i);
  }
}
void Backward(const std::uint8_t* saved, std::uint8_t* gradient, std::size_t layer) {
  for (std::size_t i = 0; i < kBytes; ++i) {
    gradient[i] = static_cast<std::uint8_t>(gradient[i] * 5 + saved[i] * (layer + 1) + i);
  }
}

// A step of a program: x to a gradient, through layers that save what they read. Square, and every second one saves the
// transpose.
class Training {
 public:
  explicit Training(Case& c) : c_(c), x_(c.Make(kBytes)), gradient_(c.Make(kBytes)) {}

  void Step(Stream stream) {
    Program& p = c_.program;
    std::vector<Saved> saved;
    std::vector<Layout> layouts;
    StorageId id = x_.storage;
    auto* in = static_cast<const std::uint8_t*>(x_.data);
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      const StatusOr<Allocation> made = p.runtime->Allocate(kBytes, Holds::kTransient, stream, "layer");
      ASSERT_TRUE(made.ok()) << made.status();
      auto* out = static_cast<std::uint8_t*>(made->data);
      p.Launch(stream, {{in, kBytes, false}, {out, kBytes, true}}, [in, out, layer] { Forward(in, out, layer); });
      layouts.push_back(layer % 2 == 0 ? WholeOf(kBytes) : Strided(DType::kU8, {kSide, kSide}, {1, kSide}));
      const Keepalive memory = layer == 0 ? x_.memory : nullptr;
      const StatusOr<Saved> one = p.runtime->Pack({id, layouts.back()}, memory, stream, "saved");
      ASSERT_TRUE(one.ok()) << one.status();
      saved.push_back(*one);
      if (layer > 0) {
        ASSERT_TRUE(p.runtime->Retire(id, stream).ok());
      }
      id = made->storage;
      in = out;
    }
    p.runtime->BeginBackward();
    ASSERT_TRUE(p.runtime->BeginWrite(gradient_.storage, stream).ok());
    auto* gradient = static_cast<std::uint8_t*>(gradient_.data);
    p.Launch(stream, {{in, kBytes, false}, {gradient, kBytes, true}},
             [in, gradient] { std::copy(in, in + kBytes, gradient); });
    ASSERT_TRUE(p.runtime->Retire(id, stream).ok());
    for (std::size_t layer = kLayers; layer-- > 0;) {
      const StatusOr<Loaded> loaded = p.runtime->Unpack(saved[layer], stream);
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      saved[layer] = Saved();
      auto* origin = static_cast<const std::uint8_t*>(loaded->origin());
      p.Launch(stream, {{origin, kBytes, false}, {gradient, kBytes, true}},
               [origin, gradient, layer, layout = layouts[layer]] {
                 Backward(ElementsOf(origin, layout).data(), gradient, layer);
               });
    }
  }

  // Other bytes, where the step reads them.
  void Write(const Bytes& x) {
    ASSERT_TRUE(c_.program.runtime->BeginWrite(x_.storage, c_.program.compute()).ok());
    c_.program.Write(x_.data, x, c_.program.compute());
  }
  Bytes Gradient() {
    Program& p = c_.program;
    auto gradient = std::make_shared<Bytes>(kBytes);
    auto* from = static_cast<const std::uint8_t*>(gradient_.data);
    p.Launch(p.compute(), {{from, kBytes, false}},
             [gradient, from] { std::copy(from, from + kBytes, gradient->begin()); });
    EXPECT_TRUE(p.runtime->Synchronize(p.compute()).ok());
    return *gradient;
  }
  void DropInput() { c_.Drop(x_); }
  void DropGradient() { c_.Drop(gradient_); }
  void Drop() {
    DropInput();
    DropGradient();
  }

 private:
  Case& c_;
  Tensor x_;
  Tensor gradient_;
};

std::vector<Bytes> Inputs(std::uint64_t seed) {
  Random random(seed);
  std::vector<Bytes> inputs;
  for (int i = 0; i < 4; ++i) inputs.push_back(RandomBytes(random, kBytes));
  return inputs;
}

// The gradients for each input without offload and without a capture.
std::vector<Bytes> Expected(const Setting& setting) {
  Case c(setting, [](Options& options) { options.mode = OffloadMode::kOff; });
  Training training(c);
  std::vector<Bytes> gradients;
  for (const Bytes& x : Inputs(setting.seed)) {
    training.Write(x);
    training.Step(c.program.compute());
    gradients.push_back(training.Gradient());
  }
  training.Drop();
  return gradients;
}

// Room for what is alive at once, and no more: memory is used again within the step.
CaptureOptions Room(std::uint64_t pinned_values = kLayers) {
  CaptureOptions room;
  room.device_bytes = 4 * kBytes;
  room.pinned_bytes = pinned_values * kBytes;
  return room;
}

CapturedStep Captured(Case& c, Training& training, const CaptureOptions& room) {
  const StatusOr<std::vector<Stream>> streams = c.program.runtime->BeginCapture(0, room);
  EXPECT_TRUE(streams.ok()) << streams.status();
  if (!streams.ok()) return CapturedStep();
  training.Step(streams->front());
  const StatusOr<CapturedStep> step = c.program.runtime->EndCapture(streams->front());
  EXPECT_TRUE(step.ok()) << step.status();
  return step.ok() ? *step : CapturedStep();
}

void LaunchAndCompare(Case& c, Training& training, const CapturedStep& step, const Setting& setting,
                      const std::vector<Bytes>& expected) {
  const std::vector<Bytes> inputs = Inputs(setting.seed);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    training.Write(inputs[i]);
    const Status launched = c.program.runtime->Launch(step, c.program.compute());
    ASSERT_TRUE(launched.ok()) << launched;
    if (setting.copier == Copier::kSynchronous) {
      ASSERT_TRUE(c.program.runtime->Synchronize(c.program.compute()).ok());
    }
    const Bytes gradient = training.Gradient();
    EXPECT_TRUE(gradient == expected[i]) << "launch " << i;
    EXPECT_TRUE(i == 0 || gradient != expected[i - 1]) << "another input, another gradient";
  }
}

TEST(Capture, LaunchesGiveTheGradientsOfTheirInputs) {  // 31
  InEverySetting([](const Setting& setting) {
    const std::vector<Bytes> expected = Expected(setting);
    struct Way {
      OffloadMode mode = OffloadMode::kMarshal;
      OffloadPolicy policy = OffloadPolicy::kAll;
    };
    for (const Way way : {Way{}, Way{OffloadMode::kMarshal, OffloadPolicy::kFit}, Way{OffloadMode::kNaive}}) {
      Case c(setting, [&](Options& options) {
        options.mode = way.mode;
        options.policy = way.policy;
      });
      Training training(c);
      const Ledger before = c.program.ledger();
      DeviceBackend& device = *c.program.device;
      const std::uint64_t copied = device.CopiedBytes(CopyDirection::kDeviceToHost);
      // Naive copies gather transposes into memory of their own, and spread them out again.
      CaptureOptions room = Room();
      if (way.mode == OffloadMode::kNaive) room.device_bytes += 2 * kBytes;
      CapturedStep step = Captured(c, training, room);
      ASSERT_TRUE(step.valid());
      const Ledger launch = step.statistics().launch;
      EXPECT_EQ(c.program.ledger().packs, before.packs) << "nothing has run";
      LaunchAndCompare(c, training, step, setting, expected);
      // Each launch moves what the capture decided to, and is booked.
      EXPECT_GE(launch.moved, way.policy == OffloadPolicy::kAll ? (kLayers - 1) * kBytes : kBytes);
      EXPECT_EQ(launch.packs, kLayers);
      EXPECT_EQ(device.CopiedBytes(CopyDirection::kDeviceToHost) - copied, 4 * launch.moved);
      const Ledger after = c.program.ledger();
      EXPECT_EQ(after.moved - before.moved, 4 * launch.moved);
      EXPECT_EQ(after.moved_in - before.moved_in, 4 * launch.moved_in);
      EXPECT_EQ(after.packs - before.packs, 4 * kLayers);
      ExpectBookedOnce(after);
      step = CapturedStep();
      training.Drop();
      c.ExpectNothingHeld();
    }
  });
}

TEST(Capture, TakesNoHostMemoryMakesNoStreamAndAsksForNoEvent) {  // 31
  InEverySetting([](const Setting& setting) {
    const std::vector<Bytes> expected = Expected(setting);
    const auto faults = std::make_shared<Faults>();  // which fail nothing, and count
    Case c(setting, [&](Options& options) {
      options.devices[0].faults = faults;
      options.pinned_limit = MiB(2);  // all of it is there at once: no thread grows it ahead
    });
    Training training(c);
    const auto made = [&faults] {
      std::vector<std::uint64_t> calls;
      for (const FaultPoint point :
           {FaultPoint::kGrow, FaultPoint::kPin, FaultPoint::kReserve, FaultPoint::kCreateStream,
            FaultPoint::kAllocatePinned, FaultPoint::kAllocatePageable, FaultPoint::kAllocateDevice}) {
        calls.push_back(faults->calls(point));
      }
      return calls;
    };
    const std::vector<Stream> streams = c.program.runtime->BeginCapture(0, Room()).value();
    const std::vector<std::uint64_t> before = made();
    const std::uint64_t queries = faults->queries();
    training.Step(streams.front());
    EXPECT_EQ(faults->queries(), queries) << "in the capture";
    EXPECT_EQ(made(), before);
    const CapturedStep step = c.program.runtime->EndCapture(streams.front()).value();
    EXPECT_EQ(faults->queries(), queries);
    EXPECT_EQ(made(), before);
    EXPECT_GT(step.statistics().launch.moved, 0u);
    LaunchAndCompare(c, training, step, setting, expected);
    EXPECT_EQ(made(), before) << "launches";
    const std::uint64_t launched = faults->queries();
    Tensor other = c.Make(kBytes);
    const Saved saved = c.Pack(other);
    ASSERT_TRUE(c.program.runtime->Drain().ok());
    EXPECT_GT(faults->queries(), launched) << "outside captures events are asked for, and counted";
  });
}

TEST(Capture, WhatAGraphReadsLivesAsLongAsIt) {  // 31
  InEverySetting([](const Setting& setting) {
    const std::vector<Bytes> expected = Expected(setting);
    Case c(setting, [](Options& options) { options.pinned_limit = KiB(16); });
    Training training(c);
    CapturedStep step = Captured(c, training, Room());
    ASSERT_TRUE(step.valid());
    Runtime& runtime = *c.program.runtime;
    EXPECT_EQ(runtime.statistics().pinned.live, kLayers * kBytes) << "also when no value is saved";
    for (int round = 0; round < (setting.copier == Copier::kDelayed ? 1 : 2); ++round) {
      // Others take all that is free of the host and the device, leave other bytes there, and give it back.
      std::vector<std::pair<Saved, Tensor>> others;
      for (int i = 0; i < 12; ++i) {
        Tensor other = c.Make(Bytes(kBytes, static_cast<std::uint8_t>(0xA0 + i)));
        Saved saved = c.Pack(other);
        c.Drop(other);
        others.emplace_back(std::move(saved), std::move(other));
      }
      EXPECT_GT(runtime.statistics().fallbacks.to_pageable, 0u) << "all pinned memory was taken";
      if (round == 0) LaunchAndCompare(c, training, step, setting, expected);
      for (const auto& [saved, other] : others) c.ExpectBack(saved, other);
      others.clear();
      ASSERT_TRUE(runtime.Trim(Tier::kPinned, MiB(64)).ok());
      c.Overwrite(KiB(256));
      LaunchAndCompare(c, training, step, setting, expected);
    }
    step = CapturedStep();
    EXPECT_EQ(runtime.statistics().pinned.live, 0u);
    training.Drop();
    c.ExpectNothingHeld();
  });
}

// The program drops its own handles first: memory that the graph reads is kept by it.
TEST(Capture, StoragesOfTheProgramLiveAsLongAsTheGraphThatUsesThem) {  // 31
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Training training(c);
    CapturedStep step = Captured(c, training, Room());
    ASSERT_TRUE(step.valid());
    training.DropInput();
    c.Overwrite(KiB(16));
    ASSERT_TRUE(c.program.runtime->Launch(step, c.program.compute()).ok());
    std::vector<Tensor> others;  // none of them is where the launch reads and writes
    for (int i = 0; i < 4; ++i) others.push_back(c.Make(kBytes));
    ASSERT_TRUE(c.program.runtime->Launch(step, c.program.other()).ok());
    for (Tensor& other : others) {
      const Saved saved = c.Pack(other);
      c.ExpectBack(saved, other);
      c.Drop(other);
    }
    if (!setting.adopted) {  // of memory of the program it gave no reference away
      training.DropGradient();
      EXPECT_EQ(c.program.runtime->Launch(step, c.program.other()).code(), StatusCode::kFailedPrecondition)
          << "which it writes: saved values may be there";
    }
    step = CapturedStep();
    ASSERT_TRUE(c.program.runtime->Synchronize(c.program.other()).ok());
  });
}

}  // namespace
}  // namespace tierlib::conformance
