// The MemorySource over host memory: one address range reserved by mmap, made accessible piece by piece. Pinned pieces
// are put on huge pages and on their NUMA node, touched, locked and registered before anyone gets them, because a first
// touch or a page fault during a step costs more than everything else that a pool does.
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "allocator/memory_source.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kHugePage = MiB(2);
constexpr std::uint64_t kLockStep = MiB(2);

std::uint64_t PageBytes() {
  static const std::uint64_t bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// The node that pages should come from; -1 where the machine has no say in it.
StatusOr<int> ChooseNode(int asked) {
  const bool available = numa_available() >= 0;
  const int highest = available ? numa_max_node() : 0;
  if (asked > highest) {
    return InvalidArgumentError(absl::StrCat("NUMA node ", asked, ": the highest of this machine is ", highest));
  }
  if (!available) return -1;
  if (asked >= 0) return asked;
  return numa_node_of_cpu(std::max(0, sched_getcpu()));
}

class HostSource : public MemorySource {
 public:
  HostSource(const HostSourceOptions& options, int node, std::byte* mapping, std::uint64_t mapped)
      : options_(options), node_(node), mapping_(mapping), mapped_(mapped) {
    const auto address = reinterpret_cast<std::uintptr_t>(mapping);
    base_ = mapping + ((kHugePage - address % kHugePage) % kHugePage);
    options_.capacity = options_.capacity / PageBytes() * PageBytes();
  }

  ~HostSource() override {
    (void)HostSource::Shrink(grown_);
    munmap(mapping_, mapped_);
  }

  Tier tier() const override { return options_.tier; }
  std::uint64_t capacity() const override { return options_.capacity; }
  std::size_t granularity() const override { return PageBytes(); }
  std::byte* base() const override { return base_; }
  std::size_t base_alignment() const override { return kHugePage; }
  std::size_t grown() const override { return grown_; }
  std::size_t locked() const override { return locked_; }

  Status Grow(std::size_t bytes) override {
    if (bytes == 0 || bytes % PageBytes() != 0) {
      return InvalidArgumentError(absl::StrCat("growing host memory by ", bytes, " bytes: not a multiple of a page"));
    }
    if (bytes > options_.capacity - grown_) return Status(StatusCode::kResourceExhausted);
    std::byte* const begin = base_ + grown_;
    if (!options_.shape_only) {
      if (mprotect(begin, bytes, PROT_READ | PROT_WRITE) != 0) return Status(StatusCode::kResourceExhausted);
      const Status prepared = Prepare(begin, bytes);
      if (!prepared.ok()) {
        Return(begin, bytes);
        return prepared;
      }
    }
    pieces_.push_back(Piece{bytes, options_.shape_only ? 0 : Lock(begin, bytes)});
    grown_ += bytes;
    locked_ += pieces_.back().locked;
    return OkStatus();
  }

  StatusOr<std::size_t> Shrink(std::size_t bytes) override {
    std::size_t given_back = 0;
    while (!pieces_.empty() && pieces_.back().bytes <= bytes - given_back) {
      const Piece piece = pieces_.back();
      std::byte* const begin = base_ + grown_ - piece.bytes;
      if (!options_.shape_only) {
        if (Registers()) TIERLIB_RETURN_IF_ERROR(options_.device->UnpinHost(begin, piece.bytes));
        if (piece.locked > 0) munlock(begin, piece.locked);
        Return(begin, piece.bytes);
      }
      pieces_.pop_back();
      grown_ -= piece.bytes;
      locked_ -= piece.locked;
      given_back += piece.bytes;
    }
    return given_back;
  }

  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override {
    if (options_.device != nullptr && !options_.shape_only) options_.device->NoteBlock(base, bytes, live, stream);
  }

 private:
  struct Piece {
    std::size_t bytes = 0;
    std::size_t locked = 0;  // of these, from its beginning
  };

  bool Registers() const { return options_.tier == Tier::kPinned && options_.device != nullptr; }

  // Of the steps for pinned memory, only the registration may fail; the others make it faster where the system allows.
  Status Prepare(std::byte* begin, std::size_t bytes) {
    if (options_.tier != Tier::kPinned) return OkStatus();
    madvise(begin, bytes, MADV_HUGEPAGE);
    if (node_ >= 0) {
      // Preferred, not bound: memory of another node is slower, no memory ends the program.
      std::vector<unsigned long> mask(static_cast<std::size_t>(node_) / 64 + 1, 0);  // NOLINT: mbind's type
      mask[static_cast<std::size_t>(node_) / 64] = 1ul << (node_ % 64);
      (void)mbind(begin, bytes, MPOL_PREFERRED, mask.data(), mask.size() * 64 + 1, 0);
    }
    for (std::size_t offset = 0; offset < bytes; offset += PageBytes()) begin[offset] = std::byte{0};
    return Registers() ? options_.device->PinHost(begin, bytes) : OkStatus();
  }

  // Locks from the beginning of the piece as far as RLIMIT_MEMLOCK allows; returns the bytes.
  std::size_t Lock(std::byte* begin, std::size_t bytes) const {
    if (options_.tier != Tier::kPinned) return 0;
    if (mlock(begin, bytes) == 0) return bytes;
    std::size_t locked = 0;
    for (std::size_t step = kLockStep; step >= PageBytes(); step /= 2) {
      while (step <= bytes - locked && mlock(begin + locked, step) == 0) locked += step;
    }
    return locked;
  }

  static void Return(std::byte* begin, std::size_t bytes) {
    madvise(begin, bytes, MADV_DONTNEED);
    (void)mprotect(begin, bytes, PROT_NONE);
  }

  HostSourceOptions options_;
  const int node_;
  std::byte* const mapping_;
  const std::uint64_t mapped_;
  std::byte* base_ = nullptr;  // mapping_, moved up to a huge page
  std::size_t grown_ = 0;
  std::size_t locked_ = 0;
  std::vector<Piece> pieces_;  // in ascending order of address
};

}  // namespace

StatusOr<std::unique_ptr<MemorySource>> MakeHostSource(const HostSourceOptions& options) {
  if (options.tier == Tier::kDevice) return InvalidArgumentError("a host source needs a host tier");
  TIERLIB_ASSIGN_OR_RETURN(const int node, ChooseNode(options.numa_node));
  const auto refused = [&options] {
    return ResourceExhaustedError(absl::StrCat(TierName(options.tier), " memory ", FormatBytes(options.capacity),
                                               ": the address space of this process does not hold it"));
  };
  if (options.capacity > (std::uint64_t{1} << 62)) return refused();
  const std::uint64_t mapped = options.capacity + kHugePage;
  void* mapping = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return refused();
  return std::unique_ptr<MemorySource>(
      std::make_unique<HostSource>(options, node, static_cast<std::byte*>(mapping), mapped));
}

}  // namespace tierlib
