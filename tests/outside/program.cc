// Hands a block of memory to tierlib and takes it back: the bytes leave the device, and return.
#include <tierlib/tierlib.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

int main() {
  tierlib::Options options;  // one emulated device: needs no GPU
  options.devices[0].capacity = tierlib::MiB(16);
  options.pinned_limit = options.pageable_limit = tierlib::MiB(16);
  auto runtime = tierlib::Runtime::Create(options);
  if (!runtime.ok()) return std::fprintf(stderr, "%s\n", runtime.status().ToString().c_str()), 1;
  const tierlib::Stream stream = (*runtime)->CreateStream(0, "compute").value();

  auto memory =
      std::make_shared<std::vector<float>>(1 << 20, 3.25f);  // the program's own, as its framework allocates it
  const std::vector<float> expected = *memory;
  const std::uint64_t bytes = expected.size() * sizeof(float);
  const tierlib::StorageId x =
      (*runtime)->Register(memory->data(), bytes, 0, tierlib::Holds::kTransient, "activation").value();

  const tierlib::View rows{x, tierlib::Layout::Contiguous(tierlib::DType::kF32, {1024, 1024})};
  const tierlib::View flat{x, tierlib::Layout::Contiguous(tierlib::DType::kF32, {1 << 20})};
  tierlib::Saved saved = (*runtime)->Pack(rows, memory, stream, "rows").value();
  tierlib::Saved again = (*runtime)->Pack(flat, memory, stream, "flat").value();  // the same bytes: nothing is copied
  if (!(*runtime)->Retire(x, stream).ok() || !(*runtime)->Drain().ok()) return 1;
  memory.reset();  // tierlib dropped its reference after the copy: here the memory is freed

  tierlib::Loaded loaded = (*runtime)->Unpack(saved, stream).value();
  if (!(*runtime)->Synchronize(stream).ok()) return 1;
  const bool equal = std::memcmp(loaded.origin(), expected.data(), bytes) == 0;
  const tierlib::Ledger ledger = (*runtime)->statistics().total;
  std::printf("moved %s, avoided %s, bytes %s\n", tierlib::FormatBytes(ledger.moved).c_str(),
              tierlib::FormatBytes(ledger.avoided_identity).c_str(), equal ? "equal" : "DIFFERENT");
  return equal && ledger.moved == bytes && ledger.avoided_identity == bytes ? 0 : 1;
}
