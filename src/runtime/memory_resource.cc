#include "tierlib/memory_resource.h"

#include <new>
#include <string>
#include <utility>

#include "allocator/block_pool.h"
#include "runtime/core.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

constexpr std::size_t kMostAlignment = MiB(2);  // of the first byte of a host tier

}  // namespace

StatusOr<std::unique_ptr<HostMemoryResource>> HostMemoryResource::Create(const Runtime& runtime, Tier tier,
                                                                         int device) {
  TIERLIB_RETURN_IF_ERROR(runtime.core()->store()->fork().Check());
  TIERLIB_ASSIGN_OR_RETURN(DeviceTier * tiers, runtime.core()->store()->FindTier(device));
  BlockPool* const pool = tiers->PoolOf(tier);
  if (tier == Tier::kDevice || pool == nullptr) {
    return InvalidArgumentError("a memory resource of the " + std::string(TierName(tier)) +
                                " tier: it is no host memory of this runtime");
  }
  if (tiers->backend->info().shape_only) {
    return InvalidArgumentError("a memory resource beside " + tiers->backend->info().name +
                                ", which is shape-only: there are no bytes");
  }
  TIERLIB_ASSIGN_OR_RETURN(const Stream stream, tiers->backend->CreateStream("host memory"));
  return std::unique_ptr<HostMemoryResource>(new HostMemoryResource(runtime.core(), *tiers, *pool, tier, stream));
}

HostMemoryResource::HostMemoryResource(std::shared_ptr<internal::Core> core, DeviceTier& device, BlockPool& pool,
                                       Tier tier, Stream stream)
    : core_(std::move(core)), device_(device), pool_(pool), tier_(tier), stream_(stream) {}

HostMemoryResource::~HostMemoryResource() {
  if (core_->store()->fork().in_child()) return;
  DeviceBackend& device = core_->backend(stream_.device);
  (void)device.SynchronizeStream(stream_);
  pool_.Forget(stream_);
  (void)device.DestroyStream(stream_);
}

void* HostMemoryResource::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (alignment > kMostAlignment || core_->store()->fork().in_child()) throw std::bad_alloc();
  const StatusOr<void*> block = device_.AllocateHostBlock(tier_, bytes, stream_, trace::Tag::kClient, alignment);
  if (!block.ok()) throw std::bad_alloc();
  if (!core_->backend(stream_.device).SynchronizeStream(stream_).ok()) {
    pool_.Free(*block, {stream_});
    throw std::bad_alloc();
  }
  return *block;
}

void HostMemoryResource::do_deallocate(void* data, std::size_t /*bytes*/, std::size_t /*alignment*/) {
  if (core_->store()->fork().in_child()) return;
  pool_.Free(data, {});  // the host's use of it has ended, and no stream's is pending
}

bool HostMemoryResource::do_is_equal(const std::pmr::memory_resource& other) const noexcept {
  const auto* same = dynamic_cast<const HostMemoryResource*>(&other);
  return same != nullptr && &same->pool_ == &pool_;
}

}  // namespace tierlib
