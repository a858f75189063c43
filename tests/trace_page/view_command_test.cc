// `tierlib-trace view` as a user meets it, and the data that it puts into a page.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "io/run_program.h"
#include "io/temporary_folder.h"
#include "page_data.h"
#include "trace/recorder.h"

namespace tierlib::trace_viewer {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using trace::Event;
using trace::Tag;

Ran View(std::vector<std::string> arguments, const std::string& input = "/dev/null", const std::string& output = "") {
  arguments.insert(arguments.begin(), "view");
  return RunProgramAt(TIERLIB_TRACE_PROGRAM, std::move(arguments), input, output);
}

void WriteTrace(const std::string& path, const std::string& label) {
  const auto recorder = std::move(trace::Recorder::Open({.path = path, .device = "emulated:0"})).value();
  const std::uint32_t text = recorder->Intern(label);
  recorder->WriteAt(1000, Event::kStepBegin, Tag::kNone, 0, 0, 1, 0);
  recorder->WriteAt(2000, Event::kStorageRegister, Tag::kActivation, 0, text, 0x700000003, 4096);
  recorder->WriteAt(3000, Event::kStepEnd, Tag::kNone, 0, 0, 1, 0);
}

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::size_t Count(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// The JSON of an element of the page.
nlohmann::json Meta(const std::string& page, int number = 0) {
  const std::string begin = "<script type=\"application/json\" id=\"trace-" + std::to_string(number) + "-meta\">";
  const std::size_t at = page.find(begin);
  if (at == std::string::npos) return nullptr;
  const std::size_t from = at + begin.size();
  return nlohmann::json::parse(page.substr(from, page.find("</script>", from) - from), nullptr, false);
}

TEST(ViewCommand, WritesAPageBesideTheTrace) {
  TemporaryFolder folder;
  WriteTrace(folder / "run.tlt", "weights");
  const Ran ran = View({folder / "run.tlt", "--no-open"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.out, StartsWith((folder / "run.tlt.html") + ": "));
  const std::string page = Contents(folder / "run.tlt.html");
  EXPECT_THAT(page, StartsWith("<!doctype html>"));
  EXPECT_THAT(page, Not(HasSubstr("<!--tierlib-trace-data-->")));
  const nlohmann::json meta = Meta(page);
  EXPECT_EQ(meta["records"], 3);
  EXPECT_EQ(meta["storages"], 2);
  EXPECT_EQ(meta["gaps"], nlohmann::json::array());
  struct stat facts;
  ASSERT_EQ(stat((folder / "run.tlt.html").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
  // Again: a page of its own may be replaced.
  EXPECT_EQ(View({folder / "run.tlt", "--no-open"}).exit_code, 0);
}

TEST(ViewCommand, NumbersAreThoseOfTheSummary) {
  TemporaryFolder folder;
  WriteTrace(folder / "run.tlt", "weights");
  ASSERT_EQ(View({folder / "run.tlt", "--no-open", "-o", folder / "page.html"}).exit_code, 0);
  const Ran summary = RunProgramAt(TIERLIB_TRACE_PROGRAM, {"summary", folder / "run.tlt", "--json"});
  EXPECT_EQ(Meta(Contents(folder / "page.html"))["summary"], nlohmann::json::parse(summary.out));
}

TEST(ViewCommand, LeavesFilesOfOthersAlone) {
  TemporaryFolder folder;
  WriteTrace(folder / "run.tlt", "weights");
  Overwrite(folder / "run.tlt.html", "<!doctype html><!--another--><p>somebody's");
  const Ran refused = View({folder / "run.tlt", "--no-open"});  // it begins as ours do
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.errors, HasSubstr("run.tlt.html is there and is no page of a trace: name another file with -o"));
  EXPECT_TRUE(Contents(folder / "run.tlt.html") == "<!doctype html><!--another--><p>somebody's");
  const std::string trace = Contents(folder / "run.tlt");
  const Ran itself = View({folder / "run.tlt", "--no-open", "-o", folder / "run.tlt"});
  EXPECT_EQ(itself.exit_code, 2);
  EXPECT_THAT(itself.errors, HasSubstr("is the trace itself"));
  WriteTrace(folder / "other.tlt", "weights");
  EXPECT_EQ(
      View({folder / "other.tlt", "--no-open", "--compare", folder / "run.tlt", "-o", folder / "run.tlt"}).exit_code,
      2);
  EXPECT_EQ(Contents(folder / "run.tlt"), trace);
}

TEST(ViewCommand, StandardInputNeedsAName) {
  TemporaryFolder folder;
  WriteTrace(folder / "run.tlt", "weights");
  const Ran nameless = View({"-", "--no-open"}, folder / "run.tlt");
  EXPECT_EQ(nameless.exit_code, 2);
  EXPECT_THAT(nameless.errors, HasSubstr("say with -o where the page goes"));
  const Ran twice = View({"-", "--compare", "-", "-o", folder / "page.html"}, folder / "run.tlt");
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_THAT(twice.errors, HasSubstr("both traces cannot come from standard input"));
  const Ran piped = View({"-", "-o", "-"}, folder / "run.tlt");
  EXPECT_EQ(piped.exit_code, 0) << piped.errors;
  EXPECT_THAT(piped.out, StartsWith("<!doctype html>"));
  EXPECT_EQ(Meta(piped.out)["name"], "standard input");
}

TEST(ViewCommand, ComparesTwoTraces) {
  TemporaryFolder folder;
  WriteTrace(folder / "a.tlt", "weights");
  WriteTrace(folder / "b.tlt", "weights");
  ASSERT_EQ(View({folder / "a.tlt", "--compare", folder / "b.tlt", "--no-open"}).exit_code, 0);
  const std::string page = Contents(folder / "a.tlt.html");
  EXPECT_EQ(Meta(page, 0)["name"], folder / "a.tlt");
  EXPECT_EQ(Meta(page, 1)["name"], folder / "b.tlt");
  EXPECT_EQ(View({folder / "a.tlt", "--compare", folder / "none.tlt", "--no-open"}).exit_code, 3);
}

TEST(ViewCommand, SaysWhatIsMissingAndWhatCannotBeRead) {
  TemporaryFolder folder;
  const Ran missing = View({folder / "none.tlt", "--no-open"});
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_THAT(missing.errors, HasSubstr("none.tlt"));
  Overwrite(folder / "text.tlt", "no trace");
  EXPECT_EQ(View({folder / "text.tlt", "--no-open"}).exit_code, 3);
  struct stat facts;
  EXPECT_NE(stat((folder / "text.tlt.html").c_str(), &facts), 0) << "a page of nothing was written";

  WriteTrace(folder / "run.tlt", "weights");
  const std::string whole = Contents(folder / "run.tlt");
  Overwrite(folder / "cut.tlt", whole.substr(0, whole.size() / 2));
  const Ran cut = View({folder / "cut.tlt", "--no-open"});
  EXPECT_EQ(cut.exit_code, 4);
  EXPECT_THAT(cut.errors, HasSubstr("cut.tlt"));
  EXPECT_GT(Meta(Contents(folder / "cut.tlt.html"))["summary"]["problems"]["count"], 0);

  const Ran unwritable = View({folder / "run.tlt", "--no-open", "-o", folder / "none/page.html"});
  EXPECT_EQ(unwritable.exit_code, 5);
  EXPECT_THAT(unwritable.errors, HasSubstr("cannot write"));
  const Ran full = View({folder / "run.tlt", "--no-open", "-o", "/dev/full"});
  EXPECT_EQ(full.exit_code, 5);
  EXPECT_THAT(full.errors, HasSubstr("cannot write /dev/full: No space left on device"));
  EXPECT_EQ(View({"--no-open"}).exit_code, 2);
}

// A desktop whose xdg-open writes down what it was given.
class Desktop {
 public:
  explicit Desktop(const TemporaryFolder& folder) : opened_(folder / "opened"), path_(std::getenv("PATH")) {
    Overwrite(folder / "xdg-open",
              "#!/bin/sh\necho \"$1\" > '" + opened_ + ".new'\nmv '" + opened_ + ".new' '" + opened_ + "'\n");
    chmod((folder / "xdg-open").c_str(), 0700);
    setenv("PATH", ((folder / "") + ":" + path_).c_str(), 1);
    setenv("DISPLAY", ":7", 1);
    unsetenv("WAYLAND_DISPLAY");
  }
  ~Desktop() {
    setenv("PATH", path_.c_str(), 1);
    unsetenv("DISPLAY");
  }

  bool Opened() const { return access(opened_.c_str(), F_OK) == 0; }
  // What was opened, once something was.
  std::string WaitForIt() const {
    while (!Opened()) usleep(1000);
    return Contents(opened_);
  }

 private:
  std::string opened_;
  std::string path_;
};

TEST(ViewCommand, OpensThePageWhereThereIsADisplay) {
  TemporaryFolder folder;
  WriteTrace(folder / "run.tlt", "weights");
  const Desktop desktop(folder);
  const Ran ran = View({folder / "run.tlt"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.out, HasSubstr(", opened"));
  EXPECT_EQ(desktop.WaitForIt(), (folder / "run.tlt.html") + "\n");
}

TEST(ViewCommand, OpensNothingWithoutADisplayOrWhereToldSo) {
  TemporaryFolder folder;
  WriteTrace(folder / "run.tlt", "weights");
  const Desktop desktop(folder);
  EXPECT_THAT(View({folder / "run.tlt", "--no-open"}).out, HasSubstr("open it in a browser"));
  setenv("DISPLAY", "", 1);
  EXPECT_THAT(View({folder / "run.tlt"}).out, HasSubstr("open it in a browser"));
  EXPECT_FALSE(desktop.Opened());
}

TEST(ViewCommand, TextsOfTheTraceAreNoMarkup) {
  TemporaryFolder folder;
  WriteTrace(folder / "plain.tlt", "weights");
  WriteTrace(folder / "x.tlt", "</script><script>alert(1)</script><!--");
  ASSERT_EQ(View({folder / "plain.tlt", "--no-open", "-o", folder / "plain.html"}).exit_code, 0);
  ASSERT_EQ(View({folder / "x.tlt", "--no-open", "-o", folder / "x.html"}).exit_code, 0);
  const std::string plain = Contents(folder / "plain.html");
  const std::string page = Contents(folder / "x.html");
  for (const char* mark : {"<script", "</script", "<img", "<!--", "-->"}) {
    EXPECT_EQ(Count(page, mark), Count(plain, mark)) << mark;
  }
}

TEST(PageData, JsonStandsWithinAScriptElement) {
  const std::string text = ForScript(R"({"a":"</script><!-- & -->"})");
  EXPECT_EQ(text, R"({"a":"\u003c/script\u003e\u003c!-- \u0026 --\u003e"})");
  EXPECT_EQ(nlohmann::json::parse(text)["a"], "</script><!-- & -->");
}

TEST(PageData, Base64OfEveryRemainder) {
  // RFC 4648, section 10.
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foo"), "Zm9v");
  EXPECT_EQ(Base64("foob"), "Zm9vYg==");
  EXPECT_EQ(Base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(Base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(Base64(std::string("\xff\xfe\x00", 3)), "//4A");
}

TEST(PageData, GapsSayWhatIsMissing) {
  trace::Trace trace;
  trace.records = {{.time_ns = 5, .event = Event::kStepBegin}, {.time_ns = 105, .event = Event::kStepEnd}};
  trace.closed = false;
  const nlohmann::json truncated = Meta(std::move(PageData(0, "x", "{}", trace)).value());
  ASSERT_EQ(truncated["gaps"].size(), 1u);
  EXPECT_EQ(truncated["gaps"][0]["begin"], 100);
  EXPECT_EQ(truncated["gaps"][0]["end"], nullptr);
  EXPECT_EQ(truncated["gaps"][0]["reason"], "truncated");
  trace.dropped = 7;
  const nlohmann::json dropped = Meta(std::move(PageData(0, "x", "{}", trace)).value());
  EXPECT_EQ(dropped["gaps"][0]["reason"], "dropped");
  EXPECT_THAT(dropped["gaps"][0]["what"], HasSubstr("7 records"));
}

}  // namespace
}  // namespace tierlib::trace_viewer
