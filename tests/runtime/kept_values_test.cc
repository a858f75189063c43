// Values that stay on the device, or come back there, beside other values of the same storage: each gets the bytes that
// it shows, after the work that made them.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/program.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kSize = 4096;

Bytes Pattern(std::uint64_t seed, std::uint64_t count = kSize) {
  Random random(seed);
  return RandomBytes(random, count);
}

// --- chains ----------------------------------------------------------------------------------------------------------

// Each is made from the one before; memory runs short, and the one that is furthest from the first leaves first.
TEST(KeptValues, UnderFitNoRecipeCrossesMoreEdgesThanAllowed) {
  constexpr std::size_t kLength = 6;
  for (const int limit : {0, 1, 2, 4}) {
    Options options = DeterministicOptions(1, OffloadMode::kMarshal, OffloadPolicy::kFit);
    options.hop_limit = limit;
    Program p(options);
    int replays = 0;
    const Replay replay = Replay::Call("copy", [&](const ReplayArguments& arguments) {
      ++replays;
      p.Launch(arguments.stream, {}, [arguments] { std::memcpy(arguments.destination, arguments.source, kSize); });
      return OkStatus();
    });
    std::vector<StorageId> chain;
    for (std::size_t i = 0; i < kLength; ++i) {
      chain.push_back(p.Make(Pattern(1)).storage);
      if (i == 0) continue;
      ASSERT_TRUE(p.runtime->Derive({chain[i], WholeOf(kSize)}, {chain[i - 1], WholeOf(kSize)}, replay).ok());
    }
    std::vector<Saved> saved;
    for (std::size_t i = kLength; i-- > 0;) saved.push_back(p.Pack(chain[i], WholeOf(kSize)));
    for (const StorageId id : chain) p.Retire(id);
    ASSERT_TRUE(p.runtime->Reclaim(0, MiB(4)).ok());
    EXPECT_EQ(p.ledger().avoided_lineage > 0, limit > 0);
    for (const Saved& one : saved) {
      replays = 0;
      EXPECT_EQ(p.Unpack(one), Pattern(1));
      EXPECT_LE(replays, limit);
      ASSERT_TRUE(p.runtime->Reclaim(0, MiB(4)).ok());
    }
    ExpectBookedOnce(p.ledger());
  }
}

}  // namespace
}  // namespace tierlib
