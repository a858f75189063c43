// SavedCodec: what stands between an op that saves a value and the runtime that keeps it, in the spirit of PyTorch's
// saved_tensors_hooks. It may keep something smaller and make the value again in backward.
//
// Without a codec, or where it declines, Op::Save packs the value as it is.
#ifndef TIERLIB_SRC_AUTOGRAD_SAVED_CODEC_H_
#define TIERLIB_SRC_AUTOGRAD_SAVED_CODEC_H_

#include <memory>
#include <string_view>

#include "autograd/launch.h"
#include "tierlib/autograd/tape.h"
#include "tierlib/replay.h"

namespace tierlib::autograd {

// What is kept in place of one value. Shared by all saves that it serves; what it holds is given back with the last of
// them. It holds Saved values and no tensors, so that no device memory hangs on it.
class EncodedValue {
 public:
  virtual ~EncodedValue() = default;
  // A tensor whose storage has what the saved one had, equal to the bit and at the same offsets: any view that was
  // saved is its layout over that. Enqueues its work on the context's stream. May be called more than once.
  virtual StatusOr<Tensor> Decode(const Launcher& backward) const = 0;
};

// Thread-safety: that of the tape it is used on.
class SavedCodec {
 public:
  virtual ~SavedCodec() = default;

  // `tensor` is about to be saved, by the op that launches through `op`; the work that writes it is enqueued. Null: it
  // is to be packed as it is. An error is that of the op. The codec sees the storage, and may give one EncodedValue for
  // several views of it. REQUIRES: what a codec was given is not written while it is in use.
  virtual StatusOr<std::shared_ptr<const EncodedValue>> Encode(const Launcher& op, const Tensor& tensor,
                                                               std::string_view label) = 0;

  // `derived` can be made again from `source` by `replay`: what Op::Derive tells the runtime.
  virtual void NoteDerived(const Tensor& derived, const Tensor& source, const Replay& replay) = 0;
};

// Ops recorded on the tape while it lives save through `codec`; then through the one before. A null codec changes
// nothing.
class SavedCodecScope {
 public:
  SavedCodecScope(Tape& tape, SavedCodec* codec);
  ~SavedCodecScope();
  SavedCodecScope(const SavedCodecScope&) = delete;
  SavedCodecScope& operator=(const SavedCodecScope&) = delete;

 private:
  Tape& tape_;
  SavedCodec* const before_;
};

}  // namespace tierlib::autograd

#endif  // TIERLIB_SRC_AUTOGRAD_SAVED_CODEC_H_
