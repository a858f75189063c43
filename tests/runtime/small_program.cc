#include "runtime/small_program.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tierlib {
namespace {

constexpr std::uint8_t kKey = 0x5A;  // of the callback that programs derive with

Layout Strided(DType dtype, Dims sizes, Dims strides, std::int64_t offset_bytes = 0) {
  Layout layout;
  layout.dtype = dtype;
  layout.sizes = sizes;
  layout.strides = strides;
  layout.offset_bytes = offset_bytes;
  return layout;
}

// Bytes of `base` that the elements of `layout` lie among. REQUIRES: elements.
Access HullOf(const void* base, const Layout& layout, bool writes) {
  const auto size = static_cast<std::int64_t>(ElementBytes(layout.dtype));
  std::int64_t bytes = size;
  for (int i = 0; i < layout.rank(); ++i) bytes += (layout.sizes[i] - 1) * layout.strides[i] * size;
  return {static_cast<const std::uint8_t*>(base) + layout.offset_bytes, static_cast<std::size_t>(bytes), writes};
}

bool SameElements(const std::uint8_t* a, const std::uint8_t* b, const Layout& layout) {
  if (layout.is_contiguous()) {
    return std::memcmp(a + layout.offset_bytes, b + layout.offset_bytes,
                       static_cast<std::size_t>(layout.logical_bytes())) == 0;
  }
  bool same = true;
  const std::size_t size = ElementBytes(layout.dtype);
  ForEachElement(layout, [&](std::int64_t, std::int64_t at) { same = same && std::memcmp(a + at, b + at, size) == 0; });
  return same;
}

}  // namespace

SmallPrograms::SmallPrograms(const Options& options, bool may_be_full) : may_be_full_(may_be_full), p_(options) {
  p_.memory = std::make_unique<ProgramMemory>(*p_.device, kOwnMemory);
}

// --- what a program is made of --------------------------------------------------------------------------------------

void SmallPrograms::Run(std::uint64_t seed) {
  random_ = Random(seed);
  const std::uint64_t verbs = 8 + random_.UniformInt(10);
  for (std::uint64_t i = 0; i < verbs && !testing::Test::HasFailure(); ++i) Step();
  Backward();
  while (!loaded_.empty()) DropLoaded(loaded_.size() - 1);
  saved_.clear();
  while (!tensors_.empty()) RetireOne(random_.UniformInt(tensors_.size()));
  if (OneIn(4)) p_.runtime->EndStep();
  for (const Stream stream : p_.streams) ASSERT_TRUE(p_.runtime->Synchronize(stream).ok()) << Wrong();
  ASSERT_EQ(Wrong(), "");
}

void SmallPrograms::Step() {
  switch (random_.UniformInt(16)) {
    case 0:
    case 1:
    case 2: return MakeOne();
    case 3:
    case 4: return DeriveOne();
    case 5:
    case 6: return WriteOne();
    case 7:
    case 8:
    case 9: return PackOne();
    case 10:
    case 11:
      if (saved_.empty() || loaded_.size() > 3) return;
      std::swap(Any(saved_), saved_.back());
      UnpackOne(saved_.back());
      if (OneIn(2)) saved_.pop_back();  // what came back may outlive it
      return;
    case 12:
      if (!loaded_.empty()) DropLoaded(random_.UniformInt(loaded_.size()));
      return;
    case 13:
      if (!tensors_.empty()) RetireOne(random_.UniformInt(tensors_.size()));
      return;
    case 14:
      if (saved_.empty() || OneIn(2)) return (void)p_.runtime->Reclaim(0, random_.UniformInt(1500)).value();
      std::swap(Any(saved_), saved_.back());
      return saved_.pop_back();
    case 15: return UseStaleId();
  }
}

// What is left is asked for, mostly, in the reverse order, in the same or in another.
void SmallPrograms::Backward() {
  const std::uint64_t order = random_.UniformInt(3);
  while (!saved_.empty() && !testing::Test::HasFailure()) {
    if (order == 1) std::swap(saved_.front(), saved_.back());
    if (order == 2) std::swap(Any(saved_), saved_.back());
    if (!OneIn(5)) UnpackOne(saved_.back());
    saved_.pop_back();
    while (!loaded_.empty() && !OneIn(3)) DropLoaded(random_.UniformInt(loaded_.size()));
  }
}

