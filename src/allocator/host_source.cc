// The MemorySource over host memory: one address range reserved by mmap, made accessible piece by piece. Pinned pieces
// are put on huge pages and on their NUMA node, touched, locked and registered before anyone gets them, because a first
// touch or a page fault during a step costs more than everything else that a pool does.
#include <sys/mman.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "allocator/memory_source.h"
#include "allocator/numa_topology.h"
#include "allocator/piece_list.h"
#include "allocator/pre_touch.h"
#include "base/fork_mark.h"
#include "tierlib/bytes.h"

namespace tierlib {
namespace {

constexpr std::uint64_t kHugePage = MiB(2);
constexpr std::uint64_t kLockStep = MiB(2);

// The node that pages come from; -1 where the machine has no say in it.
StatusOr<int> ChooseNode(const NumaTopology& topology, int asked) {
  const int nodes = topology.nodes();
  if (asked >= std::max(1, nodes)) {
    return InvalidArgumentError(
        absl::StrCat("NUMA node ", asked, ": the highest of this machine is ", std::max(0, nodes - 1)));
  }
  if (nodes == 0) return -1;
  if (asked >= 0) {
    if (topology.MayUse(asked)) return asked;
    return InvalidArgumentError(absl::StrCat("NUMA node ", asked, ": this process may not have memory of it"));
  }
  const int here = topology.NodeOfCpu(topology.CurrentCpu());
  return topology.MayUse(here) ? here : -1;
}

class HostSource : public MemorySource {
 public:
  HostSource(const HostSourceOptions& options, NumaTopology& topology, int node, std::byte* mapping,
             std::uint64_t mapped)
      : options_(options),
        topology_(topology),
        node_(node),
        cpus_(options.tier == Tier::kPinned && !options.shape_only ? topology.CpusOf(node) : std::vector<int>()),
        mapping_(mapping),
        mapped_(mapped) {
    const auto address = reinterpret_cast<std::uintptr_t>(mapping);
    base_ = mapping + ((kHugePage - address % kHugePage) % kHugePage);
    options_.capacity = options_.capacity / PageBytes() * PageBytes();
  }

  ~HostSource() override {
    if (fork_.in_child()) return;  // pinned memory is not there, and something else may be at its addresses
    (void)HostSource::Shrink(pieces_.grown());
    munmap(mapping_, mapped_);
  }

  Tier tier() const override { return options_.tier; }
  std::uint64_t capacity() const override { return options_.capacity; }
  std::size_t granularity() const override { return PageBytes(); }
  std::byte* base() const override { return base_; }
  std::size_t base_alignment() const override { return kHugePage; }
  std::size_t grown() const override { return pieces_.grown(); }
  std::size_t locked() const override { return pieces_.locked(); }
  std::size_t absent() const override { return pieces_.absent(); }
  std::size_t AbsentIn(std::size_t offset, std::size_t bytes) const override { return pieces_.AbsentIn(offset, bytes); }
  std::size_t MissingFor(std::size_t offset, std::size_t bytes) const override {
    return pieces_.MissingFor(offset, bytes);
  }
  int numa_node() const override { return options_.tier == Tier::kPinned ? node_ : -1; }

  Status Grow(std::size_t bytes) override {
    if (bytes == 0 || bytes % PageBytes() != 0) {
      return InvalidArgumentError(absl::StrCat("growing host memory by ", bytes, " bytes: not a multiple of a page"));
    }
    if (bytes > options_.capacity - grown()) return Status(StatusCode::kResourceExhausted);
    pieces_.PrepareAppend();
    TIERLIB_ASSIGN_OR_RETURN(const std::size_t locked, Provide(base_ + grown(), bytes));
    pieces_.Append(bytes, locked);
    return OkStatus();
  }

  StatusOr<std::size_t> Shrink(std::size_t bytes) override {
    const std::size_t before = grown();
    const std::size_t kept = before - std::min(bytes, before);
    std::size_t count = pieces_.Within(kept, before - kept).size();
    for (; count > 0; --count) {
      const PieceList::Piece& last = pieces_.Overlapping(grown() - 1, 1).front();
      if (!last.absent) TIERLIB_RETURN_IF_ERROR(TakeAway(last));
      pieces_.RemoveLast();
    }
    return before - grown();
  }

  Status Discard(std::size_t offset, std::size_t bytes) override {
    for (const PieceList::Piece& piece : pieces_.Within(offset, bytes)) {
      if (piece.absent) continue;
      TIERLIB_RETURN_IF_ERROR(TakeAway(piece));
      pieces_.MarkAbsent(piece);
    }
    return OkStatus();
  }

  Status Commit(std::size_t offset, std::size_t bytes) override {
    for (const PieceList::Piece& piece : pieces_.Overlapping(offset, bytes)) {
      if (!piece.absent) continue;
      TIERLIB_ASSIGN_OR_RETURN(const std::size_t locked, Provide(base_ + piece.offset, piece.bytes));
      pieces_.MarkPresent(piece, locked);
    }
    return OkStatus();
  }

