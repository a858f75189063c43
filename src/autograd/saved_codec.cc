#include "autograd/saved_codec.h"

#include "autograd/tape_state.h"

namespace tierlib::autograd {

SavedCodecScope::SavedCodecScope(Tape& tape, SavedCodec* codec) : tape_(tape), before_(tape.state().codec) {
  if (codec != nullptr) tape.state().codec = codec;
}

SavedCodecScope::~SavedCodecScope() { tape_.state().codec = before_; }

}  // namespace tierlib::autograd
