// Random damage to a valid file: Open answers with a status or with tensors that all lie inside the file, and never
// crashes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/random.h"
#include "io/safetensors_bytes.h"
#include "io/safetensors_header.h"
#include "io/temporary_folder.h"
#include "tierlib/io/safetensors.h"

namespace tierlib::io {
namespace {

constexpr std::uint64_t kSeed = 20240611;
constexpr int kRuns = 100'000 / TIERLIB_RANDOM_SCALE;

std::string ValidHeader() {
  return R"({"__metadata__":{"step":"12","note":"a\u00e9\n"},"wte.weight":{"dtype":"F32","shape":[5,4],"data_offsets":[0,80]},)"
         R"("h.0.b":{"dtype":"BF16","shape":[3,3],"data_offsets":[80,98]},"e":{"dtype":"I64","shape":[0],"data_offsets":[98,98]},)"
         R"("s":{"dtype":"U8","shape":[],"data_offsets":[98,99]}})";
}
constexpr std::size_t kDataBytes = 99;

// Flips, overwrites, inserts, deletes, repeats or cuts, one to four times.
std::string Mutate(std::string bytes, Random& random) {
  static constexpr char kTokens[] = "{}[]\",:0189-.eE\\u\0 \xff\x80tfn";
  const int edits = 1 + static_cast<int>(random.UniformInt(4));
  for (int edit = 0; edit < edits && !bytes.empty(); ++edit) {
    const std::size_t at = random.UniformInt(bytes.size());
    switch (random.UniformInt(6)) {
      case 0: bytes[at] ^= static_cast<char>(1 << random.UniformInt(8)); break;
      case 1: bytes[at] = kTokens[random.UniformInt(sizeof kTokens - 1)]; break;
      case 2: bytes.insert(at, 1 + random.UniformInt(20), kTokens[random.UniformInt(sizeof kTokens - 1)]); break;
      case 3: bytes.erase(at, 1 + random.UniformInt(8)); break;
      case 4: bytes.insert(at, bytes.substr(random.UniformInt(bytes.size()), random.UniformInt(60))); break;
      default: bytes.resize(at); break;
    }
  }
  return bytes;
}

// Everything that the reader's users rely on.
void CheckTensors(const std::vector<TensorEntry>& tensors, std::uint64_t data_bytes) {
  std::uint64_t end = 0;
  for (const TensorEntry& tensor : tensors) {
    ASSERT_EQ(tensor.offset, end);
    std::uint64_t bytes = ElementBytes(tensor.dtype);
    for (const std::int64_t size : tensor.sizes) bytes *= static_cast<std::uint64_t>(size);
    ASSERT_EQ(tensor.bytes, bytes);
    end += bytes;
  }
  ASSERT_EQ(end, data_bytes);
}

TEST(SafetensorsMutation, HeadersNeverCrashTheParser) {
  Random random(kSeed, 1);
  int accepted = 0;
  for (int run = 0; run < kRuns; ++run) {
    const std::string header = Mutate(ValidHeader(), random);
    const StatusOr<SafetensorsHeader> parsed = ParseSafetensorsHeader(header, kDataBytes);
    if (!parsed.ok()) continue;
    ++accepted;
    CheckTensors(parsed->tensors, kDataBytes);
    if (HasFatalFailure()) FAIL() << "seed " << kSeed << " run " << run << ": " << header;
  }
  // Damage inside names and metadata goes unseen, so some pass: the mutations are not all coarse.
  EXPECT_GT(accepted, kRuns / 1000);
  EXPECT_LT(accepted, kRuns / 2);
}

TEST(SafetensorsMutation, FilesNeverCrashTheReader) {
  TemporaryFolder folder;
  Random random(kSeed, 2);
  const std::string whole = SafetensorsFile(ValidHeader(), kDataBytes);
  std::uint64_t sum = 0;  // reads every byte that was handed out
  for (int run = 0; run < std::max(1, kRuns / 10); ++run) {
    WriteWhole(folder / "x", Mutate(whole, random));
    StatusOr<SafetensorsReader> reader = SafetensorsReader::Open(folder / "x");
    if (!reader.ok()) continue;
    for (const TensorEntry& tensor : reader->tensors()) {
      const unsigned char* data = static_cast<const unsigned char*>(reader->Data(tensor));
      for (std::uint64_t i = 0; i < tensor.bytes; ++i) sum += data[i];
    }
  }
  EXPECT_GT(sum, 0u);
}

}  // namespace
}  // namespace tierlib::io
