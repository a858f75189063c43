// Replay: how a derived value is made again from its source instead of being copied back.
#ifndef TIERLIB_REPLAY_H_
#define TIERLIB_REPLAY_H_

#include <cstdint>
#include <functional>
#include <utility>

#include "tierlib/status.h"
#include "tierlib/stream.h"
#include "tierlib/view.h"

namespace tierlib {

// Makes the bytes of `destination` from those of `source` again, equal to the bit. `destination` and `source` are the
// addresses of byte 0 of the two storages as the layouts count them. Enqueues its work on `stream` and returns.
struct ReplayArguments {
  void* destination = nullptr;
  Layout destination_layout;
  const void* source = nullptr;
  Layout source_layout;
  Stream stream;
};
using ReplayFunction = std::function<Status(const ReplayArguments&)>;

// How a derived value comes from its source.
struct Replay {
  enum class Kind : std::uint8_t {
    kCopy,      // the same elements in another order of bytes (contiguous, clone, copying reshape): works both ways
    kCallback,  // `function`, from the source to the derived value
  };
  Kind kind = Kind::kCopy;
  ReplayFunction function;
  const char* name = "copy";  // for the trace; a string literal
  // Of a callback that loses nothing (a cast to a wider type): makes the bytes of the source from those of the derived
  // value, equal to the bit; `destination` is the source's storage then. Null: there is no way back.
  ReplayFunction inverse = nullptr;

  static Replay Copy() { return Replay{}; }
  static Replay Call(const char* name, ReplayFunction function) {
    return Replay{Kind::kCallback, std::move(function), name};
  }
  static Replay CallBothWays(const char* name, ReplayFunction function, ReplayFunction inverse) {
    return Replay{Kind::kCallback, std::move(function), name, std::move(inverse)};
  }

  bool goes_back() const { return kind == Kind::kCopy || inverse != nullptr; }
};

}  // namespace tierlib

#endif  // TIERLIB_REPLAY_H_
