// make_trace FILE RECORDS [SEED]: writes the trace of a training run that never was, for tests and measurements of what
// reads traces: a transformer of 32 layers whose activations leave the device in forward and come back in backward. At
// least RECORDS records, up to the end of the step that reaches them; for the same arguments the same ones, but for
// when it began. It is made with the library's own writer, and keeps the rules of a real one: blocks never overlap,
// what is taken is given back, bytes that are moved are booked, a copy has one begin and one end, and streams wait
// where bytes are not there yet.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "tierlib/storage_id.h"
#include "trace/recorder.h"

namespace tierlib {
namespace {

using trace::Event;
using trace::Tag;
using trace::TierCode;

constexpr std::uint64_t kMiB = 1 << 20;
constexpr int kLayers = 32;
constexpr std::uint64_t kDeviceBytes = 6000 * kMiB;
constexpr std::uint64_t kPinnedBytes = 16384 * kMiB;
constexpr std::uint64_t kStream = 7;
constexpr std::int64_t kCopyLatencyNs = 9000;
constexpr double kCopyBytesPerNs = 24;

// Where blocks of one tier are: the lowest hole that is large enough.
class Holes {
 public:
  explicit Holes(std::uint64_t capacity) { holes_[0] = capacity; }

  bool Take(std::uint64_t bytes, std::uint64_t* offset) {
    for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
      if (hole->second < bytes) continue;
      *offset = hole->first;
      if (hole->second > bytes) holes_[hole->first + bytes] = hole->second - bytes;
      holes_.erase(hole);
      return true;
    }
    return false;
  }

  void GiveBack(std::uint64_t offset, std::uint64_t bytes) {
    auto added = holes_.emplace(offset, bytes).first;
    const auto next = std::next(added);
    if (next != holes_.end() && added->first + added->second == next->first) {
      added->second += next->second;
      holes_.erase(next);
    }
    if (added == holes_.begin()) return;
    const auto before = std::prev(added);
    if (before->first + before->second != added->first) return;
    before->second += added->second;
    holes_.erase(added);
  }

  std::uint64_t free_bytes() const {
    std::uint64_t sum = 0;
    for (const auto& [offset, bytes] : holes_) sum += bytes;
    return sum;
  }

 private:
  std::map<std::uint64_t, std::uint64_t> holes_;
};

struct Block {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  Tag tag = Tag::kNone;
  TierCode tier = TierCode::kDevice;
};

// A value that backward needs.
struct Value {
  StorageId id;
  std::uint32_t label = 0;
  std::uint64_t bytes = 0;
  trace::DecisionAction action = trace::DecisionAction::kKeep;
  Block device;
  Block pinned;
  std::int64_t out_end_ns = 0;  // of the copy to the host
  std::int64_t there_ns = 0;    // when the bytes are on the device again
  bool is_back = false;
};

class Run {
 public:
  Run(trace::Recorder& recorder, std::uint64_t seed) : recorder_(recorder), random_(seed) {}

  void Go(std::uint64_t records) {
    RegisterWeights();
    while (written_ < records) Step();
    for (const auto& [id, block] : weights_) {
      Write(Event::kStorageRetire, Tag::kNone, 0, 0, id.ToInteger(), block.bytes);
      Free(block);
    }
  }

 private:
  void Write(Event event, Tag tag, int detail, std::uint32_t label, std::uint64_t subject, std::uint64_t value) {
    WriteAt(now_ns_ += 40, event, tag, detail, label, subject, value);
  }
  void WriteAt(std::int64_t ns, Event event, Tag tag, int detail, std::uint32_t label, std::uint64_t subject,
               std::uint64_t value) {
    recorder_.WriteAt(ns, event, tag, static_cast<std::uint16_t>(detail), label, subject, value);
    ++written_;
  }

  std::uint64_t Below(std::uint64_t limit) { return random_.NextU32() % limit; }

  // Slots are used again, with the next generation.
  StorageId NewId() {
    if (free_slots_.empty()) {
      generations_.push_back(0);
      free_slots_.push_back(static_cast<std::uint32_t>(generations_.size() - 1));
    }
    const std::uint32_t slot = free_slots_.front();
    free_slots_.pop_front();
    return {slot, ++generations_[slot]};
  }

  bool TryAllocate(TierCode tier, std::uint64_t bytes, Tag tag, Block* block) {
    Holes& holes = tier == TierCode::kDevice ? device_ : pinned_;
    *block = {0, bytes, tag, tier};
    if (!holes.Take(bytes, &block->offset)) {
      Write(Event::kPoolFull, tag, static_cast<int>(tier), 0, holes.free_bytes(), bytes);
      return false;
    }
    std::uint64_t& reserved = reserved_[static_cast<std::size_t>(tier)];
    if (block->offset + bytes > reserved) {
      const std::uint64_t more = (block->offset + bytes - reserved + 64 * kMiB - 1) / (64 * kMiB) * (64 * kMiB);
      Write(Event::kPoolReserve, Tag::kNone, 0, 0, static_cast<std::uint64_t>(tier), more);
      reserved += more;
    }
    Write(Event::kPoolAllocate, tag, static_cast<int>(tier), 0, block->offset, bytes);
    return true;
  }

