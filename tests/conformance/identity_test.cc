// What is one storage is moved once, and what is another value is never taken for it. See README.md for the numbers.
#include <set>

#include "conformance/setting.h"

namespace tierlib::conformance {
namespace {

TEST(Identity, AValueSavedTwiceIsCopiedOnce) {  // 1, 2
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(KiB(4));
    const Saved first = c.Pack(x);
    const Saved second = c.Pack(x);
    EXPECT_EQ(c.program.ledger().moved, KiB(4));
    EXPECT_EQ(c.program.ledger().avoided_identity, KiB(4));
    EXPECT_EQ(c.program.ledger().copies_out, 1u);
    const Bytes bytes = x.bytes;
    c.Drop(x);
    const Loaded one = c.program.runtime->Unpack(first, c.program.compute()).value();
    const Loaded other = c.program.runtime->Unpack(second, c.program.compute()).value();
    EXPECT_EQ(one.origin(), other.origin()) << "they share what came back";
    EXPECT_EQ(c.program.Read(one, c.program.compute()), bytes);
    EXPECT_EQ(c.program.Read(other, c.program.compute()), bytes);
    EXPECT_EQ(c.program.ledger().copies_in, 1u);
  });
}

TEST(Identity, ASquareMatrixAndItsTransposeShareBytesAndNotTheirLayout) {  // 3, field 5
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(32 * 32 * 4);
    const Layout rows = Layout::Contiguous(DType::kF32, {32, 32});
    const Layout columns = Strided(DType::kF32, {32, 32}, {1, 32});
    const Saved plain = c.Pack(x, rows);
    const Saved transposed = c.Pack(x, columns);
    EXPECT_EQ(c.program.ledger().moved, 32u * 32 * 4);
    c.Drop(x);
    c.ExpectBack(plain, x.bytes, rows);
    c.ExpectBack(transposed, x.bytes, columns);
  });
}

TEST(Identity, SlicesMoveTheUnionOfTheirBytes) {  // 4
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(KiB(8));
    const std::vector<Layout> slices = {PartOf(0, 1024), PartOf(512, 2048), PartOf(4096, 5000), PartOf(600, 700)};
    std::vector<Saved> saved;
    for (const Layout& slice : slices) saved.push_back(c.Pack(x, slice));
    EXPECT_EQ(c.program.ledger().moved, 2048u + (5000 - 4096));
    EXPECT_EQ(c.program.ledger().engine_out, c.program.ledger().moved);
    c.Drop(x);
    for (std::size_t i = slices.size(); i-- > 0;) c.ExpectBack(saved[i], x.bytes, slices[i]);
    ExpectBookedOnce(c.program.ledger());
  });
}

TEST(Identity, AViewOfWhatStaysFreesNothingAndIsNotMoved) {  // 5, 15
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor weights = c.Make(32 * 32 * 4, Holds::kPersistent);
    const Layout transposed = Strided(DType::kF32, {32, 32}, {1, 32});
    const Saved whole = c.Pack(weights);
    const Saved other = c.Pack(weights, transposed);
    const Saved slice = c.Pack(weights, PartOf(100, 300));
    EXPECT_EQ(c.program.ledger().engine_out, 0u);
    EXPECT_EQ(c.program.ledger().frees_nothing, 2u * 32 * 32 * 4 + 200);
    c.ExpectBack(other, weights.bytes, transposed);
    c.ExpectBack(slice, weights.bytes, PartOf(100, 300));
    c.ExpectBack(whole, weights);
  });
}

TEST(Identity, ASmallViewThatIsTheLastHolderMovesAloneAndFreesTheWhole) {  // 6, field 7
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(KiB(64));
    const Saved slice = c.Pack(x, PartOf(1000, 1256));
    EXPECT_EQ(c.program.ledger().moved, 256u);
    c.Drop(x);
    ASSERT_TRUE(c.program.runtime->Drain().ok());
    EXPECT_EQ(c.program.runtime->statistics().device.live, 0u);
    EXPECT_EQ(c.program.ledger().freed, 256u) << "the rest went as nobody needed it";
    c.ExpectBack(slice, x.bytes, PartOf(1000, 1256));
  });
}

TEST(Identity, AnExpandedViewMovesItsUniqueBytesAndKeepsItsStrides) {  // 7
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(KiB(1));
    const Layout expanded = Strided(DType::kF32, {50, 64}, {0, 1}, 256);
    const Saved saved = c.Pack(x, expanded);
    EXPECT_EQ(c.program.ledger().moved, 256u);
    c.Drop(x);
    c.ExpectBack(saved, x.bytes, expanded);
  });
}

TEST(Identity, OverlappingWindowsMoveTheirRange) {  // 8
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(KiB(1));
    const Layout windows = Strided(DType::kF32, {30, 8}, {2, 1}, 8);
    const Saved saved = c.Pack(x, windows);
    EXPECT_EQ(c.program.ledger().moved, (29u * 2 + 8) * 4);
    c.Drop(x);
    c.ExpectBack(saved, x.bytes, windows);
  });
}

