// The options that launchers give by the environment.
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tierlib/comm/nccl_group.h"

namespace tierlib::comm {
namespace {

StatusOr<std::string> Text(const char* name) {
  const char* const text = std::getenv(name);
  if (text != nullptr && *text != '\0') return std::string(text);
  return InvalidArgumentError(std::string("NCCL: ") + name +
                              " is not set: a launcher sets RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT and LOCAL_RANK");
}

StatusOr<int> Number(const char* name) {
  TIERLIB_ASSIGN_OR_RETURN(const std::string text, Text(name));
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && at == end && number >= 0) return number;
  return InvalidArgumentError(std::string("NCCL: ") + name + " is \"" + text + "\": it must be a number from 0 on");
}

}  // namespace

StatusOr<NcclOptions> NcclOptionsFromEnvironment() {
  NcclOptions options;
  TIERLIB_ASSIGN_OR_RETURN(options.rank, Number("RANK"));
  TIERLIB_ASSIGN_OR_RETURN(options.size, Number("WORLD_SIZE"));
  TIERLIB_ASSIGN_OR_RETURN(options.device, Number("LOCAL_RANK"));
  TIERLIB_ASSIGN_OR_RETURN(const std::string host, Text("MASTER_ADDR"));
  TIERLIB_ASSIGN_OR_RETURN(const std::string port, Text("MASTER_PORT"));
  options.address = host + ":" + port;
  return options;
}

}  // namespace tierlib::comm