Layout SmallPrograms::AnyLayout(std::uint64_t bytes) {
  const auto words = static_cast<std::int64_t>(bytes / 4);
  switch (random_.UniformInt(9)) {
    case 0:
    case 1: return WholeOf(bytes);
    case 2:
      if (words >= 64) return Strided(DType::kF32, {8, 8}, {8, 1});
      return Strided(DType::kU8, {8, 8}, {8, 1});
    case 3:
      if (words >= 64) return Strided(DType::kF32, {8, 8}, {1, 8});
      return Strided(DType::kU8, {8, 8}, {1, 8});
    case 4:
    case 5: {
      const std::uint64_t begin = random_.UniformInt(bytes);
      return PartOf(begin, begin + 1 + random_.UniformInt(bytes - begin));
    }
    case 6: return Strided(DType::kF32, {3, words / 4}, {0, 1}, 4 * static_cast<std::int64_t>(random_.UniformInt(8)));
    case 7: return Strided(DType::kI16, {6, words / 8, 2}, {2, 3, 1}, static_cast<std::int64_t>(random_.UniformInt(5)));
    default: return RandomLayout(random_, bytes);
  }
}

std::shared_ptr<SmallPrograms::Content> SmallPrograms::NewContent() {
  return std::shared_ptr<Content>(new Content, [this](Content* gone) {
    for (const EventId event : gone->used) {
      if (event != 0) spare_.push_back(event);
    }
    delete gone;
  });
}

void SmallPrograms::Used(Content& content, std::size_t stream) {
  EventId& event = content.used[stream];
  if (event == 0 && !spare_.empty()) {
    event = spare_.back();
    spare_.pop_back();
  }
  if (event == 0) event = p_.device->CreateEvent().value();
  ASSERT_TRUE(p_.device->RecordEvent(event, p_.streams[stream]).ok());
}

void SmallPrograms::AfterWriter(const Content& content, std::size_t stream) {
  if (content.writer == stream) return;
  ASSERT_TRUE(p_.device->WaitEvent(p_.streams[stream], content.used[content.writer]).ok());
}

void SmallPrograms::AfterUsers(const Content& content, std::size_t stream) {
  for (std::size_t i = 0; i < p_.streams.size(); ++i) {
    if (i == stream || content.used[i] == 0) continue;
    ASSERT_TRUE(p_.device->WaitEvent(p_.streams[stream], content.used[i]).ok());
  }
}

void SmallPrograms::Launch(std::size_t stream, std::vector<Access> accesses, std::function<void()> run) {
  p_.Launch(p_.streams[stream], std::move(accesses), std::move(run));
}

// --- the verbs ------------------------------------------------------------------------------------------------------

bool SmallPrograms::NewTensor(std::uint64_t bytes, std::size_t stream, Tensor* tensor) {
  const Holds holds = OneIn(3) ? Holds::kPersistent : Holds::kTransient;
  tensor->bytes = bytes;
  if (OneIn(3)) {
    tensor->memory = p_.TakeMemory(bytes);
    if (tensor->memory == nullptr) return false;
    tensor->data = static_cast<std::uint8_t*>(tensor->memory.get());
    tensor->storage = p_.runtime->Register(tensor->data, bytes, 0, holds, "adopted").value();
    p_.OrderAfterKernels(p_.streams[stream]);  // the block may have been used before, on any
  } else {
    const StatusOr<Allocation> made = p_.runtime->Allocate(bytes, holds, p_.streams[stream], "owned");
    if (may_be_full_ && made.status().code() == StatusCode::kResourceExhausted) return false;
    EXPECT_TRUE(made.ok()) << made.status() << Wrong();
    if (!made.ok()) return false;
    tensor->storage = made->storage;
    tensor->data = static_cast<std::uint8_t*>(made->data);
  }
  tensor->content = NewContent();
  tensor->content->data = tensor->data;
  tensor->content->writer = stream;
  return true;
}

void SmallPrograms::MakeOne() {
  if (tensors_.size() > 4) return;
  static constexpr std::uint64_t kSizes[] = {64, 100, 256, 256, 300, 512};
  const std::uint64_t bytes = kSizes[random_.UniformInt(std::size(kSizes))];
  const std::size_t stream = AnyStream();
  Tensor tensor;
  if (!NewTensor(bytes, stream, &tensor)) return;
  const std::shared_ptr<Content> content = tensor.content;
  std::uint32_t word = random_.NextU32();
  for (std::uint64_t i = 0; i < bytes; ++i) {
    word = word * 1664525 + 1013904223;
    content->bytes[i] = static_cast<std::uint8_t>(word >> 24);
  }
  Launch(stream, {{tensor.data, bytes, true}},
         [content, to = tensor.data, bytes] { std::memcpy(to, content->bytes, bytes); });
  Used(*content, stream);
  tensors_.push_back(std::move(tensor));
}

