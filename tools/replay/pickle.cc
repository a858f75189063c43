#include "pickle.h"

#include <bit>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "pickle_opcodes.h"

namespace tierlib::trace_replay {

static_assert(std::endian::native == std::endian::little, "numbers of pickles are little endian");

// Runs the pickle's program over a stack of values. A handler answers whether the opcode is one of its; what is wrong
// with it goes into `status_`.
class Unpickler {
 public:
  explicit Unpickler(std::string_view bytes) : bytes_(bytes) {}

  StatusOr<Pickle> Run() {
    if (bytes_.size() < 2 || bytes_[0] != '\x80' || bytes_[1] < 2 || bytes_[1] > 5) {
      return InvalidArgumentError("byte 0: a pickle of protocol 2 to 5 begins with 0x80 and its number");
    }
    at_ = 2;
    while (status_.ok()) {
      opcode_at_ = at_;
      const auto opcode = static_cast<std::uint8_t>(Take<1>());
      if (!status_.ok()) break;
      if (static_cast<PickleOpcode>(opcode) == PickleOpcode::kStop) {
        result_.root_ = Pop();
        if (status_.ok()) return std::move(result_);
      } else if (!Scalar(opcode) && !Text(opcode) && !Sequence(opcode) && !Mapping(opcode) && !Memo(opcode) &&
                 !Stack(opcode)) {
        Unknown(opcode);
      }
    }
    return status_;
  }

 private:
  using Kind = PickleValue::Kind;
  static constexpr std::size_t kMarksMost = 1000;

  // Where one error was found, those that follow from it are not kept.
  void Fail(std::string what) {
    if (status_.ok()) status_ = InvalidArgumentError("byte " + std::to_string(opcode_at_) + ": " + what);
  }

  void Unknown(std::uint8_t opcode) {
    if (const char* name = CodeOpcodeName(opcode)) {
      return Fail(std::string("opcode ") + name +
                  " would run code or needs data from outside: a snapshot holds plain lists, dicts, numbers and texts");
    }
    char text[80];
    std::snprintf(text, sizeof text, "opcode 0x%02x is none of the pickle protocols 2 to 5", opcode);
    Fail(text);
  }

  std::string_view TakeBytes(std::uint64_t size) {
    if (size <= bytes_.size() - at_) {
      at_ += size;
      return bytes_.substr(at_ - size, size);
    }
    if (status_.ok()) {
      status_ =
          DataLossError("byte " + std::to_string(opcode_at_) + ": the file ends inside the pickle, which needs " +
                        std::to_string(size) + " bytes more there and has " + std::to_string(bytes_.size() - at_));
    }
    return {};
  }

  template <std::size_t kBytes>
  std::uint64_t Take() {
    std::uint64_t value = 0;
    const std::string_view taken = TakeBytes(kBytes);
    if (!taken.empty()) std::memcpy(&value, taken.data(), taken.size());
    return value;
  }

  // --- The stack. What lies below the last mark is not to be touched. ---
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  PickleValue Pop() {
    if (stack_.size() <= floor()) {
      Fail("the stack is empty");
      return {};
    }
    const PickleValue value = stack_.back();
    stack_.pop_back();
    return value;
  }

