#include "allocator/stream_labels.h"

#include <atomic>
#include <new>

#include "absl/container/inlined_vector.h"
#include "trace/stream_text.h"

namespace tierlib {

std::uint32_t StreamLabels::Find(absl::Span<const Stream> streams) {
  try {
    if (streams.size() == 1) {
      const Known* const known = Look(streams.front());
      return known == nullptr ? 0 : known->label;
    }
    absl::InlinedVector<std::uint64_t, 8> numbers;
    for (const Stream stream : streams) {
      if (const Known* const known = Look(stream)) numbers.push_back(known->number);
    }
    return recorder_->Intern(trace::StreamsText(numbers));
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

const StreamLabels::Known* StreamLabels::Look(Stream stream) {
  const std::uint64_t destroyed = device_.destroyed_streams().load(std::memory_order_acquire);
  const auto [place, is_new] = known_.try_emplace(stream.handle);
  Known& known = place->second;
  if (!is_new && known.own && known.destroyed == destroyed) return &known;
  const StatusOr<std::uint64_t> number = device_.StreamNumber(stream);
  if (!number.ok()) {
    known_.erase(place);
    return nullptr;
  }
  if (is_new || known.number != *number || known.label == 0) {
    known.number = *number;
    known.label = recorder_->Intern(trace::StreamsText({&known.number, 1}));
  }
  known.destroyed = destroyed;
  known.own = device_.Owns(stream);
  return &known;
}

}  // namespace tierlib
