#include "runtime/fault_trial.h"

#include <cstring>

namespace tierlib {

Trial::~Trial() {
  runtime.reset();
  injector.Resume();
}

void Trial::Start(bool with_memory) {
  runtime = Try("create", [&] {
              Options options;
              {
                const NotInjecting copying(injector);
                options = options_;
              }
              return Runtime::Create(std::move(options));
            }).value();
  device = &runtime->core()->backend(0);
  if (with_memory) memory = std::make_unique<ProgramMemory>(*device, Program::kMemory);
  for (const char* name : {"compute", "other"}) {
    streams.push_back(Try("create stream", [&] { return runtime->CreateStream(0, name); }).value());
  }
}

void Trial::Finish() {
  Drain();
  CheckInvariants();
  const Statistics statistics = runtime->statistics();
  EXPECT_EQ(statistics.device.live, 0u);
  EXPECT_EQ(statistics.pinned.live, 0u);
  EXPECT_EQ(statistics.pageable.live, 0u);
  EXPECT_EQ(statistics.file.live, 0u);
  EXPECT_TRUE(runtime->health().ok()) << runtime->health();
  for (const Stream stream : streams) EXPECT_TRUE(device->DestroyStream(stream).ok());
  if (memory != nullptr) {
    EXPECT_EQ(memory->blocks(), 0u);
    EXPECT_TRUE(device->Release(memory->Take(Program::kMemory), Program::kMemory).ok());
  }
  const Injecting injecting(injector);
  runtime.reset();
}

bool Trial::Succeeded(const char* what, const Status& status, std::uint64_t failures_before) {
  if (status.ok()) return true;
  ++failed_calls_;
  EXPECT_GT(injector.failures(), failures_before) << what << " fails by itself: " << status;
  EXPECT_TRUE(status.code() == StatusCode::kResourceExhausted || status.code() == StatusCode::kUnavailable)
      << what << ": " << status;
  return false;
}

void Trial::Require(const char* what, const Status& status) {
  if (status.ok()) return;
  ADD_FAILURE() << what << " again, while nothing fails: " << status;
  throw TrialEnded();
}

void Trial::CheckInvariants() {
  if (runtime == nullptr) return;
  const Statistics statistics = runtime->statistics();
  ExpectBookedOnce(statistics.total);
  for (const TierStatistics* tier : {&statistics.device, &statistics.pinned, &statistics.pageable, &statistics.file}) {
    EXPECT_EQ(tier->live + tier->waste + tier->cached + tier->pending, tier->reserved);
  }
  const DeviceTier& tier = runtime->core()->tier(0);
  tier.pool->CheckInvariants();
  if (tier.direct != nullptr) tier.direct->CheckInvariants();
  for (const BlockPool* pool : tier.HostPools()) pool->CheckInvariants();
}

Allocation Trial::Make(const Bytes& bytes, Holds holds, int stream) {
  const Allocation made =
      Try("allocate", [&] {
        return runtime->Allocate(bytes.size(), holds, streams[static_cast<std::size_t>(stream)], "x");
      }).value();
  Write(made.data, bytes, stream);
  return made;
}

Adopted Trial::AdoptOne(const Bytes& bytes) {
  Adopted made;
  made.memory = TakeMemory(bytes.size());
  Write(made.memory.get(), bytes);
  made.storage = Try("register", [&] {
                   return runtime->Register(made.memory.get(), bytes.size(), 0, Holds::kTransient, "adopted");
                 }).value();
  return made;
}

Saved Trial::Pack(StorageId id, const Layout& layout, Keepalive keepalive, int stream) {
  return Try("pack",
             [&] {
               return runtime->Pack({id, layout}, keepalive, streams[static_cast<std::size_t>(stream)], "saved");
             })
      .value();
}

Loaded Trial::Unpack(const Saved& saved, int stream) {
  return Try("unpack", [&] { return runtime->Unpack(saved, streams[static_cast<std::size_t>(stream)]); }).value();
}

void Trial::ExpectBack(const Saved& saved, const Bytes& storage, int stream) {
  Loaded loaded = Unpack(saved, stream);
  EXPECT_EQ(Read(loaded, stream), ElementsOf(storage.data(), loaded.layout())) << "other bytes came back";
  Drop(loaded);
}

void Trial::Retire(StorageId id, int stream) {
  (void)Try("retire", [&] { return runtime->Retire(id, streams[static_cast<std::size_t>(stream)]); });
}

void Trial::Derive(const View& derived, const View& source, Replay replay) {
  (void)Try("derive", [&] { return runtime->Derive(derived, source, replay); });
}

void Trial::Drain() {
  (void)Try("drain", [&] { return runtime->Drain(); });
}

void Trial::Write(void* to, Bytes bytes, int stream) {
  const std::size_t count = bytes.size();
  HostKernel kernel;
  kernel.name = "write";
  kernel.accesses = {{to, count, true}};
  kernel.run = [to, data = std::make_shared<Bytes>(std::move(bytes))](KernelContext&) {
    std::memcpy(to, data->data(), data->size());
  };
  ASSERT_TRUE(device->Launch(streams[static_cast<std::size_t>(stream)], std::move(kernel)).ok());
}

Bytes Trial::Read(const Loaded& loaded, int stream) {
  Bytes elements;
  HostKernel kernel;
  kernel.name = "read";
  kernel.run = [&elements, from = static_cast<const std::uint8_t*>(loaded.origin()),
                layout = loaded.layout()](KernelContext&) { elements = ElementsOf(from, layout); };
  EXPECT_TRUE(device->Launch(streams[static_cast<std::size_t>(stream)], std::move(kernel)).ok());
  EXPECT_TRUE(runtime->Synchronize(streams[static_cast<std::size_t>(stream)]).ok());
  return elements;
}

Keepalive Trial::TakeMemory(std::size_t bytes) {
  Order(0);
  return Keepalive(memory->Take(bytes), [this, bytes](void* block) {
    const NotInjecting given_back(injector);
    memory->Give(block, bytes);
    Order(0);
    Write(block, Bytes(bytes, 0xEF));
  });
}

std::shared_ptr<DeviceAllocator> Trial::Allocator() {
  auto allocator = std::make_shared<DeviceAllocator>();
  allocator->allocate = [this](std::size_t bytes, Stream) -> void* {
    const NotInjecting paused(injector);
    return memory->Take(bytes);
  };
  allocator->deallocate = [this](void* data, std::size_t bytes, Stream stream) {
    const NotInjecting paused(injector);
    memory->Give(data, bytes);
    EXPECT_TRUE(device->Fill(data, 0xEF, bytes, stream).ok());
    EXPECT_TRUE(device->Synchronize().ok());
  };
  return allocator;
}

void Trial::Order(int later) {
  const EventId event = device->CreateEvent().value();
  for (const Stream stream : streams) {
    EXPECT_TRUE(device->RecordEvent(event, stream).ok());
    EXPECT_TRUE(device->WaitEvent(streams[static_cast<std::size_t>(later)], event).ok());
  }
  device->DestroyEvent(event);
}

}  // namespace tierlib