  std::vector<PickleValue> PopToMark() {
    if (marks_.empty()) {
      Fail("no mark is on the stack");
      return {};
    }
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleValue> values(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return values;
  }

  void Push(Kind kind, std::int64_t integer) {
    PickleValue value;
    value.kind = kind;
    value.integer = integer;
    stack_.push_back(value);
  }

  void PushContainer(Kind kind, std::vector<PickleValue> items) {
    Push(kind, static_cast<std::int64_t>(result_.containers_.size()));
    result_.containers_.push_back(std::move(items));
  }

  // The items of the container on top of the stack.
  std::vector<PickleValue>* Top(Kind kind, const char* name) {
    if (stack_.size() <= floor() || stack_.back().kind != kind) {
      Fail(std::string("the stack's top should be a ") + name);
      return nullptr;
    }
    return &result_.containers_[stack_.back().container];
  }

  void AddToTop(Kind kind, const char* name, const std::vector<PickleValue>& items) {
    if (std::vector<PickleValue>* into = Top(kind, name)) into->insert(into->end(), items.begin(), items.end());
  }

  bool Scalar(std::uint8_t opcode) {
    switch (static_cast<PickleOpcode>(opcode)) {
      case PickleOpcode::kNone: Push(Kind::kNone, 0); return true;
      case PickleOpcode::kNewTrue: Push(Kind::kBool, 1); return true;
      case PickleOpcode::kNewFalse: Push(Kind::kBool, 0); return true;
      case PickleOpcode::kBinInt: Push(Kind::kInteger, static_cast<std::int32_t>(Take<4>())); return true;
      case PickleOpcode::kBinInt1: Push(Kind::kInteger, static_cast<std::int64_t>(Take<1>())); return true;
      case PickleOpcode::kBinInt2: Push(Kind::kInteger, static_cast<std::int64_t>(Take<2>())); return true;
      case PickleOpcode::kLong1: PushLong(TakeBytes(Take<1>())); return true;
      case PickleOpcode::kLong4: PushLong(TakeBytes(Take<4>())); return true;
      case PickleOpcode::kBinFloat: {
        Push(Kind::kFloat, 0);
        stack_.back().number = std::bit_cast<double>(__builtin_bswap64(Take<8>()));
        return true;
      }
      default: return false;
    }
  }

  // Little endian, two's complement.
  void PushLong(std::string_view digits) {
    if (digits.size() > 8) return Push(Kind::kBigInteger, 0);
    std::int64_t value = !digits.empty() && (digits.back() & '\x80') != 0 ? -1 : 0;
    if (!digits.empty()) std::memcpy(&value, digits.data(), digits.size());
    Push(Kind::kInteger, value);
  }

  bool Text(std::uint8_t opcode) {
    switch (static_cast<PickleOpcode>(opcode)) {
      case PickleOpcode::kShortBinUnicode: PushText(Kind::kText, Take<1>()); return true;
      case PickleOpcode::kBinUnicode: PushText(Kind::kText, Take<4>()); return true;
      case PickleOpcode::kBinUnicode8: PushText(Kind::kText, Take<8>()); return true;
      case PickleOpcode::kShortBinString: PushText(Kind::kText, Take<1>()); return true;
      case PickleOpcode::kBinString: PushText(Kind::kText, Take<4>()); return true;
      case PickleOpcode::kShortBinBytes: PushText(Kind::kBytes, Take<1>()); return true;
      case PickleOpcode::kBinBytes: PushText(Kind::kBytes, Take<4>()); return true;
      case PickleOpcode::kBinBytes8:
      case PickleOpcode::kByteArray8: PushText(Kind::kBytes, Take<8>()); return true;
      default: return false;
    }
  }

  void PushText(Kind kind, std::uint64_t size) {
    if (size > UINT32_MAX) return Fail("a text of " + std::to_string(size) + " bytes: at most 4 GiB are read");
    const std::string_view text = TakeBytes(size);
    PickleValue value;
    value.kind = kind;
    value.size = static_cast<std::uint32_t>(text.size());
    value.text = text.data();
    stack_.push_back(value);
  }

  bool Sequence(std::uint8_t opcode) {
    switch (static_cast<PickleOpcode>(opcode)) {
      case PickleOpcode::kEmptyList: PushContainer(Kind::kList, {}); return true;
      case PickleOpcode::kEmptyTuple: PushContainer(Kind::kTuple, {}); return true;
      case PickleOpcode::kEmptySet: PushContainer(Kind::kSet, {}); return true;
      case PickleOpcode::kList: PushContainer(Kind::kList, PopToMark()); return true;
      case PickleOpcode::kTuple: PushContainer(Kind::kTuple, PopToMark()); return true;
      case PickleOpcode::kFrozenSet: PushContainer(Kind::kSet, PopToMark()); return true;
      case PickleOpcode::kTuple1: PushTuple(1); return true;
      case PickleOpcode::kTuple2: PushTuple(2); return true;
      case PickleOpcode::kTuple3: PushTuple(3); return true;
      case PickleOpcode::kAppend: {
        const PickleValue item = Pop();
        AddToTop(Kind::kList, "list", {item});
        return true;
      }
      case PickleOpcode::kAppends: AddToTop(Kind::kList, "list", PopToMark()); return true;
      case PickleOpcode::kAddItems: AddToTop(Kind::kSet, "set", PopToMark()); return true;
      default: return false;
    }
  }

  void PushTuple(std::size_t size) {
    std::vector<PickleValue> items(size);
    for (std::size_t i = size; i-- > 0;) items[i] = Pop();
    PushContainer(Kind::kTuple, std::move(items));
  }

  bool Mapping(std::uint8_t opcode) {
    switch (static_cast<PickleOpcode>(opcode)) {
      case PickleOpcode::kEmptyDict: PushContainer(Kind::kDict, {}); return true;
      case PickleOpcode::kSetItem: {
        const PickleValue item = Pop();
        const PickleValue key = Pop();
        AddToTop(Kind::kDict, "dict", {key, item});
        return true;
      }
      case PickleOpcode::kSetItems:
      case PickleOpcode::kDict: {
        std::vector<PickleValue> items = PopToMark();
        if (items.size() % 2 != 0) {
          Fail("a dict's last key has no value");
        } else if (static_cast<PickleOpcode>(opcode) == PickleOpcode::kDict) {
          PushContainer(Kind::kDict, std::move(items));
        } else {
          AddToTop(Kind::kDict, "dict", items);
        }
        return true;
      }
      default: return false;
    }
  }

  bool Memo(std::uint8_t opcode) {
    switch (static_cast<PickleOpcode>(opcode)) {
      case PickleOpcode::kBinPut: Put(Take<1>()); return true;
      case PickleOpcode::kLongBinPut: Put(Take<4>()); return true;
      case PickleOpcode::kMemoize: Put(memo_.size()); return true;
      case PickleOpcode::kBinGet: Get(Take<1>()); return true;
      case PickleOpcode::kLongBinGet: Get(Take<4>()); return true;
      default: return false;
    }
  }

  // Python numbers what it keeps from 0 on; a number for which the file has not the bytes would only take memory.
  void Put(std::uint64_t index) {
    if (stack_.size() <= floor()) return Fail("the stack is empty");
    if (index >= bytes_.size()) return Fail("memo number " + std::to_string(index) + " is larger than the file");
    if (index >= memo_.size()) memo_.resize(index + 1, Remembered{});
    memo_[index] = {stack_.back(), true};
  }

  void Get(std::uint64_t index) {
    if (index >= memo_.size() || !memo_[index].present) {
      return Fail("memo number " + std::to_string(index) + " was not kept before");
    }
    stack_.push_back(memo_[index].value);
  }

  bool Stack(std::uint8_t opcode) {
    switch (static_cast<PickleOpcode>(opcode)) {
      case PickleOpcode::kMark:
        if (marks_.size() == kMarksMost) Fail("nested more than 1,000 deep");
        marks_.push_back(stack_.size());
        return true;
      case PickleOpcode::kPop:
        if (!marks_.empty() && stack_.size() == floor()) {
          marks_.pop_back();  // as Python does
        } else {
          Pop();
        }
        return true;
      case PickleOpcode::kPopMark: PopToMark(); return true;
      case PickleOpcode::kDup: {
        const PickleValue value = Pop();
        stack_.push_back(value);
        stack_.push_back(value);
        return true;
      }
      case PickleOpcode::kProto: Take<1>(); return true;
      case PickleOpcode::kFrame:
        if (const std::uint64_t size = Take<8>(); size > bytes_.size() - at_) {
          TakeBytes(size);  // says so
        }
        return true;
      default: return false;
    }
  }

  struct Remembered {
    PickleValue value;
    bool present = false;
  };

  const std::string_view bytes_;
  std::size_t at_ = 0;         // the next byte
  std::size_t opcode_at_ = 0;  // of the opcode being run
  std::vector<PickleValue> stack_;
  std::vector<std::size_t> marks_;  // sizes of the stack
  std::vector<Remembered> memo_;
  Pickle result_;
  Status status_;
};

StatusOr<Pickle> Pickle::Read(std::string_view bytes) { return Unpickler(bytes).Run(); }

const std::vector<PickleValue>& Pickle::Items(const PickleValue& value) const {
  static const auto& nothing = *new std::vector<PickleValue>;
  return value.kind >= PickleValue::Kind::kList ? containers_[value.container] : nothing;
}

const PickleValue* Pickle::Find(const PickleValue& value, std::string_view key) const {
  if (value.kind != PickleValue::Kind::kDict) return nullptr;
  const std::vector<PickleValue>& items = Items(value);
  for (std::size_t i = items.size(); i >= 2; i -= 2) {
    if (items[i - 2].IsText(key)) return &items[i - 1];
  }
  return nullptr;
}

}  // namespace tierlib::trace_replay
