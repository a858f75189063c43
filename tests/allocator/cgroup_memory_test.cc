// What a cgroup leaves, read from folders that look like the kernel's.
#include "allocator/cgroup_memory.h"

#include <filesystem>
#include <string>

#include "gtest/gtest.h"
#include "io/temporary_folder.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

class CgroupMemory : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ / path).parent_path());
    WriteWhole(root_ / path, text + "\n");
  }
  void Write(const std::string& path, std::uint64_t number) { Write(path, std::to_string(number)); }
  std::optional<std::uint64_t> Left() const { return CgroupMemoryLeft(root_.path()); }

  const TemporaryFolder root_;
};

TEST_F(CgroupMemory, IsNotLimitedWhereThereIsNone) {
  EXPECT_EQ(Left(), std::nullopt) << "no such files";
  Write("proc/self/cgroup", "4:memory:/process\n0::/");
  EXPECT_EQ(Left(), std::nullopt) << "a group of version 1 alone";
  Write("sys/fs/cgroup/memory.max", "max");
  Write("sys/fs/cgroup/memory.high", "max");
  Write("sys/fs/cgroup/memory.current", GiB(3));
  EXPECT_EQ(Left(), std::nullopt) << "a group without limit";
}

TEST_F(CgroupMemory, IsTheLimitLessWhatIsUsedBesideFiles) {
  Write("proc/self/cgroup", "0::/job");
  Write("sys/fs/cgroup/job/memory.max", GiB(8));
  EXPECT_EQ(Left(), GiB(8));
  Write("sys/fs/cgroup/job/memory.high", "max");
  Write("sys/fs/cgroup/job/memory.current", GiB(7));
  EXPECT_EQ(Left(), GiB(1));
  Write("sys/fs/cgroup/job/memory.stat",
        "anon 10\nfile 99\ninactive_file " + std::to_string(GiB(2)) + "\nactive_file " + std::to_string(GiB(3)));
  EXPECT_EQ(Left(), GiB(6));
  Write("sys/fs/cgroup/job/memory.high", GiB(5));
  EXPECT_EQ(Left(), GiB(3)) << "from there on the group is slowed down";
  Write("sys/fs/cgroup/job/memory.current", GiB(12));
  EXPECT_EQ(Left(), 0u) << "beyond it already";
}

TEST_F(CgroupMemory, IsTheLeastOfTheGroupsAbove) {
  Write("proc/self/cgroup", "0::/a/b/c");
  Write("sys/fs/cgroup/a/b/c/memory.max", GiB(8));
  Write("sys/fs/cgroup/a/b/memory.max", "max");
  EXPECT_EQ(Left(), GiB(8));
  Write("sys/fs/cgroup/a/memory.max", GiB(4));
  Write("sys/fs/cgroup/a/memory.current", GiB(1));
  EXPECT_EQ(Left(), GiB(3));
  Write("sys/fs/cgroup/memory.max", GiB(2));
  EXPECT_EQ(Left(), GiB(2)) << "a container sees its own group as the top one";
}

TEST_F(CgroupMemory, OfAProcessFromOutsideIsThatOfTheTop) {
  Write("proc/self/cgroup", "0::/../other");
  Write("sys/fs/cgroup/memory.max", GiB(2));
  EXPECT_EQ(Left(), GiB(2));
}

TEST_F(CgroupMemory, TakesTextThatIsNoNumberForNoLimit) {
  Write("proc/self/cgroup", "0::/job");
  for (const char* text : {"", "-", "many"}) {
    Write("sys/fs/cgroup/job/memory.max", text);
    EXPECT_EQ(Left(), std::nullopt) << text;
  }
}

TEST(CgroupMemoryHere, CanBeAsked) { (void)CgroupMemoryLeft(); }

}  // namespace
}  // namespace tierlib