  // Waits for copies out where the device is full.
  Block AllocateOnDevice(std::uint64_t bytes, Tag tag) {
    Block block;
    while (!TryAllocate(TierCode::kDevice, bytes, tag, &block)) {
      if (leaving_.empty()) {
        std::fprintf(stderr, "make_trace: the device of this run is too small for one step\n");
        std::exit(1);
      }
      Wait(*leaving_.front(), leaving_.front()->out_end_ns, trace::StallCause::kCopyOutTail, Tag::kClient);
      SeeEnds();
    }
    return block;
  }

  void Free(const Block& block) {
    Write(Event::kPoolFree, block.tag, static_cast<int>(block.tier), 0, block.offset, block.bytes);
    (block.tier == TierCode::kDevice ? device_ : pinned_).GiveBack(block.offset, block.bytes);
  }

  void MoveResidency(const Value& value, int from, int to) {
    Write(Event::kResidency, Tag::kSaved, from * 256 + to, 0, value.id.ToInteger(), value.bytes);
  }

  void Wait(const Value& value, std::int64_t until_ns, trace::StallCause cause, Tag tag) {
    if (until_ns <= now_ns_) return;
    const std::int64_t begin_ns = now_ns_;
    WriteAt(begin_ns, Event::kStallBegin, tag, static_cast<int>(cause), value.label, value.id.ToInteger(), kStream);
    now_ns_ = until_ns;
    WriteAt(now_ns_, Event::kStallEnd, tag, static_cast<int>(cause), value.label, value.id.ToInteger(),
            static_cast<std::uint64_t>(until_ns - begin_ns));
  }

  // Enqueues a copy on the link of its direction and says when it will have ended.
  std::int64_t Copy(trace::DirectionCode direction, const Value& value) {
    const int detail = static_cast<int>(direction);
    const std::uint64_t number = ++transfers_;
    Write(Event::kTransferStorage, Tag::kSaved, detail, 0, number, value.id.ToInteger());
    Write(Event::kTransferAsk, Tag::kSaved, detail, 0, number, value.bytes);
    std::int64_t& link_free_ns = link_free_ns_[detail];
    const std::int64_t begin_ns = std::max(now_ns_ + 1500, link_free_ns);
    const double shared = 1 + static_cast<double>(Below(100)) / 250;  // the link is not ours alone
    const std::int64_t end_ns = begin_ns + kCopyLatencyNs +
                                static_cast<std::int64_t>(static_cast<double>(value.bytes) / kCopyBytesPerNs * shared);
    link_free_ns = end_ns;
    WriteAt(begin_ns, Event::kTransferBegin, Tag::kSaved, detail, 0, number, value.bytes);
    WriteAt(end_ns, Event::kTransferEnd, Tag::kSaved, detail, 0, number, value.bytes);
    return end_ns;
  }

  // Device memory of what has left goes back.
  void SeeEnds() {
    while (!leaving_.empty() && leaving_.front()->out_end_ns <= now_ns_) {
      Value& value = *leaving_.front();
      leaving_.pop_front();
      MoveResidency(value, 1, 3);
      Free(value.device);
    }
  }

  void Op(const std::string& name, bool backward, std::int64_t ns) {
    SeeEnds();
    const std::uint32_t label = recorder_.Intern(name);
    const std::uint64_t number = ++ops_;
    Write(Event::kOpBegin, Tag::kNone, backward ? 1 : 0, label, number, kStream);
    now_ns_ += ns + static_cast<std::int64_t>(Below(static_cast<std::uint64_t>(ns) / 8 + 1));
    Write(Event::kOpEnd, Tag::kNone, backward ? 1 : 0, label, number, kStream);
  }

  void RegisterWeights() {
    for (int layer = 0; layer < kLayers; ++layer) {
      for (const auto& [tag, what] : {std::pair(Tag::kParameter, "weight"), std::pair(Tag::kOptimizer, "moments")}) {
        const std::uint64_t bytes = tag == Tag::kParameter ? 48 * kMiB : 96 * kMiB;
        const Block block = AllocateOnDevice(bytes, tag);
        const StorageId id = NewId();
        const std::string label = "layers." + std::to_string(layer) + "." + what;
        Write(Event::kStorageRegister, tag, 1, recorder_.Intern(label), id.ToInteger(), bytes);
        weights_.emplace_back(id, block);
      }
    }
  }

