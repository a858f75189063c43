#include "pool_flags.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>

#include "tierlib/bytes.h"
#include "trace/event.h"

namespace tierlib::trace_replay {
namespace {

constexpr const char* kGroup = "Pool";

// A function for CLI11: the text is a size, which goes to `bytes`.
CLI::callback_t Size(std::string name, std::uint64_t* bytes) {
  return [name = std::move(name), bytes](const CLI::results_t& texts) {
    const StatusOr<std::uint64_t> parsed = ParseBytes(texts.back());
    if (!parsed.ok()) throw CLI::ValidationError(name, std::string(parsed.status().message()));
    *bytes = *parsed;
    return true;
  };
}

// "60s", "1.5ms", "250us", "10min": nanoseconds.
std::optional<std::int64_t> ParseDuration(std::string_view text) {
  constexpr std::pair<std::string_view, double> kUnits[] = {{"ns", 1},  {"us", 1e3},   {"ms", 1e6},
                                                            {"s", 1e9}, {"min", 6e10}, {"h", 3.6e12}};
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, ns] : kUnits) {
    if (unit != name || !(number >= 0) || number * ns > 9e18) continue;
    return static_cast<std::int64_t>(std::llround(number * ns));
  }
  return std::nullopt;
}

CLI::callback_t Duration(std::string name, std::int64_t* ns) {
  return [name = std::move(name), ns](const CLI::results_t& texts) {
    const std::optional<std::int64_t> parsed = ParseDuration(texts.back());
    if (!parsed.has_value()) {
      throw CLI::ValidationError(name, "'" + texts.back() + "' is not a time; right would be 60s, 250ms or 10min");
    }
    *ns = *parsed;
    return true;
  };
}

CLI::callback_t Count(std::string name, std::uint64_t* count) {
  return [name = std::move(name), count](const CLI::results_t& texts) {
    const std::string& text = texts.back();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *count);
    if (error == std::errc() && end == text.data() + text.size()) return true;
    throw CLI::ValidationError(name, "'" + text + "' is not a count; right would be 1000");
  };
}

std::string TagNames() {
  std::string names;
  for (std::size_t tag = 0; tag < trace::kTagCount; ++tag) {
    names += (tag == 0 ? "" : ", ") + std::string(trace::TagName(static_cast<trace::Tag>(tag)));
  }
  return names;
}

}  // namespace

CLI::Option* PoolFlags::AddSize(CLI::App& app, const std::string& name, std::uint64_t* bytes, const std::string& help) {
  return app.add_option(name, Size(name, bytes), help)->type_name("SIZE")->group(kGroup);
}

PoolFlags::PoolFlags(CLI::App& app) {
  const auto add_count = [&app](const char* name, std::uint64_t* count, const char* help) {
    app.add_option(name, Count(name, count), help)->type_name("COUNT")->group(kGroup);
  };
  app.add_option("--tier", tier_, "The kind of pool; of a tierlib trace, also whose events")
      ->check(CLI::IsMember({"device", "pinned", "pageable", "file"}))
      ->group(kGroup)
      ->capture_default_str();
  capacity_option_ = AddSize(app, "--capacity", &capacity_,
                             "The limit of the tier, as 80GiB: at most 8TiB; default: what the trace needs");
  AddSize(app, "--alignment", &alignment_, "Of every block, a power of two up to 1GiB; default: 256");
  AddSize(app, "--growth", &growth_, "The pool grows by at least this, where the capacity allows; default: 2MiB");
  app.add_option("--backing", backing_,
                 "How the device's memory is taken, emulated: mapped piece by piece (virtual), the whole capacity at "
                 "once (malloc), or managed, which lies as virtual does")
      ->check(CLI::IsMember({"virtual", "malloc", "managed", "malloc-async"}))
      ->group(kGroup)
      ->capture_default_str();
  granularity_option_ =
      AddSize(app, "--granularity", &granularity_,
              "The device's memory is taken in multiples of this, a power of two from 256 to 1GiB: 2MiB on NVIDIA's "
              "GPUs; default: 256, as emulated");
  AddSize(
      app, "--spare", &pool_.spare_bytes,
      "DeviceOptions::spare_bytes: so much free memory, in all, a request may leave alone rather than wait for work "
      "that still uses it. Matters with --lag; default: 0");
  add_count("--lag", &pool_.lag,
            "The device is so many operations behind the host: work enqueued before one ends so many later; default: "
            "0, at once");
  AddSize(app, "--cached-limit", &pool_.cached_limit,
          "Free memory beyond this goes back when a step ends; default: none does");
  app.add_option(
         "--cached-age", Duration("--cached-age", &pool_.cached_age_ns),
         "Memory that was not handed out for so long, by the trace's clock, goes back when a step ends, at twice "
         "the age at the latest, as 60s, 250ms; default: 0s, never")
      ->type_name("TIME")
      ->group(kGroup);
  add_count("--step-operations", &pool_.step_operations,
            "A step ends after every so many operations, beside those that the trace tells of; default: 0, none");
  app.add_option("--tag-limit", tag_limits_,
                 "The most that blocks of a tag may take, rounded, as activations=4GiB; once for each tag: " +
                     TagNames() + ". Of traces of others all are untagged; default: no limit")
      ->type_name("TAG=SIZE")
      ->allow_extra_args(false)
      ->group(kGroup);
  app.add_flag("--hardened", pool_.hardened,
               "Guards of an alignment around every block, and a quarantine for what is freed; default: off")
      ->group(kGroup);
  quarantine_option_ = AddSize(app, "--quarantine", &quarantine_,
                               "What hardened mode holds back, at most an eighth of the capacity; default: 64MiB");
  app.add_flag("--threads-take-turns", pool_.threads_take_turns,
               "DeviceOptions::allocating_threads_take_turns. Changes the time alone; default: off")
      ->group(kGroup);
}

