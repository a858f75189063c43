#include "page_data.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "trace/event.h"

namespace tierlib::trace_viewer {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDataFormat = 1;                             // page/src/model.ts has the same
constexpr std::uint64_t kMost = std::uint64_t{1} << 51;    // differences of numbers up to this are exact in a browser
constexpr std::int64_t kTimeMost = std::int64_t{1} << 52;  // 52 days
constexpr int kCompression = 6;

// The event table, with what subject and value name where they number storages or transfers, or name a label, or the
// same as those of the event in the record's detail.
enum class Names : std::uint8_t { kNothing, kStorage, kTransfer, kLabel, kAsDetail };
constexpr Names NamesOf(std::string_view field) {
  return field == "storage" || field == "source storage" ? Names::kStorage
         : field == "transfer"                           ? Names::kTransfer
         : field.substr(0, 8) == "label of"              ? Names::kLabel
         : field == "subject of the next record"         ? Names::kAsDetail
                                                         : Names::kNothing;
}
struct EventRow {
  std::uint8_t code;
  const char* name;
  const char* subject;
  const char* value;
  const char* detail;
};
constexpr EventRow kEvents[] = {
#define TIERLIB_EVENT(name, code, text, subject, value, detail) {code, text, subject, value, detail},
#include "trace/events.def"  // NOLINT
#undef TIERLIB_EVENT
};

struct FieldNames {
  Names subject = Names::kNothing;
  Names value = Names::kNothing;
};
constexpr std::array<FieldNames, 256> MakeFieldNames() {
  std::array<FieldNames, 256> names = {};
  for (const EventRow& row : kEvents) names[row.code] = {NamesOf(row.subject), NamesOf(row.value)};
  return names;
}
constexpr std::array<FieldNames, 256> kFieldNames = MakeFieldNames();

void PutVarint(std::string& column, std::uint64_t number) {
  for (; number >= 128; number >>= 7) column.push_back(static_cast<char>(number | 128));
  column.push_back(static_cast<char>(number));
}

void PutDifference(std::string& column, std::uint64_t& last, std::uint64_t number) {
  const auto difference = static_cast<std::int64_t>(number - last);
  PutVarint(column, static_cast<std::uint64_t>(difference) << 1 ^ static_cast<std::uint64_t>(difference >> 63));
  last = number;
}

// Numbers from a program, and the dense ones that stand for them on the page.
class Dense {
 public:
  std::uint64_t Of(std::uint64_t number) {
    const auto [found, added] = dense_.try_emplace(number, dense_.size());
    if (added) numbers_.push_back(number);
    return found->second;
  }
  const std::vector<std::uint64_t>& numbers() const { return numbers_; }

 private:
  absl::flat_hash_map<std::uint64_t, std::uint64_t> dense_;
  std::vector<std::uint64_t> numbers_;
};

// The columns of all records, as page/src/model.ts describes them.
class Columns {
 public:
  explicit Columns(const trace::Trace& trace) : trace_(trace) {
    storages_.Of(0);  // storage 0 of the page: none
    label_texts_.push_back("");
    for (const trace::Record& record : trace.records) Add(record);
  }

  std::size_t storages() const { return storages_.numbers().size(); }
  std::size_t transfers() const { return transfers_.numbers().size(); }

  // The columns by name, in the order of the page.
  std::vector<std::pair<const char*, std::string>> Take() {
    std::string slots;
    std::string generations;
    for (const std::uint64_t id : storages_.numbers()) {
      PutVarint(slots, id & 0xffffffffu);
      PutVarint(generations, id >> 32);
    }
    std::string labels = Json(label_texts_).dump(-1, ' ', false, Json::error_handler_t::replace);
    return {{"time", std::move(time_)},     {"event", std::move(event_)}, {"tag", std::move(tag_)},
            {"detail", std::move(detail_)}, {"label", std::move(label_)}, {"subject", std::move(subject_)},
            {"value", std::move(value_)},   {"slots", std::move(slots)},  {"generations", std::move(generations)},
            {"labels", std::move(labels)}};
  }