  void Decide(const Value& value, trace::DecisionReason reason, std::uint64_t bytes) {
    Write(Event::kDecision, Tag::kSaved, trace::DecisionDetail(value.action, reason), value.label, value.id.ToInteger(),
          bytes);
  }

  void Pack(const Value& value) { Write(Event::kPack, Tag::kSaved, 0, value.label, value.id.ToInteger(), value.bytes); }

  // Makes an activation and saves it: most are moved, small ones kept, one of each layer is made again from another.
  void Save(int layer, const char* name, std::uint64_t bytes, const Value* source) {
    auto value = std::make_unique<Value>();
    value->bytes = bytes;
    value->label = recorder_.Intern("layers." + std::to_string(layer) + "." + name);
    value->device = AllocateOnDevice(bytes, Tag::kActivation);
    value->id = NewId();
    Write(Event::kStorageRegister, Tag::kActivation, 0, value->label, value->id.ToInteger(), bytes);
    if (source != nullptr) {
      Write(Event::kDerive, Tag::kNone, 0, recorder_.Intern("contiguous"), value->id.ToInteger(),
            source->id.ToInteger());
      value->action = trace::DecisionAction::kReplay;
      Decide(*value, trace::DecisionReason::kLineage, bytes);
      MoveResidency(*value, 0, 4);
      Pack(*value);
      Free(value->device);
    } else if (bytes < 16 << 10) {
      Decide(*value, trace::DecisionReason::kTooSmall, bytes);
      Pack(*value);
    } else {
      value->action = trace::DecisionAction::kMove;
      if (!TryAllocate(TierCode::kPinned, bytes, Tag::kSaved, &value->pinned)) std::exit(1);
      value->out_end_ns = Copy(trace::DirectionCode::kOut, *value);
      Decide(*value, trace::DecisionReason::kPolicy, bytes);
      MoveResidency(*value, 0, 1);
      Pack(*value);
      leaving_.push_back(value.get());
      if (Below(4) == 0) {  // another operator saves a view of it
        Value view = *value;
        view.action = trace::DecisionAction::kReference;
        Decide(view, trace::DecisionReason::kSameStorage, bytes);
        Pack(view);
        views_.push_back(value.get());
      }
    }
    saved_.push_back(std::move(value));
  }

  // Brings the bytes of saved_[index] to the device. Where it is made again its source, saved just before it, comes
  // first.
  void BringBack(std::size_t index) {
    Value& value = *saved_[index];
    if (value.is_back) return;
    value.is_back = true;
    value.there_ns = now_ns_;
    if (value.action == trace::DecisionAction::kKeep) return;
    if (value.action == trace::DecisionAction::kReplay) {
      BringBack(index - 1);
      value.device = AllocateOnDevice(value.bytes, Tag::kReload);
      Wait(*saved_[index - 1], saved_[index - 1]->there_ns, trace::StallCause::kLateCopyIn, Tag::kReload);
      Write(Event::kReplay, Tag::kReload, 0, value.label, value.id.ToInteger(), value.bytes);
      MoveResidency(value, 4, 5);
      return;
    }
    Wait(value, value.out_end_ns, trace::StallCause::kCopyOutTail, Tag::kReload);
    SeeEnds();
    value.device = AllocateOnDevice(value.bytes, Tag::kReload);
    value.there_ns = Copy(trace::DirectionCode::kIn, value);
    MoveResidency(value, 3, 2);
  }

