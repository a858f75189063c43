#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "export_command.h"
#include "pickle_writer.h"

namespace tierlib::trace_viewer {
namespace {

// A pickle's integers are signed here.
constexpr std::uint64_t kStreamMost = std::numeric_limits<std::int64_t>::max();

struct LiveBlock {
  std::uint64_t bytes = 0;
  trace::Tag tag = trace::Tag::kNone;
};

// What is there after the events so far.
struct PoolState {
  std::uint64_t reserved = 0;
  std::map<std::uint64_t, LiveBlock> live;  // by address
};

class SnapshotWriter {
 public:
  std::string Write(const PoolHistory& history) {
    pickle_.BeginDict();
    pickle_.Text("device_traces");
    pickle_.BeginList();
    pickle_.Item();
    pickle_.BeginList();
    for (const PoolEvent& event : history.events) Event(event);
    pickle_.EndList();
    pickle_.EndList();
    pickle_.Text("segments");
    pickle_.BeginList();
    Segment();
    pickle_.EndList();
    pickle_.Text("allocator_settings");
    pickle_.BeginDict();
    pickle_.EndDict();
    pickle_.Text("external_annotations");
    pickle_.BeginList();
    pickle_.EndList();
    pickle_.EndDict();
    return std::move(pickle_).Finish();
  }

 private:
  void Field(std::string_view key, std::uint64_t value) {
    pickle_.Text(key);
    pickle_.Integer(static_cast<std::int64_t>(value));
  }

  void TextField(std::string_view key, std::string_view value) {
    pickle_.Text(key);
    pickle_.Text(value);
  }

  // [{"name": "activation", "filename": "tierlib", "line": 0}], one object for each tag.
  void Frames(trace::Tag tag) {
    pickle_.Text("frames");
    std::optional<std::uint32_t>& known = frames_[static_cast<std::size_t>(tag) % trace::kTagCount];
    if (known.has_value()) return pickle_.Again(*known);
    pickle_.BeginList();
    pickle_.Item();
    pickle_.BeginDict();
    TextField("name", trace::TagName(tag));
    TextField("filename", "tierlib");
    Field("line", 0);
    pickle_.EndDict();
    pickle_.EndList();
    known = pickle_.Remember();
  }

  void Entry(std::string_view action, const PoolEvent& event, std::uint64_t address) {
    pickle_.Item();
    pickle_.BeginDict();
    TextField("action", action);
    Field(action == "oom" ? "device_free" : "addr", address);
    Field("size", event.bytes);
    Field("stream", std::min(event.stream, kStreamMost));
    Field("time_us", static_cast<std::uint64_t>(event.time_us));
    Frames(event.tag);
    pickle_.EndDict();
  }

  void Event(const PoolEvent& event) {
    switch (event.event) {
      case trace::Event::kPoolReserve:
        Entry("segment_map", event, kPoolBase + state_.reserved);
        state_.reserved += event.bytes;
        return;
      case trace::Event::kPoolRelease:
        state_.reserved -= std::min(state_.reserved, event.bytes);
        return Entry("segment_unmap", event, kPoolBase + state_.reserved);
      case trace::Event::kPoolAllocate:
        state_.live[event.address] = {event.bytes, event.tag};
        return Entry("alloc", event, event.address);
      case trace::Event::kPoolFree:
        state_.live.erase(event.address);
        Entry("free_requested", event, event.address);
        return Entry("free_completed", event, event.address);
      case trace::Event::kPoolFull: return Entry("oom", event, event.address);
      default: return;
    }
  }

  // Blocks tile the segment. One that lies in another (records are missing) is left out.
  void Segment() {
    std::uint64_t live = 0;
    std::uint64_t end = kPoolBase;
    for (auto block = state_.live.begin(); block != state_.live.end();) {
      if (block->first < end) {
        block = state_.live.erase(block);
        continue;
      }
      live += block->second.bytes;
      end = block->first + block->second.bytes;
      ++block;
    }
    const std::uint64_t total = std::max(state_.reserved, end - kPoolBase);
    if (total == 0) return;
    pickle_.Item();
    pickle_.BeginDict();
    Field("device", 0);
    Field("address", kPoolBase);
    Field("total_size", total);
    for (const std::string_view key : {"allocated_size", "active_size", "requested_size"}) Field(key, live);
    Field("stream", 0);
    TextField("segment_type", "large");
    pickle_.Text("segment_pool_id");
    pickle_.Integer(0);
    pickle_.Integer(0);
    pickle_.EndTuple2();
    pickle_.Text("is_expandable");
    pickle_.Bool(true);
    Frames(trace::Tag::kNone);
    pickle_.Text("blocks");
    pickle_.BeginList();
    std::uint64_t at = kPoolBase;
    for (const auto& [address, block] : state_.live) {
      Block(at, address - at, "inactive", trace::Tag::kNone);
      Block(address, block.bytes, "active_allocated", block.tag);
      at = address + block.bytes;
    }
    Block(at, kPoolBase + total - at, "inactive", trace::Tag::kNone);
    pickle_.EndList();
    pickle_.EndDict();
  }

  void Block(std::uint64_t address, std::uint64_t bytes, std::string_view state, trace::Tag tag) {
    if (bytes == 0) return;
    pickle_.Item();
    pickle_.BeginDict();
    Field("address", address);
    Field("size", bytes);
    Field("requested_size", bytes);
    TextField("state", state);
    Frames(tag);
    pickle_.EndDict();
  }

  PickleWriter pickle_;
  PoolState state_;
  std::array<std::optional<std::uint32_t>, trace::kTagCount> frames_;
};

}  // namespace

std::string TorchSnapshot(const PoolHistory& history) { return SnapshotWriter().Write(history); }

}  // namespace tierlib::trace_viewer
