// The strided copy against one element at a time, over random layouts and any number of threads.
#include "graph/data_movement.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "allocator/device_factory.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/random_layout.h"
#include "tierlib/options.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kBytes = 4096;

class Mover {
 public:
  explicit Mover(int threads) {
    DeviceOptions options;
    options.capacity = MiB(16);
    options.emulated.kernel_threads = threads;
    device = MakeDevice(options).value();
    stream = device->CreateStream("s").value();
    to = static_cast<std::uint8_t*>(device->Reserve(MiB(8)).value());
    from = to + MiB(4);
  }

  Status Move(const Layout& destination, const Layout& source) {
    TIERLIB_RETURN_IF_ERROR(LaunchStridedCopy(*device, stream, to, destination, from, source));
    return device->SynchronizeStream(stream);
  }

  std::unique_ptr<DeviceBackend> device;
  Stream stream;
  std::uint8_t* to = nullptr;
  std::uint8_t* from = nullptr;
};

void MoveOneByOne(std::uint8_t* to, const Layout& destination, const std::uint8_t* from, const Layout& source) {
  std::vector<std::int64_t> places;
  ForEachElement(source, [&](std::int64_t, std::int64_t offset) { places.push_back(offset); });
  ForEachElement(destination, [&](std::int64_t element, std::int64_t offset) {
    std::memcpy(to + offset, from + places[static_cast<std::size_t>(element)], ElementBytes(source.dtype));
  });
}

// A source of the same sizes and dtype.
Layout SourceFor(Random& random, const Layout& destination) {
  for (;;) {
    Layout source = destination;
    source.strides = RandomStrides(random, source.sizes);
    source.offset_bytes = static_cast<std::int64_t>(random.UniformInt(64));
    if (source.Validate(kBytes).ok()) return source;
  }
}

// Fills the bytes that `source` reaches so that places which the destination shows as one hold equal elements: what a
// value and its copy are.
void FillAlike(std::uint8_t* from, const Layout& source, const Layout& destination) {
  std::vector<std::int64_t> where;
  ForEachElement(destination, [&](std::int64_t, std::int64_t offset) { where.push_back(offset); });
  ForEachElement(source, [&](std::int64_t element, std::int64_t offset) {
    const std::int64_t place = where[static_cast<std::size_t>(element)];
    for (std::size_t i = 0; i < ElementBytes(source.dtype); ++i) {
      from[static_cast<std::size_t>(offset) + i] =
          static_cast<std::uint8_t>((place + static_cast<std::int64_t>(i)) * 37 + 11);
    }
  });
}

TEST(StridedCopy, GivesWhatOneElementAtATimeGives) {
  for (const int threads : {1, 3}) {
    Random random(31);
    Mover mover(threads);
    for (int run = 0; run < 4'000 / TIERLIB_RANDOM_SCALE; ++run) {
      const Layout destination = RandomLayout(random, kBytes);
      const bool repeats = destination.elements() > 0 && [&] {
        std::vector<bool> seen(kBytes);
        bool twice = false;
        ForEachElement(destination, [&](std::int64_t, std::int64_t offset) {
          for (std::size_t i = 0; i < ElementBytes(destination.dtype); ++i) {
            twice = twice || seen[static_cast<std::size_t>(offset) + i];
            seen[static_cast<std::size_t>(offset) + i] = true;
          }
        });
        return twice;
      }();
      // A destination that shows one place twice gets equal elements: from row-major ones, so that the source has room.
      const Layout source = repeats ? PackedLayout(destination) : SourceFor(random, destination);
      for (std::uint64_t i = 0; i < kBytes; ++i) mover.from[i] = static_cast<std::uint8_t>(random.NextU32());
      if (repeats) FillAlike(mover.from, source, destination);
      std::memset(mover.to, 0xAA, kBytes);
      std::vector<std::uint8_t> expected(kBytes, 0xAA);
      MoveOneByOne(expected.data(), destination, mover.from, source);
      ASSERT_TRUE(mover.Move(destination, source).ok());
      ASSERT_EQ(std::memcmp(mover.to, expected.data(), kBytes), 0)
          << "seed 31, run " << run << ", threads " << threads << ": " << source.ToString() << " to "
          << destination.ToString();
    }
  }
}

