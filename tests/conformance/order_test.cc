// Streams, lifetimes and order: no byte is read before it is there, and none is used again while somebody reads it.
#include <numeric>
#include <thread>

#include "conformance/setting.h"

namespace tierlib::conformance {
namespace {

TEST(Order, DeviceMemoryIsNotUsedAgainBeforeItsCopyOut) {  // 23
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    for (int i = 0; i < 4; ++i) {
      Tensor x = c.Make(KiB(64));
      const Saved saved = c.Pack(x);
      c.Drop(x);
      c.Overwrite(KiB(64));
      c.ExpectBack(saved, x);
    }
    c.ExpectNothingHeld();
  });
}

TEST(Order, ACopyInWaitsForItsOwnCopyOut) {  // 24, field 1
  InEverySetting([](const Setting& setting) {
    for (const OffloadMode mode : {OffloadMode::kMarshal, OffloadMode::kNaive}) {
      Case c(setting, [mode](Options& options) { options.mode = mode; });
      for (int i = 0; i < 4; ++i) {
        Tensor x = c.Make(KiB(64));
        const Layout transposed = Strided(DType::kF32, {128, 128}, {1, 128});
        const Saved saved = c.Pack(x, transposed);
        c.Drop(x);
        c.ExpectBack(saved, x.bytes, transposed);  // at once
      }
    }
  });
}

TEST(Order, AHostBlockIsNotUsedAgainBeforeItsCopyIn) {  // 25, field 8
  InEverySetting([](const Setting& setting) {
    Case c(setting, [](Options& options) { options.pinned_limit = KiB(64); });  // one value at a time
    std::vector<std::pair<std::shared_ptr<Bytes>, Bytes>> read;
    for (int step = 0; step < 6; ++step) {
      Tensor x = c.Make(KiB(64));
      const Saved saved = c.Pack(x);
      c.Drop(x);
      const Loaded loaded = c.program.runtime->Unpack(saved, c.program.compute()).value();
      read.emplace_back(c.program.ReadLater(loaded, c.program.compute()), x.bytes);
    }
    ASSERT_TRUE(c.program.runtime->Synchronize(c.program.compute()).ok());
    for (const auto& [got, expected] : read) EXPECT_EQ(*got, expected);
  });
}

TEST(Order, StreamsAreTakenAtTheCallAndAllReadersAreWaitedFor) {  // 26, field 3
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Program& p = c.program;
    Tensor x = c.Make(KiB(64));
    const Saved saved = c.Pack(x);
    c.Drop(x);
    auto seen = std::make_shared<Bytes>();
    {
      const Loaded loaded = p.runtime->Unpack(saved, p.other()).value();  // another stream than the producer's
      LaunchUnseen(p, loaded, KiB(64), seen);
      auto further = std::make_shared<Bytes>();
      ASSERT_TRUE(loaded.UsedOn(p.compute()).ok());
      further = p.ReadLater(loaded, p.other());
    }
    c.Overwrite(KiB(64));
    ASSERT_TRUE(p.runtime->Synchronize(p.other()).ok());
    ASSERT_TRUE(p.runtime->Synchronize(p.compute()).ok());
    EXPECT_EQ(*seen, x.bytes);
  });
}

TEST(Order, WhatCameBackLivesAsLongAsALeaseOnIt) {  // 27, field 2
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(KiB(64));
    Saved saved = c.Pack(x);
    c.Drop(x);
    const Loaded view = Loaded(c.program.runtime->Unpack(saved, c.program.compute()).value());
    saved = Saved();  // the node is gone
    c.Overwrite(KiB(64));
    EXPECT_EQ(c.program.Read(view, c.program.compute()), x.bytes);
  });
}

TEST(Order, ValuesComeBackInAnyOrder) {  // 28
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    for (int round = 0; round < 3; ++round) {
      std::vector<std::pair<Saved, Tensor>> saved;
      for (int i = 0; i < 12; ++i) {
        Tensor x = c.Make(KiB(8) + 16 * static_cast<std::uint64_t>(i));
        Saved one = c.Pack(x);
        c.Drop(x);
        saved.emplace_back(std::move(one), std::move(x));
      }
      std::vector<std::size_t> order(saved.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[c.random.UniformInt(i + 1)]);
      order.resize(order.size() - 3);  // the others are never asked for
      for (const std::size_t i : order) c.ExpectBack(saved[i].first, saved[i].second);
    }
    c.ExpectNothingHeld();
  });
}

