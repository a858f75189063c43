// HostMemoryResource: a host tier of a Runtime as a std::pmr::memory_resource, for data that the host works on or
// stages for a device.
//
//   const auto pinned = HostMemoryResource::Create(*runtime).value();
//   std::pmr::vector<float> batch(1024, pinned.get());
//
// Memory is handed out for use by the host at once: an allocation waits for device work that may still use it. Device
// work that uses the memory must have ended when it is deallocated.
//
// This is the one place of tierlib that throws, as std::pmr asks: std::bad_alloc where the tier is full.
//
// Ownership: shares the runtime's core and may outlive the Runtime. REQUIRES: what it handed out is deallocated,
// through it or an equal one, before the last of these and of the runtime's handles goes. Thread-safety: may be used
// from several threads at once.
#ifndef TIERLIB_MEMORY_RESOURCE_H_
#define TIERLIB_MEMORY_RESOURCE_H_

#include <cstddef>
#include <memory>
#include <memory_resource>

#include "tierlib/runtime.h"
#include "tierlib/status.h"
#include "tierlib/stream.h"
#include "tierlib/tier.h"

namespace tierlib {

class BlockPool;
struct DeviceTier;

class HostMemoryResource final : public std::pmr::memory_resource {
 public:
  // The part of the tier that serves `device`. InvalidArgument for an unknown device, for the device tier, for the file
  // tier of a runtime without one, and for a device without bytes (shape-only).
  static StatusOr<std::unique_ptr<HostMemoryResource>> Create(const Runtime& runtime, Tier tier = Tier::kPinned,
                                                              int device = 0);
  ~HostMemoryResource() override;
  HostMemoryResource(const HostMemoryResource&) = delete;
  HostMemoryResource& operator=(const HostMemoryResource&) = delete;

  Tier tier() const { return tier_; }

 private:
  HostMemoryResource(std::shared_ptr<internal::Core> core, DeviceTier& device, BlockPool& pool, Tier tier,
                     Stream stream);

  // Alignments to 2 MiB are served, larger ones are std::bad_alloc.
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* data, std::size_t bytes, std::size_t alignment) override;
  // True for another one of the same part of the same runtime's tier.
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override;

  const std::shared_ptr<internal::Core> core_;
  DeviceTier& device_;
  BlockPool& pool_;  // of its
  const Tier tier_;
  const Stream stream_;  // carries no work: made to wait for what memory has to wait for
};

}  // namespace tierlib

#endif  // TIERLIB_MEMORY_RESOURCE_H_
