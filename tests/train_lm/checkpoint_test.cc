#include "train_lm/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>

#include "io/temporary_folder.h"
#include "train_lm/options.h"
#include "train_lm/text.h"

namespace train_lm {
namespace {

Checkpoint::Entry OneFloat(const std::string& name, float value) {
  Checkpoint::Entry entry{name, tierlib::DType::kF32, {1}, std::vector<char>(sizeof value)};
  std::memcpy(entry.bytes.data(), &value, sizeof value);
  return entry;
}

TEST(Checkpoint, ThatNothingCouldGoOnFromLeavesTheOldOne) {
  tierlib::TemporaryFolder folder;
  const std::string path = folder / "checkpoint";
  tierlib::WriteWhole(path, "old");
  for (const float value : {std::nanf(""), INFINITY}) {
    Checkpoint diverged;
    diverged.weights.push_back(OneFloat("ln_f.weight", value));
    Checkpoint state;
    state.optimizer.push_back(OneFloat("optimizer.ln_f.weight.exp_avg", value));
    for (const Checkpoint* checkpoint : {&diverged, &state}) {
      const tierlib::Status status = WriteCheckpoint(path, *checkpoint, Options{}, Text{});
      EXPECT_EQ(status.code(), tierlib::StatusCode::kFailedPrecondition);
      EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("ln_f.weight"));
    }
  }
  EXPECT_EQ(tierlib::ReadWhole(path), "old");
  Checkpoint good;
  good.weights.push_back(OneFloat("ln_f.weight", 1));
  EXPECT_EQ(WriteCheckpoint(path, good, Options{}, Text{}), tierlib::OkStatus());
}

}  // namespace
}  // namespace train_lm
