#include "allocator/region_source.h"

namespace tierlib {
namespace {

class RegionSource : public MemorySource {
 public:
  RegionSource(const Region& region, DeviceBackend& device) : region_(region), device_(device) {}

  Tier tier() const override { return region_.tier; }
  std::uint64_t capacity() const override { return region_.bytes; }
  std::size_t granularity() const override { return 1; }
  std::byte* base() const override { return static_cast<std::byte*>(region_.base); }
  std::size_t base_alignment() const override { return device_.info().alignment; }
  std::size_t grown() const override { return grown_; }
  std::size_t locked() const override { return 0; }  // its owner counts it
  int numa_node() const override { return region_.numa_node; }

  Status Grow(std::size_t bytes) override {
    if (bytes > region_.bytes - grown_) return Status(StatusCode::kResourceExhausted);
    grown_ += bytes;
    return OkStatus();
  }
  StatusOr<std::size_t> Shrink(std::size_t) override { return std::size_t{0}; }

  bool notes_blocks() const override { return device_.info().notes_blocks; }
  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override {
    device_.NoteBlock(base, bytes, live, stream);
  }

 private:
  const Region region_;
  DeviceBackend& device_;
  std::size_t grown_ = 0;
};

}  // namespace

std::unique_ptr<MemorySource> MakeRegionSource(const Region& region, DeviceBackend& device) {
  return std::make_unique<RegionSource>(region, device);
}

}  // namespace tierlib