// What the device's kernel does with a StridedCopy (graph/cuda/strided_copy.cu), one word at a time.
void RunDeviceCopy(const StridedCopy& copy) {
  std::int64_t words = 1;
  for (int k = 0; k < copy.rank; ++k) words *= copy.sizes[k];
  for (std::int64_t flat = 0; flat < words; ++flat) {
    std::int64_t rest = flat, to = 0, from = 0;
    for (int k = copy.rank; k-- > 0; rest /= copy.sizes[k]) {
      to += rest % copy.sizes[k] * copy.destination_strides[k];
      from += rest % copy.sizes[k] * copy.source_strides[k];
    }
    std::memcpy(static_cast<char*>(copy.destination) + to * copy.element_bytes,
                static_cast<const char*>(copy.source) + from * copy.element_bytes,
                static_cast<std::size_t>(copy.element_bytes));
  }
}

bool IsMultiple(const void* address, int of) {
  return reinterpret_cast<std::uintptr_t>(address) % static_cast<std::uintptr_t>(of) == 0;
}

TEST(StridedCopy, PlannedForADeviceGivesWhatOneElementAtATimeGives) {
  Random random(33);
  std::vector<std::uint8_t> from(MiB(4));  // the elements of an expand take more than kBytes
  std::vector<std::uint8_t> to(kBytes), expected(kBytes);
  int unaligned = 0;
  for (int run = 0; run < 4'000 / TIERLIB_RANDOM_SCALE; ++run) {
    const Layout destination = RandomLayout(random, kBytes);
    if (destination.elements() == 0) continue;
    const Layout source = PackedLayout(destination);  // equal elements where the destination shows one place twice
    FillAlike(from.data(), source, destination);
    std::fill(to.begin(), to.end(), std::uint8_t{0xAA});
    std::fill(expected.begin(), expected.end(), std::uint8_t{0xAA});
    MoveOneByOne(expected.data(), destination, from.data(), source);
    const StridedCopy copy = PlanDeviceCopy(to.data(), destination, from.data(), source);
    const auto element = static_cast<int>(ElementBytes(destination.dtype));
    ASSERT_LE(copy.rank, StridedCopy::kMaxRank);
    ASSERT_TRUE(copy.element_bytes == 1 || copy.element_bytes == 2 || copy.element_bytes == 4 ||
                copy.element_bytes == 8);
    ASSERT_TRUE(IsMultiple(copy.destination, copy.element_bytes) && IsMultiple(copy.source, copy.element_bytes));
    ASSERT_TRUE(copy.element_bytes == element || !IsMultiple(copy.destination, element) ||
                !IsMultiple(copy.source, element))
        << "smaller words than needed";
    unaligned += copy.element_bytes < element ? 1 : 0;
    for (int k = 0; k < copy.rank; ++k) ASSERT_TRUE(copy.sizes[k] > 1 && copy.destination_strides[k] > 0);
    RunDeviceCopy(copy);
    ASSERT_EQ(to, expected) << "seed 33, run " << run << ": " << source.ToString() << " to " << destination.ToString();
  }
  EXPECT_GT(unaligned, 0);
}

TEST(StridedCopy, PlannedForADeviceHasRoomForUnalignedElementsOfAnyLayout) {
  const Dims sizes = {2, 2, 2, 2, 2, 2, 2, 2};
  const Layout rows{DType::kF32, sizes, {128, 64, 32, 16, 8, 4, 2, 1}, 0};
  const Layout reversed{DType::kF32, sizes, {1, 2, 4, 8, 16, 32, 64, 128}, 2};
  std::vector<std::uint8_t> from(2048), to(2048), expected(2048);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  const StridedCopy copy = PlanDeviceCopy(to.data(), rows, from.data(), reversed);
  EXPECT_EQ(copy.rank, 9);
  EXPECT_EQ(copy.element_bytes, 2);
  RunDeviceCopy(copy);
  MoveOneByOne(expected.data(), rows, from.data(), reversed);
  EXPECT_EQ(to, expected);
}

