// Options and arguments that cannot hold: one clear line that names the thing.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gtest/gtest.h"
#include "io/temporary_folder.h"
#include "tierlib/tierlib.h"

namespace tierlib {
namespace {

struct Row {
  const char* what;
  void (*change)(Options& options);
  StatusCode code;
  const char* names;  // must stand in the message
};

void ExpectOneLine(const Status& status, const Row& row) {
  EXPECT_EQ(status.code(), row.code) << row.what << ": " << status;
  EXPECT_NE(status.message().find(row.names), std::string_view::npos) << row.what << ": " << status;
  EXPECT_EQ(status.message().find('\n'), std::string_view::npos) << row.what;
}

TEST(RuntimeOptions, ThatCannotHoldAreRefusedByName) {
  constexpr auto kInvalid = StatusCode::kInvalidArgument;
  const Row rows[] = {
      {"no device", [](Options& o) { o.devices.clear(); }, kInvalid, "options.devices is empty"},
      {"one device twice", [](Options& o) { o.devices.push_back(o.devices[0]); }, kInvalid, "names device 0 twice"},
      {"half an allocator", [](Options& o) { o.devices[0].allocator = std::make_shared<DeviceAllocator>(); }, kInvalid,
       "options.devices[0].allocator"},
      {"negative hops", [](Options& o) { o.hop_limit = -1; }, kInvalid, "options.hop_limit is -1"},
      {"no capacity", [](Options& o) { o.devices[0].capacity = 0; }, kInvalid, "device capacity 0 B"},
      {"more than there are addresses", [](Options& o) { o.devices[0].capacity = std::uint64_t{1} << 62; },
       StatusCode::kResourceExhausted, "device capacity"},
      {"strict on threads", [](Options& o) { o.devices[0].emulated.strict = true; }, kInvalid, "emulated.strict"},
      {"negative threads", [](Options& o) { o.devices[0].emulated.kernel_threads = -1; }, kInvalid,
       "emulated.kernel_threads -1"},
      {"a node that is not there", [](Options& o) { o.devices[0].emulated.numa_node = 4000; }, kInvalid,
       "NUMA node 4000"},
      {"a bandwidth of NaN", [](Options& o) { o.devices[0].emulated.copy_in_bytes_per_s = std::nan(""); }, kInvalid,
       "copy bandwidth"},
      {"a trace in no folder", [](Options& o) { o.trace = "/nonexistent/folder/run.tlt"; }, StatusCode::kNotFound,
       "/nonexistent/folder/run.tlt"},
  };
  for (const Row& row : rows) {
    Options options;
    row.change(options);
    ExpectOneLine(Runtime::Create(std::move(options)).status(), row);
  }
}

// What the environment says of the trace, where the options do not.
class TraceEnvironment : public testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"TIERLIB_TRACE_LAST", "TIERLIB_TRACE_SLOW_STEP"}) unsetenv(name);
  }
  Status Open() const {
    Options options;
    options.trace = folder_ / "run.tlt";
    return Runtime::Create(std::move(options)).status();
  }
  TemporaryFolder folder_;
};

TEST_F(TraceEnvironment, IsReadAndRefusedByName) {
  EXPECT_TRUE(Open().ok());
  setenv("TIERLIB_TRACE_LAST", "4 MiB", 1);
  EXPECT_TRUE(Open().ok());
  setenv("TIERLIB_TRACE_SLOW_STEP", "2.5", 1);
  EXPECT_TRUE(Open().ok());
  setenv("TIERLIB_TRACE_SLOW_STEP", "twice", 1);
  EXPECT_NE(Open().message().find("TIERLIB_TRACE_SLOW_STEP: \"twice\" is not a number"), std::string::npos) << Open();
  setenv("TIERLIB_TRACE_SLOW_STEP", "1", 1);
  EXPECT_NE(Open().message().find("a step is slow at more than 1"), std::string::npos) << Open();
  setenv("TIERLIB_TRACE_SLOW_STEP", "", 1);
  setenv("TIERLIB_TRACE_LAST", "much", 1);
  EXPECT_NE(Open().message().find("TIERLIB_TRACE_LAST: \"much\" is not a size"), std::string::npos) << Open();
  setenv("TIERLIB_TRACE_LAST", "64KiB", 1);
  EXPECT_NE(Open().message().find("at least 1 MiB"), std::string::npos) << Open();
}

