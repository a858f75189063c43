// Lineage: what was made from what, and how to make it again.
//
// Views of one storage need no edges here: they are the same storage. An edge says that bytes of one storage, seen
// through one layout, can be made again from bytes of another. Edges are between storages at versions, so a write to
// either end leaves the old edge pointing at bytes that no longer exist, which nobody can ask for.
//
// Thread-safety: not synchronised; the store's lock guards it.
#ifndef TIERLIB_SRC_GRAPH_LINEAGE_H_
#define TIERLIB_SRC_GRAPH_LINEAGE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "storage/byte_ranges.h"
#include "tierlib/replay.h"
#include "tierlib/storage_id.h"
#include "tierlib/view.h"

namespace tierlib {

// The identity of bytes: a storage, its generation, its version. Never an address.
struct ContentKey {
  StorageId storage;
  std::uint64_t version = 0;

  friend bool operator==(const ContentKey& a, const ContentKey& b) {
    return a.storage == b.storage && a.version == b.version;
  }
  template <typename H>
  friend H AbslHashValue(H h, const ContentKey& key) {
    return H::combine(std::move(h), key.storage, key.version);
  }
};

struct Derivation {
  ContentKey derived;
  ContentKey source;  // no storage: the program computes it by itself (Recomputation)
  Layout derived_layout;
  Layout source_layout;
  ByteRanges derived_bytes;  // what derived_layout reaches
  ByteRanges source_bytes;
  Replay replay;
};

// One step of a recipe: `derivation` from source to derived, or, reversed (Replay::goes_back), from derived to source.
struct RecipeStep {
  std::shared_ptr<const Derivation> derivation;
  bool reversed = false;

  const ContentKey& from() const { return reversed ? derivation->derived : derivation->source; }
  const ContentKey& to() const { return reversed ? derivation->source : derivation->derived; }
  const ByteRanges& from_bytes() const { return reversed ? derivation->derived_bytes : derivation->source_bytes; }
  const ByteRanges& to_bytes() const { return reversed ? derivation->source_bytes : derivation->derived_bytes; }
  const Layout& from_layout() const { return reversed ? derivation->derived_layout : derivation->source_layout; }
  const Layout& to_layout() const { return reversed ? derivation->source_layout : derivation->derived_layout; }
};

// How the program computes a content again by itself, and when that is to be.
struct Recomputation {
  std::shared_ptr<const Derivation> derivation;  // without a source; null: it can not
  std::uint64_t cost_ns = 0;                     // 0: not known
  bool always = false;

  bool Gives(const ByteRanges& bytes) const {
    return derivation != nullptr && derivation->derived_bytes.Contains(bytes);
  }
};

class Lineage {
 public:
  // In place of what was told of the content before.
  void SetRecomputation(const ContentKey& key, Recomputation recomputation);
  Recomputation RecomputationOf(const ContentKey& key) const;
  void ForgetRecomputation(const ContentKey& key) { recomputations_.erase(key); }

  void Add(std::shared_ptr<const Derivation> derivation);
  // Forgets the edges of one content. Their other ends keep none of it.
  void ForgetEdges(const ContentKey& key);
  // And how it is computed.
  void Forget(const ContentKey& key);
  // Forgets the edges of every content for which `dead` holds.
  void ForgetWhere(const std::function<bool(const ContentKey&)>& dead);

  // The shortest way, over at most `hops` edges, to make `bytes` of `target` from a content for which `available(key,
  // bytes)` holds. Steps come in the order in which they run: the first starts at the available content, the last ends
  // at `target`. Empty where there is none. Among ways of one length the edge told first wins.
  std::vector<RecipeStep> Walk(const ContentKey& target, const ByteRanges& bytes, int hops,
                               const std::function<bool(const ContentKey&, const ByteRanges&)>& available) const;

  std::size_t edges() const;

 private:
  using Edges = absl::InlinedVector<std::shared_ptr<const Derivation>, 2>;
  absl::flat_hash_map<ContentKey, Edges> edges_;  // each edge stands at both of its ends
  absl::flat_hash_map<ContentKey, Recomputation> recomputations_;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_LINEAGE_H_