StatusOr<TagLimits> PoolFlags::ReadTagLimits() const {
  TagLimits limits = NoTagLimits();
  for (const std::string& text : tag_limits_) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      return InvalidArgumentError("--tag-limit: '" + text + "' should be TAG=SIZE, as activations=4GiB");
    }
    const std::optional<trace::Tag> tag = trace::FindTag(text.substr(0, equals));
    if (!tag.has_value()) {
      return InvalidArgumentError("--tag-limit: there is no tag '" + text.substr(0, equals) + "', but " + TagNames());
    }
    const StatusOr<std::uint64_t> bytes = ParseBytes(text.substr(equals + 1));
    if (!bytes.ok()) return InvalidArgumentError("--tag-limit: " + std::string(bytes.status().message()));
    std::size_t& limit = limits[static_cast<std::size_t>(*tag)];
    if (limit != NoTagLimits()[0]) {
      return InvalidArgumentError("--tag-limit: " + text.substr(0, equals) + " is limited twice");
    }
    limit = static_cast<std::size_t>(*bytes);
  }
  return limits;
}

StatusOr<PoolConfiguration> PoolFlags::Configuration() const {
  PoolConfiguration pool = pool_;
  pool.tier = tier_ == "pinned"     ? Tier::kPinned
              : tier_ == "pageable" ? Tier::kPageable
              : tier_ == "file"     ? Tier::kFile
                                    : Tier::kDevice;
  pool.backing = backing_ == "malloc"         ? DeviceBacking::kMalloc
                 : backing_ == "managed"      ? DeviceBacking::kManaged
                 : backing_ == "malloc-async" ? DeviceBacking::kMallocAsync
                                              : DeviceBacking::kVirtualMemory;
  if (capacity_option_->count() > 0) pool.capacity = capacity_;
  pool.alignment = static_cast<std::size_t>(alignment_);
  pool.growth = static_cast<std::size_t>(growth_);
  if (granularity_option_->count() > 0 && granularity_ == 0) {
    return InvalidArgumentError("--granularity: a power of two from 256 B to 1 GiB is needed, as 2MiB");
  }
  pool.granularity = static_cast<std::size_t>(granularity_);
  if (quarantine_option_->count() > 0 && !pool.hardened) {
    return InvalidArgumentError("--quarantine does nothing without --hardened");
  }
  pool.quarantine = static_cast<std::size_t>(quarantine_);
  TIERLIB_ASSIGN_OR_RETURN(pool.tag_limits, ReadTagLimits());
  TIERLIB_RETURN_IF_ERROR(CheckConfiguration(pool));
  return pool;
}

}  // namespace tierlib::trace_replay
