#include "storage/copy_batch.h"

#include <algorithm>
#include <utility>

#include "storage/transfer_engine.h"

namespace tierlib {

// A producer too many, where its member finds no memory, is waited for in vain.
void CopyBatch::Add(Member member, Producer producer) {
  // What comes later on a stream comes after what was there before.
  const auto same = std::find_if(producers_.begin(), producers_.end(),
                                 [&](const Producer& one) { return producer.stream && one.stream == producer.stream; });
  if (same != producers_.end()) {
    same->made = std::move(producer.made);
  } else {
    producers_.push_back(std::move(producer));
  }
  const std::uint64_t bytes = member.device_bytes;
  members_.push_back(std::move(member));
  device_bytes_ += bytes;
}

void CopyBatch::Clear() {
  const std::vector<Member> gone = std::exchange(members_, {});
  producers_.clear();
  device_bytes_ = 0;
}

std::shared_ptr<Transfer> CopyBatch::LastOf(StorageId storage) const {
  const auto last = std::find_if(members_.rbegin(), members_.rend(),
                                 [&](const Member& one) { return one.transfer->storage == storage; });
  return last == members_.rend() ? nullptr : last->transfer;
}

std::vector<CopyRun> CopyBatch::Runs() const {
  std::vector<CopyRun> runs;
  runs.reserve(members_.size());
  for (const Member& member : members_) runs.insert(runs.end(), member.runs.begin(), member.runs.end());
  return runs;
}

}  // namespace tierlib
