// hostile_trace LABELS.json OUT: writes a trace in which each of these texts is the name of a storage, of an op and of
// what a stream waited for, and of which the end is missing: the program leaves without closing it.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tierlib/status.h"
#include "trace/recorder.h"

namespace {

using tierlib::trace::Event;
using tierlib::trace::Tag;

void Write(tierlib::trace::Recorder& recorder, const std::vector<std::string>& labels) {
  std::int64_t time = 1'000'000'000;
  const auto write = [&](Event event, Tag tag, std::uint16_t detail, std::uint32_t label, std::uint64_t subject,
                         std::uint64_t value) {
    recorder.WriteAt(time += 1000, event, tag, detail, label, subject, value);
  };
  write(Event::kStepBegin, Tag::kNone, 0, 0, 1, 0);
  std::uint64_t number = 0;
  for (const std::string& text : labels) {
    const std::uint32_t label = recorder.Intern(text);
    const std::uint64_t storage = (std::uint64_t{1} << 32) | ++number;
    write(Event::kPoolAllocate, Tag::kActivation, 0, 0, number * 4096, 4096);
    write(Event::kStorageRegister, Tag::kActivation, 0, label, storage, 4096);
    write(Event::kPack, Tag::kSaved, 0, label, storage, 4096);
    write(Event::kDecision, Tag::kSaved, 256 + 1, label, storage, 4096);
    write(Event::kTransferStorage, Tag::kSaved, 0, 0, number, storage);
    write(Event::kTransferAsk, Tag::kSaved, 0, 0, number, 4096);
    write(Event::kTransferBegin, Tag::kSaved, 0, 0, number, 4096);
    write(Event::kTransferEnd, Tag::kSaved, 0, 0, number, 4096);
    write(Event::kOpBegin, Tag::kNone, 0, label, number, 7);
    write(Event::kOpEnd, Tag::kNone, 0, label, number, 7);
    write(Event::kStallBegin, Tag::kReload, 2, label, storage, 7);
    write(Event::kStallEnd, Tag::kReload, 2, label, storage, 1000);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: hostile_trace LABELS.json OUT\n");
    return 2;
  }
  std::ifstream input(argv[1]);
  const nlohmann::json labels = nlohmann::json::parse(input, nullptr, /*allow_exceptions=*/false);
  if (!labels.is_array()) {
    std::fprintf(stderr, "hostile_trace: %s is no array of texts\n", argv[1]);
    return 1;
  }
  auto recorder = tierlib::trace::Recorder::Open({.path = argv[2], .device = "<img src=x onerror=alert(1)>"});
  if (!recorder.ok()) {
    std::fprintf(stderr, "hostile_trace: %s\n", recorder.status().ToString().c_str());
    return 1;
  }
  Write(**recorder, labels.get<std::vector<std::string>>());
  _exit(0);  // without the end of the trace
}
