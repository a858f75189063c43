#include "trace/check/findings.h"

#include <algorithm>
#include <utility>

namespace tierlib::trace {
namespace {

struct RuleRow {
  const char* name;
  bool holds_in_parts;
};

// In the order of the enum.
constexpr std::array<RuleRow, kRuleCount> kRules = {{
    {"field", true},
    {"clock", true},
    {"block-unknown", false},
    {"block-freed-twice", false},
    {"block-changed", false},
    {"block-overlap", false},
    {"block-not-freed", false},
    {"tier-reserved", false},
    {"tier-capacity", false},
    {"tier-free-bytes", false},
    {"transfer-order", false},
    {"transfer-changed", true},
    {"transfer-not-ended", false},
    {"transfer-overlap", true},
    {"transfer-source", false},
    {"transfer-storage", false},
    {"moved-bytes", false},
    {"pack-sum", false},
    {"storage-unknown", false},
    {"storage-changed", false},
    {"storage-version", true},
    {"value-unknown", false},
    {"value-not-dropped", false},
    {"residency-illegal", true},
    {"residency-unknown", false},
    {"step-nesting", false},
    {"stall-pair", false},
    {"stall-length", true},
    {"op-pair", false},
}};

}  // namespace

const char* RuleName(Rule rule) { return kRules[static_cast<std::size_t>(rule)].name; }
bool HoldsInParts(Rule rule) { return kRules[static_cast<std::size_t>(rule)].holds_in_parts; }

std::string ExactBytes(std::uint64_t bytes) { return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes"); }

std::string RecordPlace::ToString() const { return "record " + std::to_string(index + 1); }

void Findings::Take(const Record& record) {
  if (record.event == Event::kStorageRegister && record.label != 0) storage_labels_[record.subject] = record.label;
}

void Findings::Add(Rule rule, const RecordPlace& place, std::string what) {
  const auto since = static_cast<std::uint64_t>(place.time_ns) - static_cast<std::uint64_t>(first_ns_);
  Add({rule, place.index + 1, static_cast<std::int64_t>(since), std::move(what)});
}

void Findings::AddOfWhole(Rule rule, std::string what) { Add({rule, 0, 0, std::move(what)}); }

// What is found at the end of a trace names records from its middle, so the list is sorted when it is taken. Of many
// findings those of the end could push out earlier ones: room for twice as many makes that rare.
void Findings::Add(Finding finding) {
  ++counts_[static_cast<std::size_t>(finding.rule)];
  if (list_.size() < 2 * kMost) list_.push_back(std::move(finding));
}

std::string Findings::StorageName(std::uint64_t storage) const {
  std::string name = "storage " + std::to_string(storage & 0xFFFFFFFF) + '.' + std::to_string(storage >> 32);
  const auto label = storage_labels_.find(storage);
  return label == storage_labels_.end() ? name : name + " (" + trace_.LabelText(label->second) + ')';
}

std::vector<Finding> Findings::TakeList() {
  std::stable_sort(list_.begin(), list_.end(), [](const Finding& a, const Finding& b) { return a.record < b.record; });
  if (list_.size() > kMost) list_.resize(kMost);
  return std::move(list_);
}

}  // namespace tierlib::trace
