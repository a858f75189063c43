// Steps and ops reach a profiler's CUPTI as external correlation ids.
#include "trace/range_marks.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "io/temporary_folder.h"
#include "trace/recorder.h"

namespace tierlib::trace {
namespace {

void RecordAStep(const std::string& path) {
  RecorderOptions options;
  options.path = path;
  options.nvtx = true;
  const auto recorder = std::move(Recorder::Open(options)).value();
  const std::uint32_t label = recorder->Intern("block.0");
  recorder->Write(Event::kStepBegin, Tag::kNone, 0, 0, 12, 0);
  recorder->Write(Event::kOpBegin, Tag::kNone, 0, label, 7, 0);
  recorder->Write(Event::kPack, Tag::kSaved, 0, 0, 99, 64);  // no range
  recorder->Write(Event::kOpEnd, Tag::kNone, 0, label, 7, 0);
  recorder->Write(Event::kStepEnd, Tag::kNone, 0, 0, 12, 0);
}

// One program, as a library that was loaded stays.
TEST(RangeMarks, TellTheCuptiThatAProfilerLoaded) {
  TemporaryFolder folder;
  RecordAStep(folder / "a.tlt");  // without a profiler: nothing to tell, and nothing is loaded
  EXPECT_EQ(dlopen("libcupti.so.13", RTLD_LAZY | RTLD_NOLOAD), nullptr);

  void* const profiler = dlopen(TIERLIB_FAKE_CUPTI, RTLD_LAZY | RTLD_LOCAL);
  ASSERT_NE(profiler, nullptr) << dlerror();
  const auto calls = reinterpret_cast<const char* (*)()>(dlsym(profiler, "FakeCuptiCalls"));
  ASSERT_NE(calls, nullptr);
  RecordAStep(folder / "b.tlt");
  // CUSTOM0 is 3, CUSTOM1 is 4: the step's number, within it the op's.
  EXPECT_STREQ(calls(), "push 3 12\npush 4 7\npop 4 7\npop 3 12\n");
  dlclose(profiler);
}

}  // namespace
}  // namespace tierlib::trace
