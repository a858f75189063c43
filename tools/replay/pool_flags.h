// PoolFlags: the flags of the command line that describe a pool, each with its help, its unit and its default.
#ifndef TIERLIB_TOOLS_REPLAY_POOL_FLAGS_H_
#define TIERLIB_TOOLS_REPLAY_POOL_FLAGS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "pool_configuration.h"
#include "tierlib/status.h"

namespace tierlib::trace_replay {

class PoolFlags {
 public:
  // Adds the flags to `app`, whose parser writes into this: both stay where they are until it has run.
  explicit PoolFlags(CLI::App& app);
  PoolFlags(const PoolFlags&) = delete;
  PoolFlags& operator=(const PoolFlags&) = delete;

  // What the flags say, once they are parsed. InvalidArgument that names the flag where they do not go together.
  StatusOr<PoolConfiguration> Configuration() const;

 private:
  CLI::Option* AddSize(CLI::App& app, const std::string& name, std::uint64_t* bytes, const std::string& help);
  StatusOr<TagLimits> ReadTagLimits() const;

  PoolConfiguration pool_;
  std::string tier_ = "device";
  std::string backing_ = "virtual";
  std::uint64_t capacity_ = 0;
  std::uint64_t alignment_ = pool_.alignment;
  std::uint64_t growth_ = pool_.growth;
  std::uint64_t granularity_ = pool_.granularity;
  std::uint64_t quarantine_ = pool_.quarantine;
  std::vector<std::string> tag_limits_;
  CLI::Option* capacity_option_ = nullptr;
  CLI::Option* granularity_option_ = nullptr;
  CLI::Option* quarantine_option_ = nullptr;
};

}  // namespace tierlib::trace_replay

#endif  // TIERLIB_TOOLS_REPLAY_POOL_FLAGS_H_