// 29: the device holds one value beside what stays there.
TEST(Order, OneTensorOfRoomIsEnough) {
  InEverySetting([](const Setting& setting) {
    if (setting.adopted) return;  // Program's memory is sized for the other tests
    Case c(setting, [](Options& options) {
      options.devices[0].capacity = KiB(128);
      options.policy = OffloadPolicy::kFit;
    });
    std::vector<std::pair<Saved, Tensor>> saved;
    for (int i = 0; i < 8; ++i) {
      Tensor x = c.Make(KiB(64));
      Saved one = c.Pack(x);
      c.Drop(x);
      saved.emplace_back(std::move(one), std::move(x));
    }
    for (std::size_t i = saved.size(); i-- > 0;) c.ExpectBack(saved[i].first, saved[i].second);
    saved.clear();
    c.ExpectNothingHeld();
  });
}

TEST(Order, EventsAreUsedAgainAndMemoryComesBack) {  // 30, field 20
  if (Hardened()) GTEST_SKIP() << "what is freed waits in a quarantine, with events of its own";
  InEverySetting([](const Setting& setting) {
    if (setting.seed > 1) return;
    Case c(setting, [](Options& options) { options.devices[0].in_flight_limit = KiB(4); });
    DeviceBackend& device = *c.program.device;
    Tensor x = c.Make(256);
    const auto pack_and_drop = [&](int packs) {  // each is copied
      for (int i = 0; i < packs; ++i) (void)c.Pack(x, PartOf(static_cast<std::uint64_t>(i % 100), 200));
    };
    pack_and_drop(100);
    const EventId before = device.CreateEvent().value();  // ids ascend
    pack_and_drop(1000 / TIERLIB_RANDOM_SCALE);
    const Saved holds = c.Pack(x);
    for (int i = 0; i < 100'000 / TIERLIB_RANDOM_SCALE; ++i) (void)c.program.Pack(x.storage, PartOf(1, 200), x.memory);
    const EventId after = device.CreateEvent().value();
    device.DestroyEvent(before);
    device.DestroyEvent(after);
    EXPECT_LT(after - before, 100u);
    c.Drop(x);
    c.ExpectBack(holds, x);
  });
}

TEST(Order, TwoDevicesAndTwoThreadsDoNotMeet) {  // 32
  InEverySetting([](const Setting& setting) {
    if (setting.adopted || setting.copier == Copier::kReordered) return;  // that one runs on one thread
    Options options = DeterministicOptions(setting.seed);
    options.devices[0].emulated.schedule = EmulatedSchedule::kThreaded;
    options.devices.push_back(options.devices[0]);
    options.devices[1].device = 1;
    const std::unique_ptr<Runtime> runtime = Runtime::Create(options).value();
    const auto run = [&runtime](int device) {
      const Stream stream = runtime->CreateStream(device, "backward").value();
      DeviceBackend& backend = runtime->core()->backend(device);
      Random random(static_cast<std::uint64_t>(device));
      for (int i = 0; i < 100; ++i) {
        const Bytes bytes = RandomBytes(random, KiB(4));
        const Allocation x = runtime->Allocate(KiB(4), Holds::kTransient, stream, "x").value();
        const CopyRun in = {x.data, bytes.data(), bytes.size()};
        EXPECT_TRUE(backend.Copy({&in, 1}, CopyDirection::kHostToDevice, stream).ok());
        const Saved saved = runtime->Pack({x.storage, WholeOf(KiB(4))}, nullptr, stream, "x").value();
        EXPECT_TRUE(runtime->Synchronize(stream).ok());
        EXPECT_TRUE(runtime->Retire(x.storage, stream).ok());
        const Loaded loaded = runtime->Unpack(saved, stream).value();
        Bytes back(bytes.size());
        const CopyRun out = {back.data(), loaded.origin(), back.size()};
        EXPECT_TRUE(backend.Copy({&out, 1}, CopyDirection::kDeviceToHost, stream).ok());
        EXPECT_TRUE(runtime->Synchronize(stream).ok());
        EXPECT_EQ(back, bytes);
      }
    };
    std::thread first(run, 0);
    std::thread second(run, 1);
    first.join();
    second.join();
  });
}

}  // namespace
}  // namespace tierlib::conformance