  // Backward's use of the value that was saved last. The one before it comes meanwhile.
  void UseLast() {
    const std::size_t last = saved_.size() - 1;
    Value& value = *saved_[last];
    BringBack(last);
    if (last > 0 && saved_[last - 1]->out_end_ns <= now_ns_) BringBack(last - 1);
    Wait(value, value.there_ns, trace::StallCause::kLateCopyIn, Tag::kReload);
    const int uses = std::find(views_.begin(), views_.end(), &value) != views_.end() ? 2 : 1;
    for (int use = 0; use < uses; ++use) {
      Write(Event::kUnpack, Tag::kSaved, 0, value.label, value.id.ToInteger(), value.bytes);
    }
    const Block gradient = AllocateOnDevice(value.bytes / 2 + 512, Tag::kGradient);
    Op("backward." + std::to_string(last % 7), true, 150'000 + static_cast<std::int64_t>(value.bytes / 18));
    for (int use = 0; use < uses; ++use) {
      Write(Event::kDrop, Tag::kSaved, 0, value.label, value.id.ToInteger(), 0);
    }
    Write(Event::kStorageRetire, Tag::kNone, 0, value.label, value.id.ToInteger(), value.bytes);
    free_slots_.push_back(value.id.slot);
    Free(value.device);
    if (value.pinned.bytes != 0) Free(value.pinned);
    Free(gradient);
    saved_.pop_back();
  }

  void Forward() {
    for (int layer = 0; layer < kLayers; ++layer) {
      const auto op = [&](const char* name, std::int64_t ns) {
        Op("layers." + std::to_string(layer) + "." + name, false, ns);
      };
      const Block workspace = AllocateOnDevice(16 * kMiB + Below(8) * kMiB, Tag::kWorkspace);
      op("norm", 260'000);
      Save(layer, "norm.rstd", 8 << 10, nullptr);
      Save(layer, "dropout.mask", std::uint64_t{32 << 10} << Below(9), nullptr);
      Save(layer, "norm.out", 32 * kMiB, nullptr);
      op("qkv", 2'700'000);
      Save(layer, "qkv.out", 96 * kMiB, nullptr);
      Value weight;
      weight.id = weights_[static_cast<std::size_t>(layer) * 2].first;
      weight.bytes = 48 * kMiB;
      weight.label = recorder_.Intern("layers." + std::to_string(layer) + ".weight");
      weight.action = trace::DecisionAction::kFreesNothing;
      Decide(weight, trace::DecisionReason::kPersistent, weight.bytes);
      Pack(weight);
      const Value* const source = saved_.back().get();
      Save(layer, "qkv.heads", 96 * kMiB, source);
      op("attention", 3'900'000);
      Save(layer, "attention.out", 32 * kMiB, nullptr);
      op("mlp", 4'400'000);
      Save(layer, "mlp.hidden", 86 * kMiB + Below(3) * 512, nullptr);
      Free(workspace);
    }
  }

  void Step() {
    const std::uint64_t step = ++steps_;
    Write(Event::kStepBegin, Tag::kNone, 0, 0, step, 0);
    Forward();
    Write(Event::kBackwardBegin, Tag::kNone, 0, 0, step, 0);
    while (!saved_.empty()) UseLast();
    views_.clear();
    for (const auto& [id, block] : weights_) {
      if (block.tag == Tag::kParameter) {  // saved in forward
        Write(Event::kUnpack, Tag::kSaved, 0, 0, id.ToInteger(), block.bytes);
        Write(Event::kDrop, Tag::kSaved, 0, 0, id.ToInteger(), 0);
      }
      Write(Event::kStorageWrite, Tag::kNone, 0, 0, id.ToInteger(), step);
    }
    Write(Event::kStepEnd, Tag::kNone, 0, 0, step, 0);
    now_ns_ += 200'000;
  }

  trace::Recorder& recorder_;
  Random random_;
  std::int64_t now_ns_ = NowNs();  // a trace has no records from before it began
  std::uint64_t written_ = 0;
  std::uint64_t transfers_ = 0;
  std::uint64_t ops_ = 0;
  std::uint64_t steps_ = 0;
  Holes device_{kDeviceBytes};
  Holes pinned_{kPinnedBytes};
  std::uint64_t reserved_[trace::kTierCodeCount] = {};
  std::int64_t link_free_ns_[trace::kDirectionCodeCount] = {};
  std::vector<std::uint32_t> generations_;
  std::deque<std::uint32_t> free_slots_;
  std::vector<std::pair<StorageId, Block>> weights_;
  std::vector<std::unique_ptr<Value>> saved_;
  std::deque<Value*> leaving_;  // in the order in which their copies end
  std::vector<Value*> views_;   // saved a second time
};

int Main(int argc, char** argv) {
  char* end = nullptr;
  errno = 0;
  const std::uint64_t records = argc > 2 ? std::strtoull(argv[2], &end, 10) : 0;
  if (argc < 3 || argc > 4 || records == 0 || *end != '\0' || errno != 0) {
    std::fprintf(stderr, "usage: make_trace FILE RECORDS [SEED]   RECORDS: from 1 on\n");
    return 2;
  }
  trace::RecorderOptions options;
  options.path = argv[1];
  options.device = "made by make_trace";
  options.device_capacity = kDeviceBytes;
  options.pinned_capacity = kPinnedBytes;
  StatusOr<std::unique_ptr<trace::Recorder>> recorder = trace::Recorder::Open(std::move(options));
  if (!recorder.ok()) {
    std::fprintf(stderr, "make_trace: %s\n", recorder.status().ToString().c_str());
    return 1;
  }
  Run(**recorder, argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1).Go(records);
  if ((*recorder)->dropped() == 0) return 0;
  std::fprintf(stderr, "make_trace: %llu records could not be written\n",
               static_cast<unsigned long long>((*recorder)->dropped()));
  return 1;
}

}  // namespace
}  // namespace tierlib

int main(int argc, char** argv) { return tierlib::Main(argc, argv); }
