// Graphs that are walked twice, in part, or never; failures in each phase; and what the budgets and counters say.
#include <algorithm>
#include <cstring>

#include "conformance/setting.h"

namespace tierlib::conformance {
namespace {

TEST(Life, AValueMayBeReadBeforeAndTwiceDuringBackward) {  // 33
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(KiB(16));
    const Saved saved = c.Pack(x);
    c.ExpectBack(saved, x);  // before the program drops it
    c.Drop(x);
    c.ExpectBack(saved, x);
    ASSERT_TRUE(c.program.runtime->Reclaim(0, KiB(16)).ok());
    c.ExpectBack(saved, x);
  });
}

// 33: a backward that is differentiated in its turn saves what it unpacked and what it made of that, while its own
// graph is retained. The second one asks for both.
TEST(Life, WhatABackwardSavesComesBackInTheNext) {
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Program& p = c.program;
    Tensor x = c.Make(KiB(16));
    std::vector<Saved> retained = {c.Pack(x)};
    c.Drop(x);
    Tensor gradient = c.Make(KiB(16));
    Saved of_gradient, of_value;
    p.runtime->BeginBackward();
    {
      const Loaded loaded = p.runtime->Unpack(retained[0], p.compute()).value();
      ASSERT_TRUE(p.runtime->BeginWrite(gradient.storage, p.compute()).ok());
      const auto* from = static_cast<const std::uint8_t*>(loaded.origin());
      auto* to = static_cast<std::uint8_t*>(gradient.data);
      const auto twice = [](std::uint8_t byte) { return static_cast<std::uint8_t>(2 * byte); };
      p.Launch(p.compute(), {{from, KiB(16), false}, {to, KiB(16), true}},
               [=] { std::transform(from, from + KiB(16), to, twice); });
      std::transform(x.bytes.begin(), x.bytes.end(), gradient.bytes.begin(), twice);
      of_value = retained[0];
      of_gradient = c.Pack(gradient, Strided(DType::kU8, {128, 128}, {1, 128}));
    }
    c.Drop(gradient);
    c.Overwrite(KiB(16));
    p.runtime->BeginBackward();
    c.ExpectBack(of_gradient, gradient.bytes, Strided(DType::kU8, {128, 128}, {1, 128}));
    c.ExpectBack(of_value, x);
    retained.clear();  // the first graph goes before the second
    c.ExpectBack(of_value, x);
    EXPECT_EQ(p.ledger().moved, 2 * KiB(16)) << "the value that was saved in both passes moved once";
    of_gradient = of_value = Saved();
    c.ExpectNothingHeld();
  });
}

TEST(Life, AGraphThatIsDroppedGivesEverythingBack) {  // 35, 37, field 11
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    for (int step = 0; step < 10; ++step) {
      std::vector<Saved> graph;
      for (int i = 0; i < 8; ++i) {
        Tensor x = c.Make(KiB(16));
        graph.push_back(c.Pack(x));
        c.Drop(x);
      }
      graph.resize(4);  // an unused branch; copies are in flight
      if (step % 2 == 0) (void)c.program.runtime->Unpack(graph[0], c.program.compute());
    }
    c.ExpectNothingHeld();
    EXPECT_EQ(c.program.ledger().moved, 80 * KiB(16));
  });
}

// 36: the host is full when a value is packed, a callback fails in the middle of backward, the device is full.
TEST(Life, AFailureInAnyPhaseLosesNothing) {
  InEverySetting([](const Setting& setting) {
    Case c(setting, [](Options& options) {
      options.pinned_limit = KiB(20);  // one value, with what stands around it in hardened mode
      options.pageable_limit = 0;
    });
    Program& p = c.program;
    Tensor x = c.Make(KiB(16));
    Tensor y = c.Make(x.bytes);
    Tensor z = c.Make(KiB(16));
    int failures = 1;
    const auto replay = [&failures, &p](const ReplayArguments& arguments) {
      if (failures-- > 0) return UnavailableError("not now");
      p.Launch(arguments.stream, {{arguments.source, KiB(16), false}, {arguments.destination, KiB(16), true}},
               [arguments] { std::memcpy(arguments.destination, arguments.source, KiB(16)); });
      return OkStatus();
    };
    const Layout whole = WholeOf(KiB(16));
    ASSERT_TRUE(p.runtime->Derive({y.storage, whole}, {x.storage, whole}, Replay::Call("again", replay)).ok());
    const Saved source = c.Pack(x);
    const Saved made = c.Pack(y);
    EXPECT_EQ(c.program.ledger().avoided_lineage, KiB(16));
    const Saved without_room = c.Pack(z);
    EXPECT_EQ(p.ledger().kept, KiB(16)) << "the host is full";
    EXPECT_EQ(p.runtime->statistics().fallbacks.refused, 1u);
    c.Drop(x);
    c.Drop(y);
    c.Drop(z);
    EXPECT_EQ(p.runtime->Unpack(made, p.compute()).status().code(), StatusCode::kUnavailable);
    c.ExpectBack(made, y);
    c.ExpectBack(source, x);
    c.ExpectBack(without_room, z);
    const StatusOr<Allocation> huge = p.runtime->Allocate(GiB(1), Holds::kTransient, p.compute(), "huge");
    EXPECT_EQ(huge.status().code(), StatusCode::kResourceExhausted);
    c.ExpectBack(made, y);
    c.ExpectBack(without_room, z);
  });
}

