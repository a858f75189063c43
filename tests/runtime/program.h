// Program: what a training program does around the verbs, for tests: kernels on streams of its own, ordered by its own
// events, memory of its own on the device, and reads that are checked on the host.
#ifndef TIERLIB_TESTS_RUNTIME_PROGRAM_H_
#define TIERLIB_TESTS_RUNTIME_PROGRAM_H_

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "runtime/core.h"
#include "storage/random_layout.h"
#include "tierlib/tierlib.h"

namespace tierlib {

using Bytes = std::vector<std::uint8_t>;

inline Bytes RandomBytes(Random& random, std::uint64_t count) {
  Bytes bytes(count);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random.NextU32());
  return bytes;
}

inline Bytes Slice(const Bytes& bytes, std::size_t begin, std::size_t end) {
  return Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.begin() + static_cast<std::ptrdiff_t>(end));
}

// The elements of a layout in row-major order, out of the storage's bytes.
inline Bytes ElementsOf(const std::uint8_t* storage, const Layout& layout) {
  Bytes elements(static_cast<std::size_t>(layout.logical_bytes()));
  const std::size_t size = ElementBytes(layout.dtype);
  ForEachElement(layout, [&](std::int64_t element, std::int64_t offset) {
    std::memcpy(elements.data() + static_cast<std::size_t>(element) * size, storage + offset, size);
  });
  return elements;
}

inline Options DeterministicOptions(std::uint64_t seed, OffloadMode mode = OffloadMode::kMarshal,
                                    OffloadPolicy policy = OffloadPolicy::kAll) {
  Options options;
  options.devices[0].capacity = MiB(4);
  options.devices[0].emulated.schedule = EmulatedSchedule::kDeterministic;
  options.devices[0].emulated.seed = seed;
  options.devices[0].emulated.kernel_threads = 1;
  options.devices[0].emulated.poison = true;
  options.devices[0].spare_bytes =
      0;  // each value is copied in; those that take their memory back have tests of their own
  options.pinned_limit = MiB(8);
  options.pageable_limit = MiB(1);
  options.mode = mode;
  options.policy = policy;
  return options;
}

// Device memory that belongs to the program. Blocks are used again at once; a free one holds poison, written in stream
// order after the program's own work only: nobody else may still need it.
class ProgramMemory {
 public:
  ProgramMemory(DeviceBackend& device, std::size_t bytes)
      : base_(static_cast<std::uint8_t*>(device.Reserve(bytes).value())), bytes_(bytes) {}

  // nullptr where full.
  void* Take(std::size_t bytes) {
    const std::size_t rounded = Rounded(bytes);
    std::size_t begin = 0;
    for (const auto& [offset, size] : taken_) {
      if (offset - begin >= rounded) break;
      begin = offset + size;
    }
    if (begin + rounded > bytes_) return nullptr;
    taken_[begin] = rounded;
    return base_ + begin;
  }
  void Give(void* data, std::size_t bytes) {
    const auto found = taken_.find(static_cast<std::size_t>(static_cast<std::uint8_t*>(data) - base_));
    ASSERT_NE(found, taken_.end()) << "given back twice, or never taken";
    ASSERT_EQ(found->second, Rounded(bytes));
    taken_.erase(found);
  }
  std::size_t blocks() const { return taken_.size(); }

 private:
  static std::size_t Rounded(std::size_t bytes) { return (bytes + 255) / 256 * 256 + (bytes == 0 ? 256 : 0); }
  std::uint8_t* const base_;
  const std::size_t bytes_;
  std::map<std::size_t, std::size_t> taken_;  // offset to bytes
};

class Program {
 public:
  static constexpr std::size_t kMemory = MiB(2);

  // `with_memory`: takes kMemory of the device for itself, before tierlib's pool takes any.
  explicit Program(const Options& options, bool with_memory = false)
      : runtime(Runtime::Create(options).value()), device(&runtime->core()->backend(0)) {
    if (with_memory) memory = std::make_unique<ProgramMemory>(*device, kMemory);
    for (const char* name : {"compute", "other"}) {
      streams.push_back(runtime->CreateStream(0, name).value());
      done.push_back(device->CreateEvent().value());
    }
  }

