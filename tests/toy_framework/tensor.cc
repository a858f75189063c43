#include "toy_framework/tensor.h"

#include <algorithm>

#include "base/check.h"
#include "toy_framework/session.h"

namespace toy {

Storage::Storage(Session& session, void* data, tierlib::StorageId id, tierlib::Stream stream)
    : session_(session), data_(data), id_(id), streams_({stream}) {}

Storage::~Storage() {
  TIERLIB_CHECK(session_.runtime().Retire(id_, streams_.front()).ok(), "toy storage: retired twice");
  session_.memory().Give(data_, streams_);
}

void Storage::DropReference() {
  const int before = references_.fetch_sub(1);
  TIERLIB_CHECK(before > 0, "toy storage: a reference was dropped twice");
  if (before == 1) delete this;
}

void Storage::UsedOn(tierlib::Stream stream) {
  if (std::find(streams_.begin(), streams_.end(), stream) == streams_.end()) streams_.push_back(stream);
}

Tensor Transpose(const Tensor& matrix) {
  tierlib::Layout layout = matrix.layout();
  std::swap(layout.sizes[0], layout.sizes[1]);
  std::swap(layout.strides[0], layout.strides[1]);
  matrix.storage()->AddReference();
  return Tensor(matrix.storage(), layout);
}

}  // namespace toy
