// Which files a recorder makes, replaces and leaves alone, and what it does where the disk refuses.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "base/failpoint.h"
#include "base/random.h"
#include "io/temporary_folder.h"
#include "trace/format.h"
#include "trace/reader.h"
#include "trace/recorder.h"

namespace tierlib::trace {
namespace {

StatusOr<std::unique_ptr<Recorder>> OpenAt(const std::string& path) {
  RecorderOptions options;
  options.path = path;
  return Recorder::Open(options);
}

// Expects that nothing can be recorded at `path`, for a reason that the message gives together with the path.
void ExpectRefused(const std::string& path, StatusCode code, const std::string& why) {
  const Status status = OpenAt(path).status();
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_NE(status.message().find(path), std::string::npos) << status;
  EXPECT_NE(status.message().find(why), std::string::npos) << status;
}

TEST(RecorderFile, IsForTheOwnerOnly) {
  TemporaryFolder folder;
  const mode_t before = umask(0);
  const auto recorder = OpenAt(folder / "a.tlt");
  umask(before);
  ASSERT_TRUE(recorder.ok());
  struct stat info;
  ASSERT_EQ(stat((folder / "a.tlt").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST(RecorderFile, ExpandsProcessAndRank) {
  TemporaryFolder folder;
  RecorderOptions options;
  options.path = folder / "%p-%r-100%%.tlt";
  options.rank = 12;
  const auto recorder = std::move(Recorder::Open(options)).value();
  EXPECT_EQ(recorder->path(), folder / (std::to_string(getpid()) + "-12-100%.tlt"));
  EXPECT_TRUE(std::filesystem::exists(recorder->path()));
}

TEST(RecorderFile, RefusesPathsThatAreNone) {
  TemporaryFolder folder;
  for (const std::string& path : {folder / "a%x", folder / "a%", std::string(), std::string("a\0b", 3)}) {
    EXPECT_EQ(OpenAt(path).status().code(), StatusCode::kInvalidArgument) << path;
  }
  EXPECT_TRUE(folder.names().empty());
}

TEST(RecorderFile, ReplacesAnEarlierTrace) {
  TemporaryFolder folder;
  const std::string path = folder / "a.tlt";
  std::move(OpenAt(path)).value()->Write(Event::kPack, Tag::kNone, 0, 0, 1, 1);
  ASSERT_EQ(ReadTraceFile(path).value().records.size(), 1u);
  ASSERT_TRUE(OpenAt(path).ok());
  EXPECT_EQ(ReadTraceFile(path).value().records.size(), 0u);
}

TEST(RecorderFile, LeavesATraceThatIsBeingWritten) {
  TemporaryFolder folder;
  const std::string path = folder / "a.tlt";
  auto first = OpenAt(path);
  ASSERT_TRUE(first.ok());
  ExpectRefused(path, StatusCode::kAlreadyExists, "a running program is writing it");
  (*first)->Write(Event::kPack, Tag::kNone, 0, 0, 1, 1);
  first->reset();
  EXPECT_EQ(ReadTraceFile(path).value().records.size(), 1u);
}

// The lock belongs to the open file, which a child made by fork shares: its end is the recorder's, not the child's.
TEST(RecorderFile, ReplacesATraceThatEndedWhileAForkedChildLives) {
  TemporaryFolder folder;
  const std::string path = folder / "a.tlt";
  auto first = OpenAt(path);
  ASSERT_TRUE(first.ok());
  int until[2];
  ASSERT_EQ(pipe(until), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(until[1]);
    char byte;
    (void)!read(until[0], &byte, 1);  // until the parent closes the pipe
    first->reset();                   // the child's copy of the recorder ends nothing
    _exit(0);
  }
  ExpectRefused(path, StatusCode::kAlreadyExists, "a running program is writing it");
  first->reset();
  auto second = OpenAt(path);
  EXPECT_TRUE(second.ok()) << second.status();
  close(until[0]);
  close(until[1]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ExpectRefused(path, StatusCode::kAlreadyExists, "a running program is writing it");
}

TEST(RecorderFile, AForkedChildThatEndsUnlocksNothing) {
  TemporaryFolder folder;
  const std::string path = folder / "a.tlt";
  auto recorder = OpenAt(path);
  ASSERT_TRUE(recorder.ok());
  const pid_t child = fork();
  if (child == 0) {
    recorder->reset();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ExpectRefused(path, StatusCode::kAlreadyExists, "a running program is writing it");
}

TEST(RecorderFile, RecordsWhereTheFileSystemHasNoLocks) {
  TemporaryFolder folder;
  const std::string path = folder / "a.tlt";
  const ScopedFailpoint no_locks("trace.lock", {.persistent = true});
  std::move(OpenAt(path)).value()->Write(Event::kPack, Tag::kNone, 0, 0, 1, 1);
  EXPECT_EQ(ReadTraceFile(path).value().records.size(), 1u);
  ASSERT_TRUE(OpenAt(path).ok()) << "an earlier trace is replaced there too";
  EXPECT_EQ(ReadTraceFile(path).value().records.size(), 0u);
  EXPECT_GT(no_locks.calls(), 0);
}

TEST(RecorderFile, LeavesNoFileBehindWhereItsHeaderDoesNotFit) {
  TemporaryFolder folder;
  const ScopedFailpoint full("trace.reserve", {});
  EXPECT_EQ(OpenAt(folder / "a.tlt").status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(folder.names().empty());
}

TEST(RecorderFile, LeavesForeignFilesUntouched) {
  TemporaryFolder folder;
  for (const std::string& content :
       {std::string("the only copy of my thesis"), std::string(), std::string("TLT"), std::string(100'000, 'x')}) {
    const std::string path = folder / "precious";
    WriteWhole(path, content);
    ExpectRefused(path, StatusCode::kAlreadyExists, "not a trace");
    EXPECT_EQ(ReadWhole(path), content);
  }
}

TEST(RecorderFile, NeverFollowsALink) {
  TemporaryFolder folder;
  const std::string target = folder / "target";
  const std::string link = folder / "link";
  std::filesystem::create_symlink(target, link);
  ExpectRefused(link, StatusCode::kAlreadyExists, "symbolic link");
  EXPECT_FALSE(std::filesystem::exists(target));  // a dangling link creates nothing

  std::move(OpenAt(target)).value()->Write(Event::kPack, Tag::kNone, 0, 0, 1, 1);
  const std::string content = ReadWhole(target);
  ExpectRefused(link, StatusCode::kAlreadyExists, "symbolic link");
  EXPECT_EQ(ReadWhole(target), content);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
}

TEST(RecorderFile, LeavesWhatIsNoFile) {
  TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  ExpectRefused(folder / "pipe", StatusCode::kAlreadyExists, "not a trace");  // and does not wait for a writer
  std::filesystem::create_directory(folder / "folder");
  ExpectRefused(folder / "folder", StatusCode::kAlreadyExists, "not a trace");
}

TEST(RecorderFile, NamesAMissingFolder) {
  TemporaryFolder folder;
  ExpectRefused(folder / "no/such/run.tlt", StatusCode::kNotFound, "No such file or directory");
  WriteWhole(folder / "file", "x");
  ExpectRefused(folder / "file/run.tlt", StatusCode::kNotFound, "Not a directory");
}

TEST(RecorderFile, NamesAFolderThatMayNotBeWritten) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  ExpectRefused(folder / "run.tlt", StatusCode::kPermissionDenied, "Permission denied");
}

// Records until something is dropped; 0 where the program lived, nothing more was written, and the trace was closed.
int RecordUntilRefused(const std::string& path) {
  auto recorder = OpenAt(path);
  if (!recorder.ok()) return 10;
  Random random(3);  // so that sealing makes little of it
  for (std::uint64_t i = 0; i < 500'000; ++i) (*recorder)->Write(Event::kPack, Tag::kNone, 0, 0, random.NextU64(), i);
  return (*recorder)->dropped() > 0 ? 0 : 11;
}

void ExpectPrefix(const std::string& path) {
  const StatusOr<Trace> trace = ReadTraceFile(path);
  ASSERT_TRUE(trace.ok()) << trace.status();
  EXPECT_TRUE(trace->closed);
  EXPECT_GT(trace->records.size(), 0u);
  EXPECT_EQ(trace->records.size() + trace->dropped, 500'000u);
  for (std::size_t i = 0; i < trace->records.size(); ++i) ASSERT_EQ(trace->records[i].value, i);
  EXPECT_EQ(trace->problem_count, 1u);  // that records were dropped
}

void SendErrorsTo(const std::string& path) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || dup2(file, STDERR_FILENO) < 0) _exit(20);
}

// Makes this process root of a user namespace of its own, where mounting is permitted.
bool BecomeRootOfANamespace() {
  const std::string map = "0 " + std::to_string(geteuid()) + " 1";
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  const int file = open("/proc/self/uid_map", O_WRONLY);
  const bool written = file >= 0 && write(file, map.data(), map.size()) == static_cast<ssize_t>(map.size());
  if (file >= 0) close(file);
  return written;
}

// Runs in a child, since limits and mounts stay. Its standard error goes to `errors`.
int InChild(const std::string& errors, int (*prepare)(const std::string&), const std::string& path) {
  const pid_t child = fork();
  if (child == 0) {
    SendErrorsTo(errors);
    const int prepared = prepare(path);
    _exit(prepared != 0 ? prepared : RecordUntilRefused(path));
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(RecorderFile, AFileSizeLimitStopsTheTraceAndNotTheProgram) {
  TemporaryFolder folder;
  TemporaryFolder log;
  const auto limit_size = [](const std::string&) {
    const rlimit limit = {3 << 20, 3 << 20};
    return setrlimit(RLIMIT_FSIZE, &limit) == 0 ? 0 : 21;
  };
  // Without care SIGXFSZ would kill the child: -25.
  ASSERT_EQ(InChild(log / "errors", limit_size, folder / "a.tlt"), 0) << ReadWhole(log / "errors");
  const std::string message = ReadWhole(log / "errors");
  EXPECT_NE(message.find("recording stops, the program goes on"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), message.size() - 1) << message;
  EXPECT_LE(std::filesystem::file_size(folder / "a.tlt"), 3u << 20);
  ExpectPrefix(folder / "a.tlt");
}

// Where the file cannot grow before anything was sealed, sealing makes room all the same: the file ends up full of
// blocks, and all that was written is in it.
TEST(RecorderFile, UsesAllOfAFileThatCannotGrow) {
  TemporaryFolder folder;
  constexpr std::uint64_t kRecords = 400'000;
  for (const std::uint64_t chunks : {1, 2, 3, 8}) {
    const ScopedFailpoint none("trace.thread", {.persistent = true});  // nobody seals before it must be
    RecorderOptions options;
    options.path = folder / "a.tlt";
    options.limit_bytes = kHeaderBytes + chunks * kChunkBytes;
    std::uint64_t dropped = 0;
    testing::internal::CaptureStderr();
    {
      const auto recorder = std::move(Recorder::Open(options)).value();
      Random random(4);
      for (std::uint64_t i = 0; i < kRecords; ++i) {
        recorder->Write(Event::kPack, Tag::kNone, 0, 0, random.NextU64(), i);  // 11 bytes in a block
      }
      dropped = recorder->dropped();
    }
    const std::string message = testing::internal::GetCapturedStderr();
    EXPECT_NE(message.find("recording stops, the program goes on"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), message.size() - 1) << message;
    const Trace trace = ReadTraceFile(options.path).value();
    ASSERT_EQ(trace.records.size() + dropped, kRecords);
    for (std::size_t i = 0; i < trace.records.size(); ++i) ASSERT_EQ(trace.records[i].value, i);
    // The last chunk of records is what did not fit into the chunks of blocks, with two or three blocks each.
    EXPECT_GE(trace.records.size(), (2 * (chunks - 1) + 1) * kRecordsPerChunk) << chunks;
    EXPECT_LE(std::filesystem::file_size(options.path), options.limit_bytes);
  }
}

// With texts the file is as full.
TEST(RecorderFile, TextsUseWhatIsLeftForBlocks) {
  TemporaryFolder folder;
  RecorderOptions options;
  options.path = folder / "a.tlt";
  options.limit_bytes = kHeaderBytes + 2 * kChunkBytes;
  {
    const auto recorder = std::move(Recorder::Open(options)).value();
    recorder->Write(Event::kPack, Tag::kNone, 0, 0, 1, 1);
    EXPECT_NE(recorder->Intern("a text"), 0u);
  }
  EXPECT_EQ(ReadTraceFile(options.path).value().LabelText(1), "a text");
}

TEST(RecorderFile, AFullDiskStopsTheTraceAndNotTheProgram) {
  TemporaryFolder folder;
  TemporaryFolder log;
  constexpr int kNotPermitted = 30;
  // The child copies the trace out, for its mount goes with it.
  const auto mount_small_disk = [](const std::string& path) {
    const std::string place = std::filesystem::path(path).parent_path().string();
    if (unshare(CLONE_NEWNS) != 0 && !BecomeRootOfANamespace()) return kNotPermitted;
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return kNotPermitted;
    return mount("tmpfs", place.c_str(), "tmpfs", 0, "size=3m") == 0 ? 0 : kNotPermitted;
  };
  const pid_t child = fork();
  if (child == 0) {
    SendErrorsTo(log / "errors");
    int result = mount_small_disk(folder / "a.tlt");
    if (result == 0) result = RecordUntilRefused(folder / "a.tlt");
    std::error_code ignored;
    std::filesystem::copy_file(folder / "a.tlt", log / "copy.tlt", ignored);
    _exit(result);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kNotPermitted) GTEST_SKIP() << "mounting a small tmpfs is not permitted here";
  const std::string message = ReadWhole(log / "errors");
  ASSERT_EQ(WEXITSTATUS(status), 0) << message;
  EXPECT_NE(message.find("No space left on device"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), message.size() - 1) << message;
  ExpectPrefix(log / "copy.tlt");
}

}  // namespace
}  // namespace tierlib::trace
