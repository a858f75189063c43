#include "pickle.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "base/random.h"
#include "replay/snapshot_pickles.h"
#include "trace_format.h"

namespace tierlib::trace_replay {
namespace {

using Kind = PickleValue::Kind;
using namespace std::string_literals;  // NOLINT

std::string ErrorOf(const std::string& bytes) {
  const StatusOr<Pickle> pickle = Pickle::Read(bytes);
  return pickle.ok() ? "" : std::string(pickle.status().message());
}

std::string TextOf(const PickleValue& value) { return std::string(value.text, value.size); }

TEST(Pickle, ReadsWhatPythonWrites) {
  for (const std::string_view text : kSnapshotPickles) {
    const std::string bytes = FromHexadecimal(text);
    const StatusOr<Pickle> pickle = Pickle::Read(bytes);
    ASSERT_TRUE(pickle.ok()) << pickle.status();
    const PickleValue* segments = pickle->Find(pickle->root(), "segments");
    ASSERT_NE(segments, nullptr);
    ASSERT_EQ(pickle->Items(*segments).size(), 1u);
    const PickleValue& segment = pickle->Items(*segments)[0];
    EXPECT_EQ(pickle->Find(segment, "address")->integer, 140000000000000);
    EXPECT_EQ(pickle->Find(segment, "segment_pool_id")->kind, Kind::kTuple);
    EXPECT_EQ(pickle->Items(*pickle->Find(segment, "segment_pool_id")).size(), 2u);
    const PickleValue& settings = *pickle->Find(pickle->root(), "allocator_settings");
    EXPECT_EQ(pickle->Find(settings, "x")->number, 0.5);
    EXPECT_EQ(pickle->Find(settings, "b")->kind, Kind::kBool);
    EXPECT_EQ(pickle->Find(settings, "b")->integer, 1);
    EXPECT_EQ(pickle->Find(settings, "n")->kind, Kind::kNone);
    EXPECT_EQ(pickle->Find(settings, "big")->kind, Kind::kBigInteger);
    EXPECT_EQ(pickle->Find(settings, "minus")->integer, -70000);
    EXPECT_EQ(pickle->Find(settings, "nothing"), nullptr);
    if (bytes[1] > 2) {
      EXPECT_EQ(pickle->Find(settings, "raw")->kind, Kind::kBytes);
      EXPECT_EQ(TextOf(*pickle->Find(settings, "raw")), "\0\1"s);
    }
  }
}

TEST(Pickle, ReadsEveryOpcodeThatPlainValuesNeed) {
  const std::string bytes =
      "\x80\x02](K\x01"             // [1,
      "M\x02\x03J\xff\xff\xff\xff"  // 770, -1,
      "\x8a\x00"s                   // 0,
      "\x8a\x02\x00\x80"s           // -32768,
      "\x8b\x01\x00\x00\x00\x05"s   // 5,
      "U\x01xT\x01\x00\x00\x00yX\x01\x00\x00\x00z"s
      "\x8d\x01\x00\x00\x00\x00\x00\x00\x00w"s
      "C\x01p"
      "B\x01\x00\x00\x00q\x8e\x01\x00\x00\x00\x00\x00\x00\x00r\x96\x01\x00\x00\x00\x00\x00\x00\x00s"s
      "(K\x01l(K\x02t)K\x03\x85K\x03K\x04\x86K\x03K\x04K\x05\x87"  // [1], (2,), (), (3,), (3, 4), (3, 4, 5)
      "(\x8c\x01kK\x07"
      "d"                         // {"k": 7}
      "}\x8c\x01kK\x08s"          // {"k": 8}
      "\x8f(K\x01\x90(K\x01\x91"  // {1}, frozenset({1})
      "K\x09q\x07h\x07r\x08\x00\x00\x00j\x08\x00\x00\x00"s
      "2K\x63"
      "0(K\x63"
      "1N\x88\x89"
      "e.";
  const StatusOr<Pickle> pickle = Pickle::Read(bytes);
  ASSERT_TRUE(pickle.ok()) << pickle.status();
  const auto& items = pickle->Items(pickle->root());
  ASSERT_EQ(items.size(), 31u);
  const std::int64_t integers[] = {1, 770, -1, 0, -32768, 5};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(items[i].integer, integers[i]);
  std::string texts;
  for (std::size_t i = 6; i < 14; ++i) texts += TextOf(items[i]);
  EXPECT_EQ(texts, "xyzwpqrs");
  const std::size_t sizes[] = {1, 1, 0, 1, 2, 3, 2, 2, 1, 1};
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(pickle->Items(items[14 + i]).size(), sizes[i]) << i;
  EXPECT_EQ(pickle->Items(items[19])[2].integer, 5) << "a tuple keeps its order";
  EXPECT_EQ(pickle->Find(items[20], "k")->integer, 7);
  EXPECT_EQ(pickle->Find(items[21], "k")->integer, 8);
  for (std::size_t i = 24; i < 28; ++i) EXPECT_EQ(items[i].integer, 9);
  EXPECT_EQ(items[28].kind, Kind::kNone);
}

TEST(Pickle, RefusesWhatWouldRunCode) {
  const std::pair<std::string, std::string> cases[] = {{"cos\nsystem\n", "GLOBAL"},
                                                       {"\x8c\x02os\x8c\x06system\x93", "STACK_GLOBAL"},
                                                       {"NNR", "REDUCE"},
                                                       {"NNb", "BUILD"},
                                                       {"(ios\nsystem\n", "INST"},
                                                       {"(No", "OBJ"},
                                                       {"NN\x81", "NEWOBJ"},
                                                       {"NNN\x92", "NEWOBJ_EX"},
                                                       {"P1\n", "PERSID"},
                                                       {"NQ", "BINPERSID"},
                                                       {"\x82\x01", "EXT1"},
                                                       {"\x83\x01\x01", "EXT2"},
                                                       {"\x84\x01\x01\x01\x01", "EXT4"},
                                                       {"\x97", "NEXT_BUFFER"},
                                                       {"N\x98", "READONLY_BUFFER"}};
  for (const auto& [program, name] : cases) {
    const std::string error = ErrorOf("\x80\x04" + program + ".");
    EXPECT_NE(error.find("opcode " + name + " would run code"), std::string::npos) << name << ": " << error;
    EXPECT_EQ(error.find("byte "), 0u) << error;
  }
}

TEST(Pickle, NamesTheByteOfAMistake) {
  EXPECT_EQ(ErrorOf(""), "byte 0: a pickle of protocol 2 to 5 begins with 0x80 and its number");
  EXPECT_EQ(ErrorOf("\x80\x06N."), ErrorOf(""));
  EXPECT_EQ(ErrorOf("(dp0\n."), ErrorOf("")) << "protocol 0";
  EXPECT_EQ(ErrorOf("\x80\x02I1\n."), "byte 2: opcode 0x49 is none of the pickle protocols 2 to 5");
  EXPECT_EQ(ErrorOf("\x80\x02."), "byte 2: the stack is empty");
  EXPECT_EQ(ErrorOf("\x80\x02]N(e."), "byte 5: the stack's top should be a list");
  EXPECT_EQ(ErrorOf("\x80\x02](a."), "byte 4: the stack is empty") << "what is below a mark is out of reach";
  EXPECT_EQ(ErrorOf("\x80\x02}(Nu."), "byte 5: a dict's last key has no value");
  EXPECT_EQ(ErrorOf("\x80\x02Ne."), "byte 3: no mark is on the stack");
  EXPECT_EQ(ErrorOf("\x80\x02h\x01."), "byte 2: memo number 1 was not kept before");
  EXPECT_EQ(ErrorOf("\x80\x02Nr\xff\xff\xff\xff."), "byte 3: memo number 4294967295 is larger than the file");
  EXPECT_EQ(ErrorOf("\x80\x02X\xff\xff\xff\x7fxy."),
            "byte 2: the file ends inside the pickle, which needs 2147483647 bytes more there and has 3");
  EXPECT_EQ(ErrorOf("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."),
            "byte 2: a text of 18446744073709551615 bytes: at most 4 GiB are read");
  EXPECT_EQ(ErrorOf("\x80\x02" + std::string(1001, '(')), "byte 1002: nested more than 1,000 deep");
}

TEST(Pickle, ACutFileIsNeverWhole) {
  for (const std::string_view text : kSnapshotPickles) {
    const std::string bytes = FromHexadecimal(text);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const std::string error = ErrorOf(bytes.substr(0, size));
      EXPECT_EQ(error.find("byte "), 0u) << size << ": " << error;
    }
  }
}

TEST(Pickle, CyclesAndDepthCostNoStack) {
  // A list that holds itself, and one 2,000,000 deep.
  const std::string cycle = "\x80\x02]q\0h\0a."s;
  const StatusOr<Pickle> pickle = Pickle::Read(cycle);
  ASSERT_TRUE(pickle.ok()) << pickle.status();
  EXPECT_EQ(pickle->Items(pickle->root())[0].container, pickle->root().container);
  std::string deep = "\x80\x02]";
  for (int i = 0; i < 2'000'000; ++i) deep += "\x85";
  EXPECT_TRUE(Pickle::Read(deep + ".").ok());
}

// Any bytes: no crash, no hang, and no memory beyond a multiple of the file's (the sanitizers watch).
TEST(Pickle, SurvivesRandomMutations) {
  Random random(20261128);
  const int rounds = 100'000 / TIERLIB_RANDOM_SCALE;
  int readable = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string bytes = FromHexadecimal(kSnapshotPickles[random.UniformInt(4)]);
    for (std::uint64_t i = 1 + random.UniformInt(6); i > 0; --i) {
      const std::size_t at = 2 + random.UniformInt(bytes.size() - 2);
      switch (random.UniformInt(4)) {
        case 0: bytes[at] = static_cast<char>(random.NextU32()); break;
        case 1: bytes[at] = static_cast<char>(bytes[at] ^ 1 << random.UniformInt(8)); break;
        case 2: bytes.erase(at, 1 + random.UniformInt(8)); break;
        default: bytes.insert(at, bytes.substr(random.UniformInt(bytes.size()), random.UniformInt(12))); break;
      }
      if (bytes.size() < 4) bytes.resize(4, 'N');
    }
    const StatusOr<AllocationTrace> trace = ReadTorchSnapshot(bytes, {});
    if (trace.ok()) {
      ++readable;
    } else {
      EXPECT_FALSE(trace.status().message().empty());
    }
  }
  std::printf("%d of %d mutated pickles were still snapshots\n", readable, rounds);
  EXPECT_GT(readable, 0);
  EXPECT_LT(readable, rounds);
}

}  // namespace
}  // namespace tierlib::trace_replay