TEST(Identity, OtherTypesOfOneStorageShareItsBytes) {  // 9
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(KiB(4));
    std::vector<Layout> layouts;
    for (const DType dtype : {DType::kF32, DType::kI32, DType::kBF16, DType::kU8, DType::kF64}) {
      Layout layout = Layout::Contiguous(dtype, {static_cast<std::int64_t>(KiB(2) / ElementBytes(dtype))});
      layout.offset_bytes = static_cast<std::int64_t>(KiB(1));
      layouts.push_back(layout);
    }
    std::vector<Saved> saved;
    for (const Layout& layout : layouts) saved.push_back(c.Pack(x, layout));
    EXPECT_EQ(c.program.ledger().moved, KiB(2));
    EXPECT_EQ(c.program.ledger().copies_out, 1u);
    c.Drop(x);
    for (std::size_t i = 0; i < layouts.size(); ++i) c.ExpectBack(saved[i], x.bytes, layouts[i]);
  });
}

TEST(Identity, OddOffsetsAndStepsAreExact) {  // 10
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(4099);
    const std::vector<Layout> layouts = {Strided(DType::kU8, {100, 3}, {41, 7}, 1), Strided(DType::kU8, {4098}, {1}, 1),
                                         Strided(DType::kI16, {50}, {3}, 3), Strided(DType::kF64, {20}, {5}, 5)};
    std::vector<Saved> saved;
    for (const Layout& layout : layouts) saved.push_back(c.Pack(x, layout));
    for (const Layout& wrong :
         {Strided(DType::kU8, {2}, {1}, -1), Strided(DType::kU8, {2}, {-1}, 8), Strided(DType::kU8, {4099}, {1}, 1)}) {
      EXPECT_EQ(c.TryPack(x, wrong).status().code(), StatusCode::kInvalidArgument) << wrong.ToString();
    }
    c.Drop(x);
    for (std::size_t i = 0; i < layouts.size(); ++i) c.ExpectBack(saved[i], x.bytes, layouts[i]);
  });
}

// y becomes the contiguous copy of the transposed x.
Tensor CopyOfTransposed(Case& c, const Tensor& x, const Layout& transposed) {
  Tensor y = c.Make(ElementsOf(x.bytes.data(), transposed));
  const Layout rows = Layout::Contiguous(DType::kF32, {32, 32});
  EXPECT_TRUE(c.program.runtime->Derive({y.storage, rows}, {x.storage, transposed}, Replay::Copy()).ok());
  return y;
}

TEST(Identity, ACopyIsMadeAgainOnlyFromAnUnchangedSource) {  // 11
  InEverySetting([](const Setting& setting) {
    const Layout transposed = Strided(DType::kF32, {32, 32}, {1, 32});
    for (const bool written : {false, true}) {
      Case c(setting);
      Tensor x = c.Make(32 * 32 * 4);
      Tensor y = CopyOfTransposed(c, x, transposed);
      if (written) c.Write(x);
      const Saved source = c.Pack(x);
      const Saved copy = c.Pack(y);
      EXPECT_EQ(c.program.ledger().avoided_lineage, written ? 0u : 32u * 32 * 4);
      c.Drop(x);
      c.Drop(y);
      c.ExpectBack(copy, y);
      c.ExpectBack(source, x);
    }
  });
}

TEST(Identity, BeyondTheHopLimitIsAPlainCopy) {  // 12
  InEverySetting([](const Setting& setting) {
    for (const int links : {4, 5}) {
      Case c(setting);
      std::vector<Tensor> chain = {c.Make(KiB(2))};
      for (int i = 0; i < links; ++i) {
        chain.push_back(c.Make(chain.front().bytes));
        const Layout layout = WholeOf(KiB(2));
        ASSERT_TRUE(c.program.runtime
                        ->Derive({chain[chain.size() - 1].storage, layout}, {chain[chain.size() - 2].storage, layout},
                                 Replay::Copy())
                        .ok());
      }
      const Saved first = c.Pack(chain.front());
      const Saved last = c.Pack(chain.back());
      EXPECT_EQ(c.program.ledger().moved, links == 4 ? KiB(2) : KiB(4)) << "the limit is 4";
      for (Tensor& tensor : chain) c.Drop(tensor);
      c.ExpectBack(last, chain.back());
      c.ExpectBack(first, chain.front());
    }
  });
}

