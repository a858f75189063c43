// Writes after a value was saved: refused, waited for, or an error when the value is asked for; never other bytes.
#include <string>

#include "conformance/setting.h"

namespace tierlib::conformance {
namespace {

// 18, 20: no matter through which view, as a write is announced for the storage.
TEST(Mutation, AWriteIntoACopyInFlightIsRefusedByName) {
  int refused = 0;
  InEverySetting([&refused](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(KiB(256));
    const Saved saved = c.Pack(x, PartOf(1000, KiB(200)));
    const Status status = c.program.runtime->BeginWrite(x.storage, c.program.compute());
    if (setting.copier == Copier::kSynchronous) {
      EXPECT_TRUE(status.ok()) << status;  // the copy has ended
      return;
    }
    if (status.ok()) return;  // it has ended here too: others find it in flight
    ++refused;
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
    EXPECT_NE(status.message().find("version"), std::string_view::npos) << status;
    EXPECT_NE(status.message().find(setting.adopted ? "'adopted'" : "'x'"), std::string_view::npos) << status;
    const Bytes bytes = x.bytes;  // nobody wrote
    c.Drop(x);
    c.ExpectBack(saved, bytes, PartOf(1000, KiB(200)));
  });
  EXPECT_GT(refused, 0) << "no copy was in flight: this tests nothing";
}

TEST(Mutation, AWriteThatWaitsTearsNothing) {  // 18
  InEverySetting([](const Setting& setting) {
    Case c(setting, [](Options& options) { options.write_waits = true; });
    Tensor x = c.Make(KiB(256));
    const Bytes before = x.bytes;
    const Saved old = c.Pack(x);
    c.Write(x);
    const Saved fresh = c.Pack(x);
    EXPECT_EQ(c.program.ledger().moved, 2 * KiB(256));
    EXPECT_EQ(c.program.runtime->Unpack(old, c.program.compute()).status().code(), StatusCode::kFailedPrecondition)
        << "as without offload";
    c.Drop(x);
    c.ExpectBack(fresh, x);
  });
}

TEST(Mutation, AWriteAfterTheCopyIsAnErrorAsWithoutOffload) {  // 19
  InEverySetting([](const Setting& setting) {
    for (const OffloadMode mode : {OffloadMode::kOff, OffloadMode::kNaive, OffloadMode::kMarshal}) {
      Case c(setting, [mode](Options& options) { options.mode = mode; });
      Tensor x = c.Make(KiB(4));
      const Saved saved = c.Pack(x);
      ASSERT_TRUE(c.program.runtime->Drain().ok());
      c.Write(x);
      const StatusOr<Loaded> loaded = c.program.runtime->Unpack(saved, c.program.compute());
      EXPECT_EQ(loaded.status().code(), StatusCode::kFailedPrecondition);
      EXPECT_NE(loaded.status().message().find("written in place"), std::string_view::npos) << loaded.status();
    }
  });
}

// 18 to 20, where nobody announces: the program's count tells, if not at the next Pack then at Unpack.
// Writes that nobody announces run beside copies.
void MayRace(Options& options) { options.devices[0].emulated.find_races = false; }

TEST(Mutation, AWriteThatOnlyTheVersionTellsOfIsAnErrorByName) {
  InEverySetting([](const Setting& setting) {
    if (setting.copier == Copier::kDelayed) return;  // its copies would race with the write for the sanitizer too
    for (const bool packs_again : {false, true}) {
      Case c(setting, MayRace);
      Tensor x = c.Make(KiB(64));
      const Saved saved = c.Pack(x, WholeOf(KiB(64)), 3);
      x.bytes = RandomBytes(c.random, KiB(64));
      c.program.Write(x.data, x.bytes, c.program.compute());
      if (packs_again) {
        const Saved fresh = c.Pack(x, WholeOf(KiB(64)), 4);
        EXPECT_EQ(c.program.ledger().moved, 2 * KiB(64)) << "two contents";  // 22
        c.ExpectBack(fresh, x);
      }
      const Status status = c.program.runtime->Unpack(saved, c.program.compute(), 4).status();
      EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
      EXPECT_NE(status.message().find("'saved' was saved at version 3"), std::string_view::npos) << status;
      EXPECT_NE(status.message().find("(version 4)"), std::string_view::npos) << status;
      c.Drop(x);
    }
  });
}

TEST(Mutation, AWriteThatNothingTellsOfIsFoundByAChecksum) {  // 18, 42
  int lost = 0, whole = 0;
  InEverySetting([&](const Setting& setting) {
    if (setting.copier == Copier::kDelayed) return;
    Case c(setting, [](Options& options) {
      MayRace(options);
      options.checksums = true;
    });
    c.may_lose = true;
    Tensor x = c.Make(KiB(64));
    const Bytes before = x.bytes;
    const Saved saved = c.Pack(x);
    c.program.Write(x.data, Bytes(KiB(64), 0x22), c.program.compute());
    c.Drop(x);
    const Status status = c.program.runtime->Unpack(saved, c.program.compute()).status();
    ++(status.ok() ? whole : lost);
    if (!status.ok()) {
      EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status;
    } else {
      c.ExpectBack(saved, before, WholeOf(KiB(64)));
    }
  });
  EXPECT_GT(whole, 0) << "copies that had ended before the write";
  EXPECT_GT(lost, 0) << "copies that had not";
}

// 21: what comes back is a block of the device, which all who ask share. It is read-only: who writes there all the same
// writes for them all, while a lease lives, and never into the host's copy.
TEST(Mutation, AWriteIntoWhatCameBackDoesNotReachTheHostsCopy) {
  InEverySetting([](const Setting& setting) {
    Case c(setting);
    Tensor x = c.Make(KiB(4));
    const Saved saved = c.Pack(x);
    c.Drop(x);
    {
      const Loaded loaded = c.program.runtime->Unpack(saved, c.program.compute()).value();
      const Loaded other = c.program.runtime->Unpack(saved, c.program.compute()).value();
      EXPECT_EQ(other.origin(), loaded.origin());
      c.program.Write(const_cast<void*>(loaded.origin()), Bytes(KiB(4), 0x11), c.program.compute());
      EXPECT_EQ(c.program.Read(other, c.program.compute()), Bytes(KiB(4), 0x11));
    }
    ASSERT_TRUE(c.program.runtime->Drain().ok());
    EXPECT_EQ(c.program.runtime->Reclaim(0, KiB(4)).value(), KiB(4));
    c.ExpectBack(saved, x);
  });
}

TEST(Mutation, ASecondSaveOfAWrittenStorageIsAnotherCopy) {  // 22
  InEverySetting([](const Setting& setting) {
    Case c(setting, [](Options& options) { options.write_waits = true; });
    Tensor x = c.Make(KiB(4));
    for (int version = 0; version < 3; ++version) {
      const Saved saved = c.Pack(x);
      EXPECT_EQ(c.program.ledger().moved, (version + 1) * KiB(4));
      c.ExpectBack(saved, x);
      c.Write(x);
    }
    c.Drop(x);
    ExpectBookedOnce(c.program.ledger());
  });
}

}  // namespace
}  // namespace tierlib::conformance
