#include "graph/lineage.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/container/flat_hash_set.h"

namespace tierlib {

void Lineage::SetRecomputation(const ContentKey& key, Recomputation recomputation) {
  recomputations_[key] = std::move(recomputation);
}

Recomputation Lineage::RecomputationOf(const ContentKey& key) const {
  const auto found = recomputations_.find(key);
  return found == recomputations_.end() ? Recomputation() : found->second;
}

void Lineage::Add(std::shared_ptr<const Derivation> derivation) {
  edges_[derivation->source].push_back(derivation);
  edges_[derivation->derived].push_back(std::move(derivation));
}

void Lineage::Forget(const ContentKey& key) {
  ForgetRecomputation(key);
  ForgetEdges(key);
}

void Lineage::ForgetEdges(const ContentKey& key) {
  const auto found = edges_.find(key);
  if (found == edges_.end()) return;
  const Edges edges = std::move(found->second);
  edges_.erase(found);
  for (const auto& edge : edges) {
    const ContentKey& other = edge->derived == key ? edge->source : edge->derived;
    const auto at = edges_.find(other);
    if (at == edges_.end()) continue;
    at->second.erase(std::remove(at->second.begin(), at->second.end(), edge), at->second.end());
    if (at->second.empty()) edges_.erase(at);
  }
}

void Lineage::ForgetWhere(const std::function<bool(const ContentKey&)>& dead) {
  std::vector<ContentKey> keys;
  for (const auto& [key, edges] : edges_) {
    if (dead(key)) keys.push_back(key);
  }
  for (const ContentKey& key : keys) Forget(key);
}

std::vector<RecipeStep> Lineage::Walk(
    const ContentKey& target, const ByteRanges& bytes, int hops,
    const std::function<bool(const ContentKey&, const ByteRanges&)>& available) const {
  // Breadth first from the target towards what it can be made from.
  struct Visit {
    ContentKey key;
    const ByteRanges* needed;
    int depth;
    std::size_t parent;  // index of the visit this one was reached from
    RecipeStep step;     // makes the parent's bytes from this content's
  };
  std::deque<Visit> visits = {{target, &bytes, 0, 0, {}}};
  absl::flat_hash_set<ContentKey> seen = {target};
  for (std::size_t i = 0; i < visits.size(); ++i) {
    const Visit visit = visits[i];
    if (visit.depth > 0 && available(visit.key, *visit.needed)) {
      std::vector<RecipeStep> recipe;
      for (std::size_t at = i; visits[at].depth > 0; at = visits[at].parent) recipe.push_back(visits[at].step);
      return recipe;
    }
    if (visit.depth == hops) continue;
    const auto found = edges_.find(visit.key);
    if (found == edges_.end()) continue;
    for (const auto& edge : found->second) {
      const bool reversed = edge->source == visit.key;
      if (reversed && !edge->replay.goes_back()) continue;
      RecipeStep step{edge, reversed};
      if (!step.to_bytes().Contains(*visit.needed) || !seen.insert(step.from()).second) continue;
      visits.push_back({step.from(), &step.from_bytes(), visit.depth + 1, i, step});
    }
  }
  return {};
}

std::size_t Lineage::edges() const {
  std::size_t ends = 0;
  for (const auto& [key, edges] : edges_) ends += edges.size();
  return ends / 2;
}

}  // namespace tierlib
