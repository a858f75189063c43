#include "trace/call_stack.h"

#include <dlfcn.h>
#include <execinfo.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string_view>

namespace tierlib::trace {
namespace {

constexpr int kOwnFramesMost = 8;  // how many they are depends on what the compiler inlines
constexpr int kFramesMost = 32;

std::string_view FileName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::string CallStackText(const void* caller) {
  void* frames[kOwnFramesMost + kFramesMost];
  void** const all = frames + backtrace(frames, kOwnFramesMost + kFramesMost);
  void** first = std::find(frames, all, caller);
  if (first == all) first = frames;
  void** const end = std::min(all, first + kFramesMost);
  std::string text;
  for (void** frame = first; frame < end; ++frame) {
    const auto address = reinterpret_cast<std::uintptr_t>(*frame);
    Dl_info module = {};
    const bool known = dladdr(*frame, &module) != 0 && module.dli_fname != nullptr;
    char offset[24];
    std::snprintf(offset, sizeof offset, "+0x%llx",
                  static_cast<unsigned long long>(
                      address - (known ? reinterpret_cast<std::uintptr_t>(module.dli_fbase) : std::uintptr_t{0})));
    if (!text.empty()) text += '\n';
    text += known ? FileName(module.dli_fname) : "?";
    text += offset;
  }
  return text;
}

}  // namespace tierlib::trace