  // Keepalives that come back late still find the program here.
  ~Program() { EXPECT_TRUE(runtime == nullptr || runtime->Drain().ok()); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  Stream compute() const { return streams[0]; }
  Stream other() const { return streams[1]; }

  // --- Kernels
  // --------------------------------------------------------------------------------------------------------
  void Launch(Stream stream, std::vector<Access> accesses, std::function<void()> run) {
    HostKernel kernel;
    kernel.name = "program";
    kernel.accesses.assign(accesses.begin(), accesses.end());
    kernel.run = [run = std::move(run)](KernelContext&) { run(); };
    ASSERT_TRUE(device->Launch(stream, std::move(kernel)).ok());
    for (std::size_t i = 0; i < streams.size(); ++i) {
      if (streams[i] != stream) continue;
      ASSERT_TRUE(device->RecordEvent(done[i], stream).ok());
    }
  }
  // Later work of `stream` comes after the program's kernels so far; it knows nothing of tierlib's.
  void OrderAfterKernels(Stream stream) {
    for (std::size_t i = 0; i < streams.size(); ++i) {
      if (streams[i] == stream) continue;
      ASSERT_TRUE(device->WaitEvent(stream, done[i]).ok());
    }
  }
  void Write(void* to, Bytes bytes, Stream stream) {
    const std::size_t count = bytes.size();
    if (count == 0) return;
    Launch(stream, {{to, count, true}},
           [to, data = std::make_shared<Bytes>(std::move(bytes))] { std::memcpy(to, data->data(), data->size()); });
  }
  // The elements of a loaded value, there once the stream's work has ended.
  std::shared_ptr<Bytes> ReadLater(const Loaded& loaded, Stream stream) {
    auto elements = std::make_shared<Bytes>();
    const Layout layout = loaded.layout();
    if (layout.elements() == 0) return elements;
    const auto* origin = static_cast<const std::uint8_t*>(loaded.origin());
    std::int64_t last = 0;
    ForEachElement(layout, [&last](std::int64_t, std::int64_t offset) { last = std::max(last, offset); });
    const auto bytes = static_cast<std::size_t>(last - layout.offset_bytes) + ElementBytes(layout.dtype);
    Launch(stream, {{origin + layout.offset_bytes, bytes, false}},
           [elements, origin, layout] { *elements = ElementsOf(origin, layout); });
    return elements;
  }
  Bytes Read(const Loaded& loaded, Stream stream) {
    const std::shared_ptr<Bytes> elements = ReadLater(loaded, stream);
    EXPECT_TRUE(runtime->Synchronize(stream).ok());
    return *elements;
  }

  // --- Verbs that must succeed
  // ------------------------------------------------------------------------------------------
  Allocation Make(const Bytes& bytes, Holds holds = Holds::kTransient) {
    Allocation made = runtime->Allocate(bytes.size(), holds, compute(), "x").value();
    Write(made.data, bytes, compute());
    return made;
  }
  Saved Pack(StorageId id, const Layout& layout, Keepalive keepalive = nullptr) {
    return runtime->Pack({id, layout}, std::move(keepalive), compute(), "saved").value();
  }
  Bytes Unpack(const Saved& saved) { return Read(runtime->Unpack(saved, compute()).value(), compute()); }
  void Retire(StorageId id) { ASSERT_TRUE(runtime->Retire(id, compute()).ok()); }
  void BeginWrite(StorageId id) { ASSERT_TRUE(runtime->BeginWrite(id, compute()).ok()); }
  Ledger ledger() const { return runtime->statistics().total; }

  // --- The program's own memory
  // ----------------------------------------------------------------------------------------- A block whose last
  // reference gives it back; null where there is no room.
  Keepalive TakeMemory(std::size_t bytes) {
    void* data = memory->Take(bytes);
    if (data == nullptr) return nullptr;
    return Keepalive(data, [this, bytes](void* block) { GiveMemory(block, bytes); });
  }
  void GiveMemory(void* block, std::size_t bytes) {
    memory->Give(block, bytes);
    OrderAfterKernels(compute());
    Write(block, Bytes(bytes, 0xEF), compute());
  }

  std::unique_ptr<ProgramMemory> memory;  // before the runtime, which may give some back when it goes
  std::unique_ptr<Runtime> runtime;
  DeviceBackend* device;
  std::vector<Stream> streams;
  std::vector<EventId> done;  // per stream, after the program's last kernel on it
};

// A storage in memory of the program's own.
struct Adopted {
  StorageId storage;
  Keepalive memory;
};

inline Adopted Adopt(Program& p, const Bytes& bytes, Holds holds = Holds::kTransient) {
  Adopted made;
  made.memory = p.TakeMemory(bytes.size());
  p.Write(made.memory.get(), bytes, p.compute());
  made.storage = p.runtime->Register(made.memory.get(), bytes.size(), 0, holds, "adopted").value();
  return made;
}

// Reads `count` bytes on `other` behind the back of the program's own order: only tierlib knows that `other` reads.
inline void LaunchUnseen(Program& p, const Loaded& loaded, std::size_t count, const std::shared_ptr<Bytes>& seen) {
  HostKernel read;
  read.name = "read";
  read.run = [seen, count, from = static_cast<const std::uint8_t*>(loaded.origin())](KernelContext&) {
    seen->assign(from, from + count);
  };
  ASSERT_TRUE(p.device->Launch(p.other(), std::move(read)).ok());
}

inline Layout WholeOf(std::uint64_t bytes) {
  return Layout::Contiguous(DType::kU8, {static_cast<std::int64_t>(bytes)});
}
inline Layout PartOf(std::uint64_t begin, std::uint64_t end) {
  Layout layout = WholeOf(end - begin);
  layout.offset_bytes = static_cast<std::int64_t>(begin);
  return layout;
}

// Every packed byte is booked once; those booked again later are counted apart.
inline void ExpectBookedOnce(const Ledger& l) {
  EXPECT_EQ(l.naive + l.reconsidered,
            l.moved + l.avoided_identity + l.avoided_lineage + l.avoided_recompute + l.frees_nothing + l.kept);
  EXPECT_EQ(l.engine_out, l.moved);
  EXPECT_EQ(l.engine_in, l.moved_in);
}

}  // namespace tierlib

#endif  // TIERLIB_TESTS_RUNTIME_PROGRAM_H_