 private:
  void Add(const trace::Record& record) {
    const auto code = static_cast<std::uint8_t>(record.event);
    const std::int64_t first = trace_.records.front().time_ns;
    const std::uint64_t since = static_cast<std::uint64_t>(record.time_ns) - static_cast<std::uint64_t>(first);
    const std::uint64_t time = std::max(last_time_, std::min<std::uint64_t>(since, kTimeMost));
    PutVarint(time_, time - last_time_);
    last_time_ = time;
    event_.push_back(static_cast<char>(code));
    tag_.push_back(static_cast<char>(record.tag));
    detail_.push_back(static_cast<char>(record.detail & 0xff));
    detail_.push_back(static_cast<char>(record.detail >> 8));
    PutVarint(label_, LabelOf(record.label));
    Names subject = kFieldNames[code].subject;
    if (subject == Names::kAsDetail) subject = kFieldNames[record.detail & 0xff].subject;
    PutDifference(subject_, last_subject_[code], Numbered(subject, record.subject));
    PutDifference(value_, last_value_[code], Numbered(kFieldNames[code].value, record.value));
  }

  std::uint64_t Numbered(Names names, std::uint64_t number) {
    switch (names) {
      case Names::kStorage: return storages_.Of(number);
      case Names::kTransfer: return transfers_.Of(number);
      case Names::kLabel: return LabelOf(static_cast<std::uint32_t>(number));
      case Names::kAsDetail:
      case Names::kNothing: break;
    }
    return std::min(number, kMost);
  }

  std::uint64_t LabelOf(std::uint32_t label) {
    if (label == 0) return 0;
    const auto [found, added] = labels_.try_emplace(label, label_texts_.size());
    if (added) label_texts_.push_back(trace_.LabelText(label));
    return found->second;
  }

  const trace::Trace& trace_;
  Dense storages_;
  Dense transfers_;
  absl::flat_hash_map<std::uint32_t, std::uint64_t> labels_;
  std::vector<std::string> label_texts_;
  std::uint64_t last_time_ = 0;
  std::array<std::uint64_t, 256> last_subject_ = {};
  std::array<std::uint64_t, 256> last_value_ = {};
  std::string time_, event_, tag_, detail_, label_, subject_, value_;
};

StatusOr<std::string> Deflate(std::string_view bytes) {
  uLongf size = compressBound(bytes.size());
  std::string packed(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                bytes.size(), kCompression) != Z_OK) {
    return InternalError("zlib could not compress a column of the page");
  }
  packed.resize(size);
  return packed;
}

template <typename Code>
Json TextsOf(std::size_t count, const char* (*name)(Code)) {
  Json texts = Json::array();
  for (std::size_t code = 0; code < count; ++code) texts.push_back(name(static_cast<Code>(code)));
  return texts;
}

Json Vocabulary() {
  Json events = Json::array();
  for (const EventRow& row : kEvents) {
    events.push_back({{"code", row.code},
                      {"name", row.name},
                      {"subject", row.subject},
                      {"value", row.value},
                      {"detail", row.detail}});
  }
  return {{"events", std::move(events)},
          {"tags", TextsOf(trace::kTagCount, trace::TagName)},
          {"stall_causes", TextsOf(trace::kStallCauseCount, trace::StallCauseName)},
          {"actions", TextsOf(trace::kDecisionActionCount, trace::DecisionActionName)},
          {"reasons", TextsOf(trace::kDecisionReasonCount, trace::DecisionReasonName)},
          {"tiers", TextsOf(trace::kTierCodeCount, trace::TierCodeName)}};
}

// Since the first record, as the columns count.
std::uint64_t Since(const trace::Trace& trace, std::int64_t time_ns) {
  const std::int64_t first = trace.records.empty() ? time_ns : trace.records.front().time_ns;
  if (time_ns <= first) return 0;
  return std::min<std::uint64_t>(static_cast<std::uint64_t>(time_ns) - static_cast<std::uint64_t>(first), kTimeMost);
}