// 38: a region computes y and z from x again; the offload side saves y too, before, after or within. Each storage has
// one owner: its bytes come from one place, and nobody waits for what nobody makes.
TEST(Life, ARegionThatIsComputedAgainOwnsItsStorages) {
  InEverySetting([](const Setting& setting) {
    for (const bool offload_first : {false, true}) {
      Case c(setting);
      Program& p = c.program;
      Tensor x = c.Make(KiB(16));
      Tensor y = c.Make(KiB(16));
      Tensor z = c.Make(KiB(16));
      const Layout whole = WholeOf(KiB(16));
      const Saved input = c.Pack(x);
      int calls = 0;
      const auto claim = [&](const Tensor& t) {  // from the input, element by element
        Bytes key = t.bytes;
        for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(key[i] ^ x.bytes[i]);
        const auto compute = [&p, &calls, input, key](const RecomputeArguments& a) -> Status {
          ++calls;
          TIERLIB_ASSIGN_OR_RETURN(const Loaded loaded, p.runtime->Unpack(input, a.stream));
          const auto* from = static_cast<const std::uint8_t*>(loaded.origin());
          auto* to = static_cast<std::uint8_t*>(a.destination);
          p.Launch(a.stream, {{from, key.size(), false}, {to, key.size(), true}}, [from, to, key] {
            for (std::size_t i = 0; i < key.size(); ++i) to[i] = static_cast<std::uint8_t>(from[i] ^ key[i]);
          });
          return OkStatus();
        };
        ASSERT_TRUE(p.runtime->Recomputes({t.storage, whole}, {compute, "region", 0, /*always=*/true}).ok());
      };
      std::vector<Saved> of_y;
      if (offload_first) of_y.push_back(c.Pack(y));
      claim(y);
      claim(z);
      of_y.push_back(c.Pack(y));
      of_y.push_back(c.Pack(y, PartOf(100, 5000)));
      const Saved of_z = c.Pack(z);
      Ledger ledger = p.ledger();
      EXPECT_EQ(ledger.moved, KiB(16) * (offload_first ? 2 : 1)) << "the input, and what was copied before the claim";
      EXPECT_EQ(ledger.avoided_recompute, KiB(16) * (offload_first ? 1 : 2));
      EXPECT_EQ(ledger.kept, 0u);
      for (Tensor* t : {&x, &y, &z}) c.Drop(*t);
      c.Overwrite(KiB(16));
      c.ExpectBack(of_y.back(), y.bytes, PartOf(100, 5000));
      c.ExpectBack(of_z, z);
      c.ExpectBack(of_y.front(), y);
      const Loaded again = p.runtime->Unpack(of_z, p.other()).value();
      EXPECT_EQ(p.Read(again, p.other()), z.bytes);
      EXPECT_EQ(calls, offload_first ? 1 : 2) << "what came back is shared";
      ledger = p.ledger();
      EXPECT_EQ(ledger.recomputes, static_cast<std::uint64_t>(calls));
      ExpectBookedOnce(ledger);
    }
  });
}

TEST(Life, StepsOfChangingShapesAreExact) {  // 39
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    for (std::uint64_t step = 0; step < 12; ++step) {
      c.program.runtime->BeginStep(step);
      for (int micro_batch = 0; micro_batch < 2; ++micro_batch) {
        std::vector<std::pair<Saved, Tensor>> saved;
        for (int i = 0; i < 5; ++i) {
          Tensor x = c.Make(1 + c.random.UniformInt(KiB(24)));
          Saved one = c.Pack(x);
          c.Drop(x);
          saved.emplace_back(std::move(one), std::move(x));
        }
        c.program.runtime->BeginBackward();
        for (std::size_t i = saved.size(); i-- > 0;) {
          c.ExpectBack(saved[i].first, saved[i].second);
          saved.pop_back();
        }
      }
      c.program.runtime->EndStep();
    }
    c.ExpectNothingHeld();
    ExpectBookedOnce(c.program.ledger());
  });
}

