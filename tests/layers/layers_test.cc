// Reads every include line of the library and fails on one that goes against the flow of docs/design.md.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "layers/include_rules.h"

namespace tierlib {
namespace {

std::string Why(const std::string& file, const std::string& line) {
  const std::vector<Include> includes = FindIncludes(file, line);
  if (includes.size() != 1) return "no include found";
  return WhyForbidden(includes.front());
}

bool IsSource(const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".h" || extension == ".cc" || extension == ".cu" || extension == ".cuh" || extension == ".def";
}

TEST(IncludeRules, LetALayerSeeThoseToItsRight) {
  EXPECT_EQ(Why("src/dkm/a.cc", R"(#include "autograd/tape.h")"), "");
  EXPECT_EQ(Why("src/storage/a.cc", R"(  #  include "base/check.h"  // CHECK)"), "");
  EXPECT_EQ(Why("src/graph/a.cc", R"(#include "absl/types/span.h")"), "");
  EXPECT_EQ(Why("src/io/a.cc", R"(#include "tierlib/io/safetensors.h")"), "");
  EXPECT_EQ(Why("src/dkm/a.cc", R"(#include "tierlib/comm/communicator.h")"), "");
  EXPECT_EQ(Why("src/comm/a.cc", R"(#include "base/mutex.h")"), "");
  EXPECT_EQ(Why("src/dkm/a.cc", R"(#include "tierlib/io/safetensors.h")"), "");
  EXPECT_EQ(Why("src/base/a.cc", "#include <vector>"), "");
}

TEST(IncludeRules, RefuseALayerThoseToItsLeft) {
  EXPECT_EQ(Why("src/base/a.cc", R"(#include "trace/event.h")"), "base may not see trace");
  EXPECT_EQ(Why("src/storage/a.cc", R"(#include "graph/lineage.h")"), "storage may not see graph");
  EXPECT_EQ(Why("src/graph/a.cc", R"(#include "tierlib/runtime.h")"), "graph may not see runtime");
  EXPECT_EQ(Why("src/autograd/a.cc", R"(#include "tierlib/dkm/clustering.h")"), "autograd may not see dkm");
  EXPECT_EQ(Why("src/io/a.cc", R"(#include "trace/event.h")"), "io may not see trace");
  EXPECT_EQ(Why("src/comm/a.cc", R"(#include "storage/buffer.h")"), "comm may not see storage");
  EXPECT_EQ(Why("src/autograd/a.cc", R"(#include "tierlib/comm/communicator.h")"), "autograd may not see comm");
  EXPECT_EQ(Why("src/io/a.cc", R"(#include "tierlib/dkm/palette.h")"), "io may not see dkm");
  EXPECT_EQ(Why("src/storage/a.cc", R"(#include "buffer.h")"), "quoted includes name their layer: \"layer/file.h\"");
  EXPECT_EQ(Why("src/misc/a.cc", "#include <vector>"), "src/misc is not a layer of docs/design.md");
}

TEST(IncludeRules, KeepCudaBelowItsFolders) {
  EXPECT_NE(Why("src/allocator/a.cc", "#include <cuda_runtime_api.h>"), "");
  EXPECT_NE(Why("include/tierlib/a.h", "#include <cuda_runtime_api.h>"), "");
  EXPECT_NE(Why("src/autograd/a.cc", "#include <cub/cub.cuh>"), "");
  EXPECT_NE(Why("src/graph/cuda/a.cu", R"(#include "absl/types/span.h")"), "");
  EXPECT_EQ(Why("src/allocator/cuda/a.cc", "#include <cuda_runtime_api.h>"), "");
}

TEST(IncludeRules, KeepPublicHeadersAndExamplesFreeOfTheInside) {
  EXPECT_NE(Why("include/tierlib/a.h", R"(#include "absl/types/span.h")"), "");
  EXPECT_NE(Why("include/tierlib/a.h", R"(#include "base/check.h")"), "");
  EXPECT_EQ(Why("include/tierlib/a.h", R"(#include "tierlib/status.h")"), "");
  EXPECT_NE(Why("examples/train_lm/a.cc", R"(#include "runtime/core.h")"), "");
  EXPECT_EQ(Why("examples/train_lm/a.cc", R"(#include "train_lm/model.h")"), "");
  EXPECT_NE(Why("tools/trace_viewer/a.cc", R"(#include "runtime/core.h")"), "");
  EXPECT_EQ(Why("tools/trace_viewer/a.cc", R"(#include "trace/reader.h")"), "");
  EXPECT_NE(Why("tools/trace_viewer/a.cc", R"(#include "allocator/block_pool.h")"), "");
  EXPECT_EQ(Why("tools/replay/a.cc", R"(#include "allocator/block_pool.h")"), "");
  EXPECT_EQ(Why("tools/replay/a.cc", R"(#include "base/crc32c.h")"), "");
  EXPECT_EQ(Why("tools/replay/a.cc", R"(#include "trace_viewer/numbers.h")"), "");
  EXPECT_NE(Why("tools/replay/a.cc", R"(#include "storage/buffer.h")"), "");
}

TEST(Layers, EveryIncludeFollowsTheFlow) {
  const std::filesystem::path root = TIERLIB_SOURCE_DIR;
  int read = 0;
  for (const char* folder : {"include", "src", "examples", "adapters", "tools"}) {
    if (!std::filesystem::exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      if (!IsSource(entry.path())) continue;
      const std::string file = std::filesystem::relative(entry.path(), root).generic_string();
      if (entry.path().extension() == ".cu") {
        EXPECT_NE(file.find("/cuda/"), std::string::npos) << file << ": .cu files stand below a cuda/ folder only";
      }
      std::ifstream stream(entry.path());
      const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
      ++read;
      for (const Include& include : FindIncludes(file, text)) {
        const std::string why = WhyForbidden(include);
        EXPECT_EQ(why, "") << file << ":" << include.line << ": includes " << include.target;
      }
    }
  }
  EXPECT_GT(read, 50) << "the source tree was not found at " << root;
}

}  // namespace
}  // namespace tierlib