TEST(RuntimeOptions, TheDefaultsHold) {
  const auto runtime = Runtime::Create(Options());
  ASSERT_TRUE(runtime.ok()) << runtime.status();
  EXPECT_EQ((*runtime)->options().hop_limit, 4);
  EXPECT_EQ((*runtime)->statistics().device.capacity, MiB(512));
}

TEST(RuntimeArguments, OfAnUnknownDeviceAreRefusedByName) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create(Options()).value();
  char memory[8];
  const Status statuses[] = {
      runtime->CreateStream(3, "s").status(),
      runtime->Synchronize({3, 1}),
      runtime->Allocate(8, Holds::kTransient, {3, 1}, "x").status(),
      runtime->Register(memory, 8, 3, Holds::kTransient, "x").status(),
      runtime->Reclaim(3, 8).status(),
  };
  for (const Status& status : statuses) {
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("device 3 is not among"), std::string_view::npos) << status;
  }
}

TEST(RuntimeArguments, ThatCannotBeRightAreRefused) {
  const std::unique_ptr<Runtime> runtime = Runtime::Create(Options()).value();
  const Stream stream = runtime->CreateStream(0, "s").value();
  EXPECT_EQ(runtime->Register(nullptr, 8, 0, Holds::kTransient, "x").status().code(), StatusCode::kInvalidArgument);
  const StorageId x = runtime->Allocate(64, Holds::kTransient, stream, "x").value().storage;
  const StorageId y = runtime->Allocate(64, Holds::kTransient, stream, "y").value().storage;
  const Layout sixteen = Layout::Contiguous(DType::kF32, {16});
  const Layout eight = Layout::Contiguous(DType::kF32, {8});
  const Layout beyond = Layout::Contiguous(DType::kF32, {17});
  const auto derive = [&](const View& derived, const View& source, Replay replay) {
    return runtime->Derive(derived, source, std::move(replay)).code();
  };
  EXPECT_EQ(derive({x, sixteen}, {x, sixteen}, Replay::Copy()), StatusCode::kInvalidArgument);
  EXPECT_EQ(derive({x, sixteen}, {y, eight}, Replay::Copy()), StatusCode::kInvalidArgument);
  EXPECT_EQ(derive({x, beyond}, {y, beyond}, Replay::Copy()), StatusCode::kInvalidArgument);
  EXPECT_EQ(derive({x, sixteen}, {y, eight}, Replay::Call("none", nullptr)), StatusCode::kInvalidArgument);
  EXPECT_EQ(derive({x, sixteen}, {y, sixteen}, Replay::Copy()), StatusCode::kOk);
  Layout negative = sixteen;
  negative.strides = {-1};
  Layout large = sixteen;
  large.sizes = {std::numeric_limits<std::int64_t>::max()};
  for (const Layout& layout : {beyond, negative, large}) {
    EXPECT_EQ(runtime->Pack({x, layout}, nullptr, stream, "bad").status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(runtime->statistics().total.packs, 0u) << "what is refused is not booked";
  ASSERT_TRUE(runtime->Retire(y, stream).ok());
  for (const Status& status :
       {runtime->Retire(y, stream), runtime->BeginWrite(y, stream), runtime->Derive({y, eight}, {x, eight}, {}),
        runtime->Pack({y, eight}, nullptr, stream, "gone").status()}) {
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
  }
}

}  // namespace
}  // namespace tierlib