TEST(Life, HostTiersKeepToTheirLimits) {  // 41, field 9, 10
  if (Hardened()) GTEST_SKIP() << "the limits are those of the values without guards";
  InEverySetting([](const Setting& setting) {
    Case c(setting, [](Options& options) {
      options.pinned_limit = KiB(128);
      options.pageable_limit = KiB(64);
    });
    std::vector<std::pair<Saved, Tensor>> saved;
    for (int i = 0; i < 14; ++i) {
      Tensor x = c.Make(KiB(16) - 100);
      Saved one = c.Pack(x);
      c.Drop(x);
      saved.emplace_back(std::move(one), std::move(x));
      const Statistics statistics = c.program.runtime->statistics();
      EXPECT_LE(statistics.pinned.reserved, KiB(128));
      EXPECT_LE(statistics.pinned.locked, statistics.pinned.reserved);
      EXPECT_LE(statistics.pageable.reserved, KiB(64));
    }
    EXPECT_EQ(c.program.ledger().kept, 2 * (KiB(16) - 100)) << "eight are pinned, four pageable, two stay";
    for (const auto& [one, x] : saved) c.ExpectBack(one, x);
  });
}

TEST(Life, EveryBitPatternComesBack) {  // 43
  InEverySetting([](const Setting& setting) {
    for (const OffloadMode mode : {OffloadMode::kMarshal, OffloadMode::kNaive}) {
      Case c(setting, [mode](Options& options) { options.mode = mode; });
      // Quiet and signalling NaNs with payloads, -0, denormals, infinities; then all values of 16 bits.
      const std::vector<std::uint32_t> words = {0x7FC00001, 0x7F800001, 0xFFFFFFFF, 0x80000000,
                                                1,          0x807FFFFF, 0x7F800000, 0xFF800000};
      Bytes bytes(words.size() * 4 + 65536 * 2);
      std::memcpy(bytes.data(), words.data(), words.size() * 4);
      for (std::uint32_t i = 0; i < 65536; ++i) {
        const auto half = static_cast<std::uint16_t>(i);
        std::memcpy(bytes.data() + words.size() * 4 + std::size_t{2} * i, &half, 2);
      }
      Tensor x = c.Make(bytes);
      const Layout singles = Layout::Contiguous(DType::kF32, {static_cast<std::int64_t>(words.size())});
      Layout halves = Strided(DType::kBF16, {256, 256}, {1, 256}, static_cast<std::int64_t>(words.size() * 4));
      const Saved first = c.Pack(x, singles);
      const Saved second = c.Pack(x, halves);
      c.Drop(x);
      c.ExpectBack(second, x.bytes, halves);
      c.ExpectBack(first, x.bytes, singles);
    }
  });
}

TEST(Life, CountersAreThoseOfTheCopyEngine) {  // 44, field 16
  if (Hardened()) GTEST_SKIP() << "guards are copied too";
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    std::vector<Saved> saved;
    for (int i = 0; i < 6; ++i) {
      Tensor x = c.Make(KiB(16));
      saved.push_back(c.Pack(x));
      c.Drop(x);
    }
    for (std::size_t i = 0; i < 6; i += 2) (void)c.program.runtime->Unpack(saved[i], c.program.compute()).value();
    ASSERT_TRUE(c.program.runtime->Drain().ok());
    const Ledger ledger = c.program.ledger();
    EXPECT_EQ(ledger.moved, c.program.device->CopiedBytes(CopyDirection::kDeviceToHost));
    EXPECT_EQ(ledger.moved_in, c.program.device->CopiedBytes(CopyDirection::kHostToDevice));
    EXPECT_EQ(ledger.freed, ledger.moved) << "each moved byte freed one";
    ExpectBookedOnce(ledger);
  });
}

TEST(Life, AValueBeyondEveryBufferIsNoSpecialCase) {  // field 18: the whole device, and its last byte
  if (Hardened()) GTEST_SKIP() << "guards leave no room for a value of the whole device";
  InEverySetting([](const Setting& setting) {
    if (setting.adopted) return;
    Case c(setting);
    Tensor x = c.Make(MiB(4));
    const Saved saved = c.Pack(x);
    c.Drop(x);
    c.ExpectBack(saved, x);
  });
}

TEST(Life, DroppingOneSliceLeavesTheOthers) {  // field 6
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(KiB(16));
    Saved gone = c.Pack(x, PartOf(0, KiB(8)));
    const Saved stays = c.Pack(x, PartOf(KiB(4), KiB(16)));
    c.Drop(x);
    gone = Saved();
    c.Overwrite(KiB(16));
    c.ExpectBack(stays, x.bytes, PartOf(KiB(4), KiB(16)));
  });
}

}  // namespace
}  // namespace tierlib::conformance
