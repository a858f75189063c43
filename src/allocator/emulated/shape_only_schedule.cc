// The schedule of a device without bytes: nothing runs, and everything is complete when it is enqueued.
#include <set>
#include <string>

#include "allocator/emulated/schedule.h"
#include "base/mutex.h"

namespace tierlib::emulated {
namespace {

class ShapeOnlySchedule : public Schedule {
 public:
  Status AddStream(StreamHandle stream, std::string_view) override {
    MutexLock lock(mutex_);
    streams_.insert(stream);
    return OkStatus();
  }

  Status RemoveStream(StreamHandle stream) override {
    MutexLock lock(mutex_);
    return streams_.erase(stream) == 1 ? OkStatus() : UnknownStream(stream);
  }

  Status Enqueue(StreamHandle stream, Work work) override {
    {
      MutexLock lock(mutex_);
      if (!streams_.contains(stream)) return UnknownStream(stream);
    }
    if (const auto* record = std::get_if<RecordWork>(&work)) record->recording->Complete();
    return OkStatus();
  }

  Status WaitFor(const Recording&) override { return OkStatus(); }
  Status WaitForStream(StreamHandle stream) override {
    MutexLock lock(mutex_);
    return streams_.contains(stream) ? OkStatus() : UnknownStream(stream);
  }
  Status WaitForAll() override { return OkStatus(); }
  void Poll() override {}

 private:
  Mutex mutex_;
  std::set<StreamHandle> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

Status UnknownStream(StreamHandle stream) {
  return NotFoundError("stream " + std::to_string(stream) + " is not one of this device: make it with CreateStream");
}

std::unique_ptr<Schedule> MakeShapeOnlySchedule() { return std::make_unique<ShapeOnlySchedule>(); }

}  // namespace tierlib::emulated