Json GapJson(std::uint64_t begin, const Json& end, const std::string& reason, const std::string& what) {
  return {{"begin", begin}, {"end", end}, {"reason", reason}, {"what", what}};
}

// The gaps that the reader found.
Json FoundGaps(const trace::Trace& trace, std::uint64_t end) {
  Json list = Json::array();
  for (const trace::Gap& gap : trace.gaps) {
    const std::uint64_t begin = Since(trace, gap.begin_ns);
    const bool open = gap.end_ns <= gap.begin_ns && begin >= end;
    std::string what =
        gap.records > 0 ? std::to_string(gap.records) + " records are missing" : "nobody knows how many records";
    if (gap.lane != 0) what += ", of one thread";
    list.push_back(
        GapJson(begin, open ? Json(nullptr) : Json(Since(trace, gap.end_ns)), GapReasonName(gap.reason), what));
  }
  return list;
}

// Where records are missing, as far as the trace tells.
Json Gaps(const trace::Trace& trace) {
  const std::uint64_t end = trace.records.empty() ? 0 : Since(trace, trace.records.back().time_ns);
  Json gaps = FoundGaps(trace, end);
  const bool said = std::any_of(gaps.begin(), gaps.end(), [](const Json& gap) { return gap["end"].is_null(); });
  if (said) return gaps;
  if (trace.dropped > 0) {
    gaps.push_back(GapJson(end, nullptr, "dropped", std::to_string(trace.dropped) + " records could not be written"));
  } else if (!trace.closed) {
    gaps.push_back(GapJson(end, nullptr, "truncated", "the program did not end the trace: what came after is missing"));
  }
  return gaps;
}

// What the link achieves at most, as the program says; null where it does not.
Json Ceiling(const trace::Trace& trace, trace::DirectionCode direction) {
  const std::uint64_t ceiling = trace.ceiling_bytes_per_s[static_cast<std::size_t>(direction)];
  return ceiling == 0 ? Json(nullptr) : Json(ceiling);
}

void AppendElement(std::string& html, int number, std::string_view part, std::string_view type, std::string_view text) {
  html += "<script type=\"";
  html += type;
  html += "\" id=\"trace-" + std::to_string(number) + '-';
  html += part;
  html += "\">";
  html += text;
  html += "</script>\n";
}

}  // namespace

StatusOr<std::string> PageData(int number, const std::string& name, const std::string& summary_json,
                               const trace::Trace& trace) {
  Columns columns(trace);
  const Json meta = {
      {"format", kDataFormat},
      {"name", name},
      {"records", trace.records.size()},
      {"storages", columns.storages()},
      {"transfers", columns.transfers()},
      {"gaps", Gaps(trace)},
      {"ceiling_bytes_per_s",
       {{"out", Ceiling(trace, trace::DirectionCode::kOut)}, {"in", Ceiling(trace, trace::DirectionCode::kIn)}}},
      {"vocabulary", Vocabulary()},
      {"summary", Json::parse(summary_json)}};
  std::string html;
  AppendElement(html, number, "meta", "application/json",
                ForScript(meta.dump(-1, ' ', false, Json::error_handler_t::replace)));
  for (const auto& [part, bytes] : columns.Take()) {
    const StatusOr<std::string> packed = Deflate(bytes);
    if (!packed.ok()) return packed.status();
    AppendElement(html, number, part, "text/plain", Base64(*packed));
  }
  return html;
}

std::string ForScript(std::string_view json) {
  std::string text;
  text.reserve(json.size());
  for (const char c : json) {
    switch (c) {
      case '<': text += "\\u003c"; break;
      case '>': text += "\\u003e"; break;
      case '&': text += "\\u0026"; break;
      default: text += c;
    }
  }
  return text;
}

std::string Base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t there = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      three = three << 8 | (j < there ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (std::size_t digit = 0; digit < 4; ++digit) {
      text += digit <= there ? kDigits[three >> (18 - 6 * digit) & 63] : '=';
    }
  }
  return text;
}

}  // namespace tierlib::trace_viewer
