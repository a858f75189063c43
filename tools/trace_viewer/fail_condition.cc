#include "fail_condition.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <utility>

#include "numbers.h"
#include "tierlib/bytes.h"

namespace tierlib::trace_viewer {
namespace {

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

Status Wrong(std::string_view condition, const std::string& why) {
  return InvalidArgumentError("--fail-on '" + Printable(condition) + "': " + why);
}

// Reads a number that is not negative; what stands behind it stays.
bool TakeNumber(std::string_view* text, double* number) {
  const bool digit = !text->empty() && ((text->front() >= '0' && text->front() <= '9') || text->front() == '.');
  if (!digit) return false;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *number);
  if (error != std::errc() || !std::isfinite(*number)) return false;
  text->remove_prefix(static_cast<std::size_t>(end - text->data()));
  *text = Trimmed(*text);
  return true;
}

// In nanoseconds; 0 for no unit of time.
double TimeUnit(std::string_view unit) {
  static constexpr std::pair<std::string_view, double> kUnits[] = {{"ns", 1},  {"us", 1e3},   {"ms", 1e6},
                                                                   {"s", 1e9}, {"min", 6e10}, {"", 1}};
  for (const auto& [name, ns] : kUnits) {
    if (unit == name) return ns;
  }
  return 0;
}

StatusOr<double> Quantity(std::string_view condition, std::string_view text, Unit unit) {
  double number = 0;
  std::string_view rest = text;
  if (!TakeNumber(&rest, &number)) {
    return Wrong(condition, "'" + Printable(text) + "' is no number; write for example bytes_moved>+5%");
  }
  switch (unit) {
    case Unit::kNanoseconds: {
      const double ns = TimeUnit(rest);
      if (ns == 0) return Wrong(condition, "'" + Printable(rest) + "' is no unit of time: ns, us, ms, s or min");
      return number * ns;
    }
    case Unit::kCount:
      if (!rest.empty()) return Wrong(condition, "it is a count, so '" + Printable(rest) + "' has no place there");
      return number;
    case Unit::kBytes:
    case Unit::kBytesPerSecond: break;
  }
  if (unit == Unit::kBytesPerSecond && rest.ends_with("/s")) text.remove_suffix(2);
  const StatusOr<std::uint64_t> bytes = ParseBytes(text);
  if (!bytes.ok()) return Wrong(condition, std::string(bytes.status().message()));
  return static_cast<double>(*bytes);
}

// Takes the operator at the begin of the text.
bool TakeOperator(std::string_view* text, FailCondition::Operator* op) {
  using Operator = FailCondition::Operator;
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {
      {">=", Operator::kAtLeast}, {"<=", Operator::kAtMost}, {"==", Operator::kEqual},
      {"!=", Operator::kDiffers}, {">", Operator::kMore},    {"<", Operator::kLess}};
  for (const auto& [name, value] : kOperators) {
    if (!text->starts_with(name)) continue;
    *op = value;
    *text = Trimmed(text->substr(name.size()));
    return true;
  }
  return false;
}

const Metric* FindMetric(const std::vector<Metric>& known, std::string_view name) {
  const auto found =
      std::find_if(known.begin(), known.end(), [name](const Metric& metric) { return metric.name == name; });
  return found == known.end() ? nullptr : &*found;
}

StatusOr<FailCondition> ParseOne(std::string_view text, const std::vector<Metric>& known) {
  FailCondition condition;
  condition.text = text;
  const std::size_t name_size = std::min(text.find_first_of("<>=!"), text.size());
  condition.metric = Trimmed(text.substr(0, name_size));
  std::string_view rest = text.substr(name_size);
  if (condition.metric.empty()) return Wrong(text, "no metric is named; write for example bytes_moved>+5%");
  const Metric* const metric = FindMetric(known, condition.metric);
  if (metric == nullptr) {
    std::string names;
    for (const Metric& one : known) names += (names.empty() ? "" : ", ") + one.name;
    return Wrong(text, "there is no metric '" + Printable(condition.metric) + "'; there are: " + names);
  }
  if (!TakeOperator(&rest, &condition.op)) {
    return Wrong(text, "after the metric there is one of > >= < <= == !=, as in bytes_moved>+5%");
  }
  const bool sign = rest.starts_with('+') || rest.starts_with('-');
  const bool negative = rest.starts_with('-');
  if (sign) rest = Trimmed(rest.substr(1));
  if (rest.ends_with('%')) {
    if (!sign) return Wrong(text, "a percentage is of a change: write +5% or -5%");
    condition.of = FailCondition::Of::kPercent;
    rest = Trimmed(rest.substr(0, rest.size() - 1));
    TIERLIB_ASSIGN_OR_RETURN(condition.amount, Quantity(text, rest, Unit::kCount));
  } else {
    condition.of = sign ? FailCondition::Of::kChange : FailCondition::Of::kValue;
    TIERLIB_ASSIGN_OR_RETURN(condition.amount, Quantity(text, rest, metric->unit));
  }
  if (negative) condition.amount = -condition.amount;
  return condition;
}

}  // namespace

bool FailCondition::Holds(std::uint64_t before, std::uint64_t after) const {
  const double change = after >= before ? static_cast<double>(after - before) : -static_cast<double>(before - after);
  double figure = static_cast<double>(after);
  if (of == Of::kChange) figure = change;
  if (of == Of::kPercent) {
    figure = before != 0   ? 100 * change / static_cast<double>(before)
             : change != 0 ? std::numeric_limits<double>::infinity()
                           : 0;
  }
  switch (op) {
    case Operator::kMore: return figure > amount;
    case Operator::kAtLeast: return figure >= amount;
    case Operator::kLess: return figure < amount;
    case Operator::kAtMost: return figure <= amount;
    case Operator::kEqual: return figure == amount;
    case Operator::kDiffers: return figure != amount;
  }
  return false;
}

StatusOr<std::vector<FailCondition>> ParseFailConditions(std::string_view text, const std::vector<Metric>& known) {
  std::vector<FailCondition> conditions;
  for (;;) {
    const std::size_t comma = std::min(text.find(','), text.size());
    TIERLIB_ASSIGN_OR_RETURN(FailCondition one, ParseOne(Trimmed(text.substr(0, comma)), known));
    conditions.push_back(std::move(one));
    if (comma == text.size()) return conditions;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace tierlib::trace_viewer