  StatusOr<Placement> VerifyPlacement(std::size_t bytes) const override {
    Placement placement;
    placement.node = node_;
    placement.pages.resize(static_cast<std::size_t>(topology_.nodes()));
    constexpr std::size_t kBatch = 4096;
    std::vector<void*> pages;
    std::vector<int> nodes;
    for (std::size_t begin = 0; begin < bytes && !options_.shape_only; begin += kBatch * PageBytes()) {
      pages.clear();
      for (std::size_t offset = begin; offset < bytes && pages.size() < kBatch; offset += PageBytes()) {
        pages.push_back(base_ + offset);
      }
      nodes.assign(pages.size(), -1);
      TIERLIB_RETURN_IF_ERROR(topology_.FindNodes(pages, absl::MakeSpan(nodes)));
      for (const int node : nodes) Count(node, placement);
    }
    return placement;
  }

  // A fork shares pages until one side writes, and the writer gets a copy. That would be the parent: its address would
  // lead to another page than the one that is registered, to and from which the device goes on copying. So a child gets
  // none of the range, and faults where it reads it.
  void KeepFromChildren() {
    if (options_.tier == Tier::kPinned && !options_.shape_only) madvise(mapping_, mapped_, MADV_DONTFORK);
  }

  // Binds the whole range, in which nothing is in memory yet.
  Status Bind() {
    if (node_ < 0 || options_.tier != Tier::kPinned || options_.shape_only) return OkStatus();
    const Status bound = topology_.Bind(mapping_, mapped_, node_);
    // Some systems forbid it, as containers do: then pages come from where they are touched, as always, and
    // VerifyPlacement tells where that was.
    return bound.code() == StatusCode::kUnimplemented ? OkStatus() : bound;
  }

  bool notes_blocks() const override {
    return options_.device != nullptr && !options_.shape_only && options_.device->info().notes_blocks;
  }
  void NoteBlock(void* base, std::size_t bytes, bool live, Stream stream) override {
    if (notes_blocks()) options_.device->NoteBlock(base, bytes, live, stream);
  }

 private:
  bool Registers() const { return options_.tier == Tier::kPinned && options_.device != nullptr; }

  // Where pages are bound to a node without memory the kernel ends programs: not to come near that is the only way.
  bool NodeHolds(std::size_t bytes) const {
    return node_ < 0 || options_.tier != Tier::kPinned || options_.shape_only || bytes <= topology_.FreeBytes(node_);
  }

  static void Count(int node, Placement& placement) {
    if (node < 0) {
      ++placement.absent;
      return;
    }
    const auto index = static_cast<std::size_t>(node);
    if (placement.pages.size() <= index) placement.pages.resize(index + 1);
    ++placement.pages[index];
    if (placement.node >= 0 && node != placement.node) ++placement.elsewhere;
  }

  // Puts memory behind a piece; returns how much of it is locked.
  StatusOr<std::size_t> Provide(std::byte* begin, std::size_t bytes) {
    if (!NodeHolds(bytes)) return Status(StatusCode::kResourceExhausted);
    if (options_.shape_only) return std::size_t{0};
    if (mprotect(begin, bytes, PROT_READ | PROT_WRITE) != 0) return Status(StatusCode::kResourceExhausted);
    const Status prepared = Prepare(begin, bytes);
    if (!prepared.ok()) {
      Return(begin, bytes);
      return prepared;
    }
    return Lock(begin, bytes);
  }

  // The opposite.
  Status TakeAway(const PieceList::Piece& piece) {
    if (options_.shape_only) return OkStatus();
    std::byte* const begin = base_ + piece.offset;
    if (Registers()) TIERLIB_RETURN_IF_ERROR(options_.device->UnpinHost(begin, piece.bytes));
    if (piece.locked > 0) munlock(begin, piece.locked);
    Return(begin, piece.bytes);
    return OkStatus();
  }

  Status Prepare(std::byte* begin, std::size_t bytes) {
    if (options_.tier != Tier::kPinned) return OkStatus();
    madvise(begin, bytes, MADV_HUGEPAGE);  // faster where the system has any
    TIERLIB_RETURN_IF_ERROR(PreTouch(topology_, begin, bytes, cpus_));
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

  const ForkMark fork_;
  HostSourceOptions options_;
  NumaTopology& topology_;
  const int node_;
  const std::vector<int> cpus_;  // from which pages are touched
  std::byte* const mapping_;
  const std::uint64_t mapped_;
  std::byte* base_ = nullptr;  // mapping_, moved up to a huge page
  PieceList pieces_{kHugePage};
};

}  // namespace

StatusOr<std::unique_ptr<MemorySource>> MakeHostSource(const HostSourceOptions& options) {
  if (options.tier == Tier::kDevice) return InvalidArgumentError("a host source needs a host tier");
  NumaTopology& topology = options.topology != nullptr ? *options.topology : MachineTopology();
  TIERLIB_ASSIGN_OR_RETURN(const int node, ChooseNode(topology, options.numa_node));
  const auto refused = [&options] {
    return ResourceExhaustedError(absl::StrCat(TierName(options.tier), " memory ", FormatBytes(options.capacity),
                                               ": the address space of this process does not hold it"));
  };
  if (options.capacity > (std::uint64_t{1} << 62)) return refused();
  const std::uint64_t mapped = options.capacity + kHugePage;
  void* mapping = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return refused();
  auto source = std::make_unique<HostSource>(options, topology, node, static_cast<std::byte*>(mapping), mapped);
  source->KeepFromChildren();
  TIERLIB_RETURN_IF_ERROR(source->Bind());
  return std::unique_ptr<MemorySource>(std::move(source));
}

}  // namespace tierlib
