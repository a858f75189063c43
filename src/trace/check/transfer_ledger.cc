#include "trace/check/transfer_ledger.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "trace/check/copy_sources.h"

namespace tierlib::trace {
namespace {

constexpr std::uint64_t kFirstTransfer = 1;  // they are numbered in the order in which they are asked for

constexpr const char* kDirections[kDirectionCodeCount] = {"out", "in", "within"};

}  // namespace

TransferLedger::TransferLedger(const Trace& trace, std::int64_t slack_ns, Findings& findings)
    : trace_(trace), slack_ns_(slack_ns), findings_(findings) {}

std::string TransferLedger::Name(std::uint64_t number, const Transfer& transfer) const {
  std::string name =
      "transfer " + std::to_string(number) + " (" + kDirections[transfer.direction] + ", " + ExactBytes(transfer.bytes);
  if (transfer.storage.has_value()) name += " of " + findings_.StorageName(*transfer.storage);
  return name + ')';
}

void TransferLedger::Take(const IndexedRecord& at) {
  const Record& record = at.record;
  const bool phase = record.event == Event::kTransferAsk || record.event == Event::kTransferBegin ||
                     record.event == Event::kTransferEnd;
  if (!phase && record.event != Event::kTransferStorage) return;
  if (record.detail >= kDirectionCodeCount) {
    return findings_.Add(Rule::kField, at.place, "direction " + std::to_string(record.detail) + " is none");
  }
  const auto [found, is_new] = transfers_.try_emplace(record.subject);
  Transfer& transfer = found->second;
  if (is_new) {
    transfer.first = at.place;
    transfer.direction = record.detail;
    transfer.bytes = phase ? record.value : 0;
  }
  if (record.event == Event::kTransferStorage) {
    if (transfer.storage.has_value()) {
      findings_.Add(Rule::kTransferStorage, at.place,
                    Name(record.subject, transfer) + " is of " + findings_.StorageName(record.value) + " too");
    }
    transfer.storage = record.value;
    return;
  }
  const bool known = transfer.asked.has_value() || transfer.begun.has_value() || transfer.ended.has_value();
  if (!known) transfer.bytes = record.value;
  if (record.event == Event::kTransferAsk) {
    if (record.detail == static_cast<std::uint16_t>(DirectionCode::kOut)) bytes_out_ += record.value;
    return TakePhase(at, transfer, transfer.asked);
  }
  // An end without bytes says that the copy was refused or failed.
  if (record.event == Event::kTransferEnd && record.value == 0 && transfer.bytes > 0 && !transfer.begun.has_value()) {
    if (record.detail == static_cast<std::uint16_t>(DirectionCode::kOut)) bytes_failed_ += transfer.bytes;
    transfer.failed = true;
  }
  TakePhase(at, transfer, record.event == Event::kTransferBegin ? transfer.begun : transfer.ended);
}

void TransferLedger::TakePhase(const IndexedRecord& at, Transfer& transfer, std::optional<RecordPlace>& phase) {
  const Record& record = at.record;
  if (phase.has_value()) {
    findings_.Add(
        Rule::kTransferOrder, at.place,
        Name(record.subject, transfer) + ": " + EventName(record.event) + " twice, first by " + phase->ToString());
  }
  const std::uint64_t bytes = record.event == Event::kTransferEnd && transfer.failed ? 0 : transfer.bytes;
  if (record.value != bytes || record.detail != transfer.direction) {
    findings_.Add(Rule::kTransferChanged, at.place,
                  Name(record.subject, transfer) + ": " + EventName(record.event) + " says " +
                      kDirections[record.detail] + ", " + ExactBytes(record.value));
  }
  phase = at.place;
}

void TransferLedger::CheckWhole(std::uint64_t number, const Transfer& transfer, bool ended) {
  const auto before = [this](const RecordPlace& a, const RecordPlace& b) {  // by more than clocks may be off
    const auto apart = static_cast<std::uint64_t>(b.time_ns) - static_cast<std::uint64_t>(a.time_ns);
    return a.time_ns < b.time_ns && apart > static_cast<std::uint64_t>(slack_ns_);
  };
  const auto add = [&](Rule rule, const RecordPlace& place, const std::string& what) {
    findings_.Add(rule, place, Name(number, transfer) + ' ' + what);
  };
  const auto& [asked, begun, end] = std::tie(transfer.asked, transfer.begun, transfer.ended);
  // The trace of a program that was killed may end between the storage of a transfer and its ask.
  const bool cut_off = !ended && !begun.has_value() && !end.has_value();
  if (!asked.has_value() && !cut_off) add(Rule::kTransferOrder, transfer.first, "was never asked for");
  if (asked.has_value() && !transfer.storage.has_value()) add(Rule::kTransferStorage, *asked, "is of no storage");
  if (asked.has_value() && begun.has_value() && before(*begun, *asked)) {
    add(Rule::kTransferOrder, *begun, "begins before it is asked for by " + asked->ToString());
  }
  if (end.has_value() && !begun.has_value() && !transfer.failed)
    add(Rule::kTransferOrder, *end, "ends and never begins");
  if (end.has_value() && begun.has_value() && end->time_ns < begun->time_ns) {
    add(Rule::kTransferOrder, *end, "ends before it begins by " + begun->ToString());
  }
  if (!end.has_value() && ended && (asked.has_value() || begun.has_value())) {
    add(Rule::kTransferNotEnded, transfer.first, "never ends, and the trace was ended");
  }
}

// Copies of one direction follow each other on its stream. Small ones out may have been gathered, and enqueued as one:
// they have the same begin and end, no other copy out was asked for between them, and they are within the limits of
// what is gathered. Nothing that comes in is gathered.
void TransferLedger::CheckOverlaps(std::uint16_t direction) {
  struct Span {
    std::int64_t begin;
    std::int64_t end;
    std::uint64_t number;
    std::uint64_t bytes;
    std::size_t rank = 0;  // among these, by number
  };
  std::vector<Span> spans;
  for (const auto& [number, transfer] : transfers_) {
    if (transfer.direction != direction || !transfer.begun.has_value() || !transfer.ended.has_value()) continue;
    spans.push_back({transfer.begun->time_ns, transfer.ended->time_ns, number, transfer.bytes});
  }
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.number < b.number; });
  for (std::size_t i = 0; i < spans.size(); ++i) spans[i].rank = i;
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return std::tie(a.begin, a.end, a.number) < std::tie(b.begin, b.end, b.number);
  });
  const bool may_gather = direction == static_cast<std::uint16_t>(DirectionCode::kOut) &&
                          (!trace_.copy_limits.has_value() || trace_.copy_limits->batch_bytes > 0);
  const std::uint64_t batch_most =
      trace_.copy_limits.has_value() ? trace_.copy_limits->batch_bytes : std::numeric_limits<std::uint64_t>::max();
  std::uint64_t room = 0;      // in the batch that the copy before may be of
  const Span* last = nullptr;  // of those so far the one that ends last
  for (const Span& span : spans) {
    const bool same_times = last != nullptr && span.begin == last->begin && span.end == last->end;
    if (!same_times) room = batch_most - std::min(batch_most, span.bytes);
    const bool as_one = same_times && may_gather && span.rank == last->rank + 1 && span.bytes <= room;
    if (as_one) room -= span.bytes;
    const auto over = last == nullptr || span.begin >= last->end
                          ? 0
                          : static_cast<std::uint64_t>(last->end) - static_cast<std::uint64_t>(span.begin);
    if (!as_one && span.begin < span.end && over > static_cast<std::uint64_t>(slack_ns_)) {
      const Transfer& one = transfers_.at(span.number);
      const Transfer& other = transfers_.at(last->number);
      const bool same = one.storage.has_value() && one.storage == other.storage;
      findings_.Add(Rule::kTransferOverlap, *one.begun,
                    Name(span.number, one) + " begins while " + Name(last->number, other) + " is under way" +
                        (same ? ", on the same storage" : " on the same stream"));
    }
    if (last == nullptr || span.end >= last->end) last = &span;
  }
}