// Large enough that several threads share the work.
TEST(StridedCopy, GivesTheSameBytesForAnyNumberOfThreads) {
  struct Case {
    const char* what;
    Dims sizes, to, from;
  };
  const Case cases[] = {
      {"a transpose", {512, 256}, {256, 1}, {1, 512}},
      {"a transpose of a transpose", {64, 32, 64}, {64, 4096, 1}, {1, 4096, 64}},
      {"a step", {4, 32768}, {65536, 2}, {32768, 1}},
      {"an expand made real", {512, 256}, {256, 1}, {0, 1}},
  };
  for (const Case& c : cases) {
    std::vector<std::uint8_t> first;
    for (const int threads : {1, 2, 5}) {
      Mover mover(threads);
      Random random(32);
      for (std::uint64_t i = 0; i < MiB(1); ++i) mover.from[i] = static_cast<std::uint8_t>(random.NextU32());
      std::memset(mover.to, 0, MiB(1));
      const Layout destination{DType::kF32, c.sizes, c.to, 0};
      const Layout source{DType::kF32, c.sizes, c.from, 0};
      ASSERT_TRUE(mover.Move(destination, source).ok());
      std::vector<std::uint8_t> moved(mover.to, mover.to + MiB(1));
      if (first.empty()) {
        first = std::vector<std::uint8_t>(MiB(1));
        MoveOneByOne(first.data(), destination, mover.from, source);
      }
      EXPECT_EQ(moved, first) << c.what << ", " << threads << " threads";
    }
  }
}

// Windows (as_strided) that overlap show one element several times. Made again from their packed copy, that element is
// written several times with the same bits, and by one thread only.
TEST(StridedCopy, OverlappingWindowsAreWrittenByOneThread) {
  Mover mover(4);
  const Layout windows{DType::kF32, {60'000, 3}, {1, 1}, 0};
  const Layout rows = PackedLayout(windows);
  for (std::uint32_t i = 0; i < 60'000; ++i) {
    for (std::uint32_t j = 0; j < 3; ++j) {
      const std::uint32_t value = i + j;
      std::memcpy(mover.from + (i * 3 + j) * 4, &value, 4);
    }
  }
  ASSERT_TRUE(mover.Move(windows, rows).ok());
  for (std::uint32_t i = 0; i < 60'002; ++i) {
    std::uint32_t value = 0;
    std::memcpy(&value, mover.to + i * 4, 4);
    ASSERT_EQ(value, i);
  }
}

TEST(StridedCopy, AnExpandIsWrittenOnce) {
  Mover mover(1);
  const Layout expanded{DType::kF32, {1000, 4}, {0, 1}, 8};
  for (int i = 0; i < 4000; ++i) {
    const float value = static_cast<float>(i % 4);
    std::memcpy(mover.from + i * 4, &value, 4);
  }
  std::memset(mover.to, 0, 64);
  ASSERT_TRUE(mover.Move(expanded, PackedLayout(expanded)).ok());
  float values[6];
  std::memcpy(values, mover.to, sizeof(values));
  EXPECT_EQ(values[0], 0.f);
  EXPECT_EQ(values[5], 3.f);
}

TEST(StridedCopy, RefusesDifferentSizesAndDTypes) {
  Mover mover(1);
  const Layout rows = Layout::Contiguous(DType::kF32, {4, 4});
  EXPECT_EQ(mover.Move(rows, Layout::Contiguous(DType::kF32, {16})).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(mover.Move(rows, Layout::Contiguous(DType::kI32, {4, 4})).code(), StatusCode::kInvalidArgument);
}

TEST(StridedCopy, PackedLayoutKeepsSizesAndDType) {
  const Layout packed = PackedLayout({DType::kBF16, {3, 5}, {1, 7}, 40});
  EXPECT_EQ(packed, Layout::Contiguous(DType::kBF16, {3, 5}));
}

}  // namespace
}  // namespace tierlib
