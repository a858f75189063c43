#include "trace/block_streams.h"

#include "trace/stream_text.h"

namespace tierlib::trace {

absl::Span<const std::uint64_t> BlockStreams::Of(const Record& record) {
  const std::vector<std::uint64_t>* streams = nullptr;
  if (record.label != 0) {
    const auto [place, is_new] = named_.try_emplace(record.label);
    if (is_new) place->second = ParseStreamsText(trace_.LabelText(record.label));
    if (!place->second.empty()) streams = &place->second;
  }
  if (record.event == Event::kPoolFull) {  // of no block
    if (streams != nullptr) return *streams;
    one_ = 0;
    return {&one_, 1};
  }
  std::uint64_t& last = last_[{record.detail, record.subject}];
  if (streams != nullptr) {
    last = streams->front();
    return *streams;
  }
  one_ = last;
  return {&one_, 1};
}

}  // namespace tierlib::trace
