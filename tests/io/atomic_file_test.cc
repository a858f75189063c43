#include "tierlib/io/atomic_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <string>

#include "io/in_child.h"
#include "io/temporary_folder.h"

namespace tierlib::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Status WriteText(const std::string& path, const std::string& text) {
  StatusOr<AtomicFile> file = AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  TIERLIB_RETURN_IF_ERROR(file->Append(text.data(), text.size()));
  return file->Commit();
}

TEST(AtomicFile, WritesANewFile) {
  TemporaryFolder folder;
  ASSERT_EQ(WriteText(folder / "a", "hello"), OkStatus());
  EXPECT_EQ(ReadWhole(folder / "a"), "hello");
  EXPECT_THAT(folder.names(), ElementsAre("a"));
}

TEST(AtomicFile, WritesAtAnyPlace) {
  TemporaryFolder folder;
  StatusOr<AtomicFile> file = AtomicFile::Create(folder / "a");
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->Reserve(10), OkStatus());
  ASSERT_EQ(file->WriteAt(6, "789", 3), OkStatus());
  ASSERT_EQ(file->Append("12", 2), OkStatus());
  ASSERT_EQ(file->WriteAt(2, "3456", 4), OkStatus());
  ASSERT_EQ(file->Commit(), OkStatus());
  EXPECT_EQ(ReadWhole(folder / "a"), std::string("123456789\0", 10));
  EXPECT_EQ(file->WriteAt(0, "x", 1).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(file->Reserve(1).code(), StatusCode::kFailedPrecondition);
}

TEST(AtomicFile, ReservesNoMoreThanThereIs) {
  TemporaryFolder folder;
  StatusOr<AtomicFile> file = AtomicFile::Create(folder / "a");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->Reserve(~std::uint64_t{0}).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(file->Reserve(std::uint64_t{1} << 62).code(), StatusCode::kResourceExhausted);
}

TEST(AtomicFile, ReplacesAndKeepsPermissions) {
  TemporaryFolder folder;
  WriteWhole(folder / "a", "old");
  ASSERT_EQ(chmod((folder / "a").c_str(), 0640), 0);
  ASSERT_EQ(WriteText(folder / "a", "new"), OkStatus());
  EXPECT_EQ(ReadWhole(folder / "a"), "new");
  struct stat info;
  ASSERT_EQ(stat((folder / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
}

TEST(AtomicFile, ShowsTheOldFileUntilCommit) {
  TemporaryFolder folder;
  WriteWhole(folder / "a", "old");
  StatusOr<AtomicFile> file = AtomicFile::Create(folder / "a");
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->Append("new", 3), OkStatus());
  EXPECT_EQ(ReadWhole(folder / "a"), "old");
  ASSERT_EQ(file->Commit(), OkStatus());
  EXPECT_EQ(ReadWhole(folder / "a"), "new");
  EXPECT_EQ(file->Commit().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(file->Append("x", 1).code(), StatusCode::kFailedPrecondition);
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  TemporaryFolder folder;
  WriteWhole(folder / "a", "old");
  {
    StatusOr<AtomicFile> file = AtomicFile::Create(folder / "a");
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_EQ(file->Append("new", 3), OkStatus());
    EXPECT_EQ(folder.names().size(), 2u);
    AtomicFile moved = *std::move(file);
  }
  EXPECT_THAT(folder.names(), ElementsAre("a"));
  EXPECT_EQ(ReadWhole(folder / "a"), "old");
}

TEST(AtomicFile, FullDiskLeavesTheOldFileAndNoTemporary) {
  TemporaryFolder folder;
  WriteWhole(folder / "a", "old");
  // A limit on the size of files fails a write in its middle, as a full disk does.
  EXPECT_TRUE(InChild([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    return WriteText(folder / "a", std::string(1500, 'x')).code() == StatusCode::kResourceExhausted;
  }));
  EXPECT_THAT(folder.names(), ElementsAre("a"));
  EXPECT_EQ(ReadWhole(folder / "a"), "old");
}

TEST(AtomicFile, RefusesAFolderThatCannotBeWritten) {
  TemporaryFolder folder;
  WriteWhole(folder / "a", "old");
  ASSERT_EQ(chmod(folder.path().c_str(), 0555), 0);
  EXPECT_TRUE(InChild([&] {
    if (geteuid() == 0 && seteuid(65534) != 0) return false;  // root may write anywhere
    return WriteText(folder / "a", "new").code() == StatusCode::kPermissionDenied;
  }));
  EXPECT_EQ(ReadWhole(folder / "a"), "old");
}

TEST(AtomicFile, RefusesAMissingFolder) {
  TemporaryFolder folder;
  const Status status = WriteText(folder / "no/a", "new");
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no/a"));
}

TEST(AtomicFile, RefusesWhatIsNotARegularFile) {
  TemporaryFolder folder;
  EXPECT_EQ(WriteText(folder.path(), "x").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteText(folder.path() + "/", "x").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteText("", "x").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteText(folder / std::string("a\0b", 3), "x").code(), StatusCode::kInvalidArgument);
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(WriteText(folder / "pipe", "x").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteText("/dev/null", "x").code(), StatusCode::kInvalidArgument);
}

TEST(AtomicFile, FollowsALinkButNotADanglingOne) {
  TemporaryFolder folder;
  WriteWhole(folder / "target", "old");
  ASSERT_EQ(symlink("target", (folder / "link").c_str()), 0);
  ASSERT_EQ(WriteText(folder / "link", "new"), OkStatus());
  EXPECT_EQ(ReadWhole(folder / "target"), "new");
  struct stat info;
  ASSERT_EQ(lstat((folder / "link").c_str(), &info), 0);
  EXPECT_TRUE(S_ISLNK(info.st_mode));
  ASSERT_EQ(symlink("nowhere", (folder / "dangling").c_str()), 0);
  EXPECT_EQ(WriteText(folder / "dangling", "new").code(), StatusCode::kNotFound);
  EXPECT_THAT(folder.names(), ElementsAre("dangling", "link", "target"));
}

TEST(AtomicFile, TakesTheLongestName) {
  TemporaryFolder folder;
  const std::string name(255, 'n');
  ASSERT_EQ(WriteText(folder / name, "x"), OkStatus());
  EXPECT_EQ(ReadWhole(folder / name), "x");
  EXPECT_EQ(WriteText(folder / (name + "n"), "x").code(), StatusCode::kInvalidArgument);
}

TEST(AtomicFile, KeepsAnErrorOnOneLine) {
  const std::string message(WriteText("no\nsuch/folder/a", "x").message());
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

}  // namespace
}  // namespace tierlib::io