// y from a view of x: the same elements row-major somewhere in y, or each byte changed by a callback.
void SmallPrograms::DeriveOne() {
  if (tensors_.empty() || tensors_.size() > 4) return;
  const Tensor source = Any(tensors_);
  const Layout from = AnyLayout(source.bytes);
  const bool callback = OneIn(3);
  Layout to = Layout::Contiguous(from.dtype, from.sizes);
  to.offset_bytes = OneIn(2) ? 0 : 24;
  const auto bytes = std::max<std::uint64_t>(64, static_cast<std::uint64_t>(to.offset_bytes + to.logical_bytes()));
  if (bytes > kMostBytes || to.elements() == 0) return;
  const std::size_t stream = AnyStream();
  Tensor derived;
  if (!NewTensor(bytes, stream, &derived)) return;
  const std::shared_ptr<Content> content = derived.content;
  std::memset(content->bytes, 0x33, bytes);
  const std::size_t size = ElementBytes(from.dtype);
  ForEachElement(from, [&](std::int64_t element, std::int64_t at) {
    std::uint8_t* const place = content->bytes + to.offset_bytes + static_cast<std::size_t>(element) * size;
    for (std::size_t i = 0; i < size; ++i) {
      place[i] =
          static_cast<std::uint8_t>(source.content->bytes[static_cast<std::size_t>(at) + i] ^ (callback ? kKey : 0));
    }
  });
  AfterWriter(*source.content, stream);
  source.content->saved = true;
  Launch(stream, {HullOf(source.data, from, false), {derived.data, bytes, true}},
         [content, data = derived.data, bytes] { std::memcpy(data, content->bytes, bytes); });
  Used(*source.content, stream);
  Used(*content, stream);
  const Replay replay =
      callback ? Replay::Call("xor", [this](const ReplayArguments& a) { return Xor(a); }) : Replay::Copy();
  ASSERT_TRUE(p_.runtime->Derive({derived.storage, to}, {source.storage, from}, replay).ok());
  derived.content->saved = true;
  tensors_.push_back(std::move(derived));
}

Status SmallPrograms::Xor(const ReplayArguments& a) {
  HostKernel kernel;
  kernel.name = "xor";
  kernel.accesses = {HullOf(a.source, a.source_layout, false), HullOf(a.destination, a.destination_layout, true)};
  kernel.run = [a](KernelContext&) {
    Bytes elements = ElementsOf(static_cast<const std::uint8_t*>(a.source), a.source_layout);
    for (std::uint8_t& byte : elements) byte = static_cast<std::uint8_t>(byte ^ kKey);
    std::copy(elements.begin(), elements.end(),
              static_cast<std::uint8_t*>(a.destination) + a.destination_layout.offset_bytes);
  };
  return p_.device->Launch(a.stream, std::move(kernel));
}

void SmallPrograms::WriteOne() {
  if (tensors_.empty()) return;
  Tensor& tensor = Any(tensors_);
  const Layout alias = AnyLayout(tensor.bytes);
  if (alias.elements() == 0) return;
  const std::size_t stream = AnyStream();
  AfterUsers(*tensor.content, stream);
  const Status begun = p_.runtime->BeginWrite(tensor.storage, p_.streams[stream]);
  if (may_be_full_ && begun.code() == StatusCode::kResourceExhausted) return;
  if (begun.code() == StatusCode::kFailedPrecondition) {
    ASSERT_TRUE(tensor.content->saved && !p_.runtime->options().write_waits) << begun;
    return;
  }
  ASSERT_TRUE(begun.ok()) << begun << Wrong();
  tensor.content->written = true;
  const std::shared_ptr<Content> content = NewContent();
  std::memcpy(content->bytes, tensor.content->bytes, kMostBytes);
  content->data = tensor.data;
  content->writer = stream;
  tensor.content = content;
  const std::size_t size = ElementBytes(alias.dtype);
  std::uint32_t word = random_.NextU32();
  ForEachElement(alias, [&](std::int64_t, std::int64_t at) {
    word = word * 1664525 + 1013904223;
    std::memset(content->bytes + at, static_cast<int>(word >> 24), size);
  });
  Launch(stream, {HullOf(tensor.data, alias, true)}, [content, alias, size, data = tensor.data] {
    ForEachElement(alias, [&](std::int64_t, std::int64_t at) { std::memcpy(data + at, content->bytes + at, size); });
  });
  Used(*content, stream);
}

void SmallPrograms::PackOne() {
  if (tensors_.empty() || saved_.size() > 8) return;
  Tensor& tensor = Any(tensors_);
  // The program's memory is used again in the order of `compute`, so that is where adopted ones are packed.
  const std::size_t stream = tensor.memory != nullptr ? 0 : AnyStream();
  AfterWriter(*tensor.content, stream);
  SavedOne saved;
  saved.layout = AnyLayout(tensor.bytes);
  saved.content = tensor.content;
  StatusOr<Saved> packed = p_.runtime->Pack({tensor.storage, saved.layout}, tensor.memory, p_.streams[stream], "saved");
  ASSERT_TRUE(packed.ok()) << packed.status() << Wrong();
  tensor.content->saved = true;
  saved.saved = *std::move(packed);
  saved_.push_back(std::move(saved));
}