void TransferLedger::CheckSources(absl::Span<const std::uint64_t> numbers) {
  std::vector<CopySources::CopyOut> out;
  for (const std::uint64_t number : numbers) {
    const Transfer& transfer = transfers_.at(number);
    if (transfer.direction != static_cast<std::uint16_t>(DirectionCode::kOut)) continue;
    CopySources::CopyOut& copy = out.emplace_back(CopySources::CopyOut{transfer.bytes, std::nullopt, std::nullopt});
    if (transfer.failed || !transfer.begun.has_value() || !transfer.ended.has_value()) continue;
    copy.begin_ns = transfer.begun->time_ns;
    copy.end_ns = transfer.ended->time_ns;
  }
  const CopySources sources(out, trace_.copy_limits, slack_ns_);
  for (const std::uint64_t number : numbers) {
    const Transfer& transfer = transfers_.at(number);
    if (transfer.direction != static_cast<std::uint16_t>(DirectionCode::kIn)) continue;
    if (!transfer.begun.has_value() || !transfer.ended.has_value()) continue;
    const CopySources::Missing missing =
        sources.Check({transfer.bytes, transfer.begun->time_ns, transfer.ended->time_ns});
    if (missing == CopySources::Missing::kNothing) continue;
    const bool at_begin = missing == CopySources::Missing::kAtBegin;
    findings_.Add(Rule::kTransferSource, at_begin ? *transfer.begun : *transfer.ended,
                  Name(number, transfer) + (at_begin ? " begins" : " ends") +
                      " before the copies out of this storage have brought so much to the host");
  }
}

void TransferLedger::CheckEachStorage() {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> by_storage;  // storage, number
  by_storage.reserve(transfers_.size());
  for (const auto& [number, transfer] : transfers_) {
    if (transfer.storage.has_value()) by_storage.emplace_back(*transfer.storage, number);
  }
  std::sort(by_storage.begin(), by_storage.end());
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < by_storage.size(); ++i) {
    numbers.push_back(by_storage[i].second);
    if (i + 1 < by_storage.size() && by_storage[i + 1].first == by_storage[i].first) continue;
    CheckSources(numbers);
    numbers.clear();
  }
}

void TransferLedger::Finish(bool ended) {
  std::vector<std::uint64_t> numbers;
  numbers.reserve(transfers_.size());
  for (const auto& [number, transfer] : transfers_) numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  for (const std::uint64_t number : numbers) CheckWhole(number, transfers_.at(number), ended);
  for (std::uint16_t direction = 0; direction < kDirectionCodeCount; ++direction) CheckOverlaps(direction);
  // A part of a trace that begins later lacks the copies out before: it lacks the first transfer of all, which is one.
  // A copy of a trace has of the records after its end some alone: of a copy out perhaps none.
  if (!trace_.is_copy && transfers_.contains(kFirstTransfer)) CheckEachStorage();
}

}  // namespace tierlib::trace
