// MapCodec: how a dense chain's saved values are kept: with uniquification (U), with sharding (S), with both, and in
// either case with the marshaling (M) that the runtime does where there is no codec.
//
// In mode marshal a storage is encoded once however many values show it, and a value that can be made again from an
// encoded one, over at most Options::hop_limit edges, is not kept at all: the runtime's rules, a layer higher, as it
// sees tables and shares and not what they stand for. In the other modes each value is kept by itself.
#ifndef TIERLIB_SRC_DKM_MAP_CODEC_H_
#define TIERLIB_SRC_DKM_MAP_CODEC_H_

#include <memory>
#include <optional>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "autograd/saved_codec.h"
#include "dkm/shard.h"
#include "dkm/uniquify.h"

namespace tierlib::dkm {

class MapCodec : public autograd::SavedCodec {
 public:
  // For the ops of one chain over w [N, d]. Without `uniquify` and learners it declines everything.
  MapCodec(const autograd::Context& context, const autograd::Tensor& w, bool uniquify, const Sharding& sharding);

  StatusOr<std::shared_ptr<const autograd::EncodedValue>> Encode(const autograd::Launcher& op,
                                                                 const autograd::Tensor& tensor,
                                                                 std::string_view label) override;
  void NoteDerived(const autograd::Tensor& derived, const autograd::Tensor& source, const Replay& replay) override;

 private:
  using Encoded = std::shared_ptr<const autograd::EncodedValue>;
  struct Edge {
    StorageId source;
    Layout source_layout;
    Layout derived_layout;
    Replay replay;
  };

  StatusOr<Encoded> EncodeBytes(const autograd::Launcher& op, const autograd::Tensor& tensor, std::string_view label);
  // What the storage was encoded as, or what makes it again from such a one over at most `hops` edges; else null.
  Encoded Find(StorageId storage, int hops);

  const Sharding sharding_;
  bool marshal_ = false;
  int hop_limit_ = 0;
  std::optional<Uniquifier> uniquifier_;
  // Those that are kept by themselves.
  absl::flat_hash_map<StorageId, std::weak_ptr<const autograd::EncodedValue>> encoded_;
  absl::flat_hash_map<StorageId, Edge> edges_;  // by what is derived
};

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_MAP_CODEC_H_