void SmallPrograms::UnpackOne(const SavedOne& saved) {
  const std::size_t stream = AnyStream();  // ordered after nothing: that is tierlib's part
  StatusOr<Loaded> loaded = p_.runtime->Unpack(saved.saved, p_.streams[stream]);
  if (saved.content->written && saved.layout.elements() > 0) {
    ++refused;
    ASSERT_EQ(loaded.status().code(), StatusCode::kFailedPrecondition)
        << saved.layout.ToString() << " was written since, and this says " << loaded.status();
    ASSERT_EQ(Wrong(), "");
    return;
  }
  if (may_be_full_ && loaded.status().code() == StatusCode::kResourceExhausted) return;
  ASSERT_TRUE(loaded.ok()) << loaded.status() << Wrong();
  ASSERT_EQ(loaded->layout(), saved.layout) << loaded->layout().ToString() << " for " << saved.layout.ToString();
  loaded_.push_back({*std::move(loaded), stream, saved.content});
  ReadOne(loaded_.back());
  ++unpacked;
}

void SmallPrograms::ReadOne(LoadedOne& loaded) {
  const Layout layout = loaded.loaded.layout();
  if (layout.elements() == 0) return;
  const auto* origin = static_cast<const std::uint8_t*>(loaded.loaded.origin());
  Launch(loaded.stream, {HullOf(origin, layout, false)}, [this, origin, layout, content = loaded.content] {
    if (!SameElements(origin, content->bytes, layout))
      wrong_.push_back("other bytes came back for " + layout.ToString());
  });
  if (origin == loaded.content->data) Used(*loaded.content, loaded.stream);
}

void SmallPrograms::DropLoaded(std::size_t index) {
  LoadedOne& loaded = loaded_[index];
  // The program may have written the storage since, through whose bytes the lease looks.
  if (!loaded.content->written && OneIn(2)) {
    if (OneIn(2)) {
      const std::size_t further = AnyStream();
      // The program's own order: this stream comes after the one that waited.
      if (further != loaded.stream) {
        ASSERT_TRUE(p_.device->WaitEvent(p_.streams[further], p_.done[loaded.stream]).ok());
      }
      ASSERT_TRUE(loaded.loaded.UsedOn(p_.streams[further]).ok());
      loaded.stream = further;
    }
    ReadOne(loaded);
  }
  std::swap(loaded_[index], loaded_.back());
  loaded_.pop_back();
}

void SmallPrograms::RetireOne(std::size_t index) {
  std::swap(tensors_[index], tensors_.back());
  const Tensor tensor = std::move(tensors_.back());
  tensors_.pop_back();
  const std::size_t stream = AnyStream();
  AfterUsers(*tensor.content, stream);
  ASSERT_TRUE(p_.runtime->Retire(tensor.storage, p_.streams[stream]).ok());
  if (stale_.size() < 8) stale_.emplace_back();
  Any(stale_) = tensor.storage;
}

// An id stays that of the storage that is gone, whoever has its slot and its address now.
void SmallPrograms::UseStaleId() {
  if (stale_.empty()) return;
  const StorageId id = Any(stale_);
  if (!id.valid()) return;
  const Stream stream = p_.compute();
  Status status;
  switch (random_.UniformInt(3)) {
    case 0: status = p_.runtime->Retire(id, stream); break;
    case 1: status = p_.runtime->BeginWrite(id, stream); break;
    case 2: status = p_.runtime->Pack({id, WholeOf(8)}, nullptr, stream, "stale").status(); break;
  }
  ASSERT_EQ(status.code(), StatusCode::kFailedPrecondition) << status;
}

// --- what must hold -------------------------------------------------------------------------------------------------

std::string SmallPrograms::Wrong() const {
  std::string wrong;
  const Status health = p_.runtime->health();
  if (!health.ok()) wrong += "\n" + health.ToString();
  for (const std::string& one : wrong_) wrong += "\n" + one;
  return wrong;
}

void SmallPrograms::ExpectNothingHeld() {
  // A keepalive may wait for work that begins when another copy is seen to have ended. Drain would sleep.
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(p_.device->Synchronize().ok()) << Wrong();
    ASSERT_TRUE(p_.runtime->Reclaim(0, 0).ok());
  }
  const Statistics statistics = p_.runtime->statistics();
  ASSERT_EQ(statistics.device.live + statistics.pinned.live + statistics.pageable.live, 0u);
  ASSERT_EQ(p_.memory->blocks(), 0u);
  const Ledger& l = statistics.total;
  ASSERT_EQ(l.naive + l.reconsidered,
            l.moved + l.avoided_identity + l.avoided_lineage + l.avoided_recompute + l.frees_nothing + l.kept);
  ASSERT_EQ(l.engine_out, l.moved);
  ASSERT_EQ(l.engine_in, l.moved_in);
}

}  // namespace tierlib
