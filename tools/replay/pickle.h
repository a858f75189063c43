// Pickle: what a Python pickle holds, as plain values. Python's own unpickler runs code that the file names; this one
// knows containers, numbers and texts only, and refuses everything else.
//
//   I1  containers are numbers into one table, so that nesting, sharing and cycles cost no stack, neither here nor when
//       it is destroyed. Who walks a pickle must not follow cycles: look for what is expected where it is expected.
//   I2  time and memory are in proportion to the bytes: no size in them is believed before the bytes are there.
#ifndef TIERLIB_TOOLS_REPLAY_PICKLE_H_
#define TIERLIB_TOOLS_REPLAY_PICKLE_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "tierlib/status.h"

namespace tierlib::trace_replay {

struct PickleValue {
  enum class Kind : std::uint8_t {
    kNone,
    kBool,
    kInteger,
    kBigInteger,  // beyond 64 bits: what it is, is not kept
    kFloat,
    kText,
    kBytes,
    kList,
    kTuple,
    kSet,
    kDict,
  };
  Kind kind = Kind::kNone;
  std::uint32_t size = 0;  // of a text or of bytes
  union {
    std::int64_t integer = 0;  // also of a bool
    double number;
    const char* text;
    std::uint64_t container;
  };

  bool IsText(std::string_view expected) const {
    return kind == Kind::kText && std::string_view(text, size) == expected;
  }
};

class Pickle {
 public:
  // Reads a pickle of protocol 2 to 5; what follows its end is not looked at. InvalidArgument or DataLoss names the
  // byte and what stands there. REQUIRES: the bytes outlive the Pickle, whose texts are views into them.
  static StatusOr<Pickle> Read(std::string_view bytes);

  const PickleValue& root() const { return root_; }
  // The items of a list, tuple or set; keys and values of a dict in turns. Nothing for other values.
  const std::vector<PickleValue>& Items(const PickleValue& value) const;
  // The value of a dict's key; of a key that is there twice, the last one. Null where it is not there, or `value` is no
  // dict. Looks at all items.
  const PickleValue* Find(const PickleValue& value, std::string_view key) const;

 private:
  friend class Unpickler;
  PickleValue root_;
  std::vector<std::vector<PickleValue>> containers_;
};

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_PICKLE_H_
