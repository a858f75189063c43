// ReloadOrder: the saved values in the order of their packs, and which of them backward asks for next. A step that
// packs as the step before did most likely unpacks as that did, whatever its branches and losses; where nothing is
// known of that, backward goes through the packs in reverse.
//
// Thread-safety: not synchronised; the store's lock guards it.
#ifndef TIERLIB_SRC_GRAPH_RELOAD_ORDER_H_
#define TIERLIB_SRC_GRAPH_RELOAD_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <map>

#include "absl/container/flat_hash_map.h"

namespace tierlib {

struct Snapshot;

class ReloadOrder {
 public:
  // A value was packed, or packed anew, under a number above all before. The snapshot's address is all that is kept.
  void Add(std::uint64_t pack, Snapshot* snapshot) { saved_.emplace_hint(saved_.end(), pack, snapshot); }
  // Nothing where there is none.
  void Remove(std::uint64_t pack) { saved_.erase(pack); }

  // The next value packed will have number `first_pack`.
  void BeginStep(std::uint64_t first_pack);
  // The value was asked for, for the first time.
  void NoteUnpack(std::uint64_t pack);

  // What backward most likely asks for right after `pack`; `kStart`: at first. Null where that is nothing.
  static constexpr std::uint64_t kStart = ~std::uint64_t{0};
  Snapshot* After(std::uint64_t pack) const;

 private:
  // Numbers are those within a step, from 0.
  using Following = absl::flat_hash_map<std::uint64_t, std::uint64_t>;
  std::uint64_t InStep(std::uint64_t pack) const { return pack == kStart ? kStart : pack - first_pack_; }

  std::map<std::uint64_t, Snapshot*> saved_;
  Following before_;  // what followed what in the last step that took anything back
  Following now_;     // in this one
  std::uint64_t last_before_ = kStart;
  std::uint64_t last_ = kStart;
  std::uint64_t first_pack_ = 0;
};

}  // namespace tierlib

#endif  // TIERLIB_SRC_GRAPH_RELOAD_ORDER_H_