TEST(Identity, AnAddressThatIsUsedAgainIsAnotherStorage) {  // 13, field 4
  if (Hardened()) GTEST_SKIP() << "what is freed waits in a quarantine";
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    std::set<void*> addresses;
    std::vector<std::pair<Saved, Tensor>> saved;
    for (int i = 0; i < 12; ++i) {
      Tensor x = c.Make(KiB(4));
      addresses.insert(x.data);
      Saved one = c.Pack(x);
      c.Drop(x);
      ASSERT_TRUE(c.program.runtime->Drain().ok());
      saved.emplace_back(std::move(one), std::move(x));
    }
    EXPECT_LT(addresses.size(), saved.size()) << "nothing was used again: this tests nothing";
    EXPECT_EQ(c.program.ledger().moved, 12 * KiB(4));
    for (const auto& [one, x] : saved) c.ExpectBack(one, x);
  });
}

TEST(Identity, ValuesWithoutElementsAndScalarsRoundTrip) {  // 14
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(64);
    const std::vector<Layout> empty = {Layout::Contiguous(DType::kF32, {0}), Layout::Contiguous(DType::kF32, {3, 0, 2}),
                                       Strided(DType::kF32, {0, 4}, {4, 1}, 64)};
    std::vector<Saved> saved;
    for (const Layout& layout : empty) saved.push_back(c.Pack(x, layout));
    EXPECT_EQ(c.program.ledger().engine_out, 0u);
    Layout scalar = Layout::Contiguous(DType::kF32, {});
    scalar.offset_bytes = 20;
    const Saved one = c.Pack(x, scalar);
    EXPECT_EQ(c.program.ledger().moved, 4u);
    c.Drop(x);
    for (std::size_t i = 0; i < empty.size(); ++i) {
      const StatusOr<Loaded> loaded = c.program.runtime->Unpack(saved[i], c.program.compute());
      ASSERT_TRUE(loaded.ok()) << loaded.status();
      EXPECT_EQ(loaded->layout(), empty[i]);
    }
    c.ExpectBack(one, x.bytes, scalar);
  });
}

TEST(Identity, EachValueComesBackOnItsDevice) {  // 16
  InEverySetting([](const Setting& setting) {
    if (setting.adopted) return;  // the program's memory is on one device
    if (setting.copier == Copier::kCuda && !CudaDevicePresent(1)) GTEST_SKIP() << "needs two CUDA devices";
    Case c(setting, [](Options& options) {
      options.devices.push_back(options.devices[0]);
      options.devices[1].device = 1;
    });
    Runtime& runtime = *c.program.runtime;
    const Stream far = runtime.CreateStream(1, "far").value();
    const Allocation there = runtime.Allocate(KiB(4), Holds::kTransient, far, "there").value();
    const Bytes bytes = RandomBytes(c.random, KiB(4));
    DeviceBackend& device = runtime.core()->backend(1);
    const CopyRun in = {there.data, bytes.data(), bytes.size()};
    ASSERT_TRUE(device.Copy({&in, 1}, CopyDirection::kHostToDevice, far).ok());
    const Saved saved = runtime.Pack({there.storage, WholeOf(KiB(4))}, nullptr, far, "there").value();
    ASSERT_TRUE(runtime.Synchronize(far).ok());
    ASSERT_TRUE(runtime.Retire(there.storage, far).ok());
    EXPECT_EQ(runtime.Unpack(saved, c.program.compute()).status().code(), StatusCode::kInvalidArgument);
    const Loaded loaded = runtime.Unpack(saved, far).value();
    Bytes back(bytes.size());
    const CopyRun out = {back.data(), loaded.origin(), back.size()};
    ASSERT_TRUE(device.Copy({&out, 1}, CopyDirection::kDeviceToHost, far).ok());
    ASSERT_TRUE(runtime.Synchronize(far).ok());
    EXPECT_EQ(back, bytes);
  });
}

// 17: each part is a value of its own; a wrapper of which one part is refused drops the others, and nothing is left.
TEST(Identity, PartsOfAWrapperComeBackWhereverEachOfThemIs) {
  InEverySetting([](const Setting& setting) {
    Case c(setting, [](Options& options) {
      options.pinned_limit = KiB(4);
      options.pageable_limit = 0;
    });
    {
      Tensor scale = c.Make(KiB(1));
      Tensor data = c.Make(KiB(16));
      const Saved first = c.Pack(scale);
      EXPECT_EQ(c.TryPack(data, PartOf(0, KiB(17))).status().code(), StatusCode::kInvalidArgument);
      c.Drop(scale);
      c.Drop(data);
    }
    c.ExpectNothingHeld();
    Tensor scale = c.Make(KiB(1));
    Tensor data = c.Make(KiB(16));  // the host does not hold it
    const Saved moved = c.Pack(scale);
    const Saved kept = c.Pack(data);
    EXPECT_EQ(c.program.ledger().moved, 2 * KiB(1)) << "in both wrappers";
    EXPECT_EQ(c.program.ledger().kept, KiB(16)) << "what was refused is not booked";
    c.Drop(scale);
    c.Drop(data);
    c.ExpectBack(moved, scale);
    c.ExpectBack(kept, data);
  });
}

}  // namespace
}  // namespace tierlib::conformance
