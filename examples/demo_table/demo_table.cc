// Prints the table that scripts/demo ends with, from the reports (--report) of six runs of train_lm:
//
//   demo_table FOLDER      reads trained.json, plain3.json, off.json, naive.json, marshal.json and fit.json there
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tierlib/bytes.h"

namespace {

using Json = nlohmann::json;

// The member of a report, or an exception that names both.
template <typename T>
T Get(const Json& report, const char* member) {
  return report.at(member).get<T>();
}

std::string Bytes(const Json& report, const char* member) {
  return tierlib::FormatBytes(Get<std::uint64_t>(report, member));
}

// Of the block matrices (attention and feed-forward, 12 width^2 a layer): the weights that are clustered.
std::uint64_t ClusteredWeights(const Json& report) {
  const Json& options = report.at("options");
  const std::uint64_t width = std::stoull(options.at("width").get<std::string>());
  return 12 * width * width * std::stoull(options.at("layers").get<std::string>());
}

void PrintLosses(const std::map<std::string, Json>& runs) {
  const Json& trained = runs.at("trained");
  const Json& fit = runs.at("fit");
  const std::uint64_t clustered = ClusteredWeights(fit);
  const double bits = Get<double>(fit, "weight_bits_per_weight");
  const std::string full = tierlib::FormatBytes(clustered * 4);
  const std::string small = tierlib::FormatBytes(static_cast<std::uint64_t>(static_cast<double>(clustered) * bits / 8));
  std::printf("%-46s %10s %14s\n", "weights of the blocks", "loss", "size");
  std::printf("%-46s %10.4f %14s\n", "float32, as trained", Get<double>(trained, "val_loss"), full.c_str());
  std::printf("%-46s %10.4f %14s\n", "3 bits, clustered without training", Get<double>(runs.at("plain3"), "val_loss"),
              small.c_str());
  const std::string after = "3 bits, after " + std::to_string(Get<int>(fit, "steps")) + " steps of DKM";
  std::printf("%-46s %10.4f %14s\n\n", after.c_str(), Get<double>(fit, "val_loss"), small.c_str());
}

void PrintTraffic(const std::map<std::string, Json>& runs) {
  const struct {
    const char* run;
    const char* what;
  } rows[] = {{"off", "off: everything stays on the device"},
              {"naive", "naive: each saved tensor is copied"},
              {"marshal", "marshal: each storage moves once"},
              {"fit", "marshal, only what the memory needs"}};
  std::printf("%-37s %12s %12s %12s %12s\n", "a step at 3 bits", "moved", "avoided", "device peak", "host peak");
  for (const auto& row : rows) {
    const Json& run = runs.at(row.run);
    const Json& avoided = run.at("bytes_avoided_per_step");
    const auto bytes = Get<std::uint64_t>(avoided, "identity") + Get<std::uint64_t>(avoided, "lineage");
    std::printf("%-37s %12s %12s %12s %12s\n", row.what, Bytes(run, "bytes_moved_per_step").c_str(),
                tierlib::FormatBytes(bytes).c_str(), Bytes(run, "device_peak_bytes").c_str(),
                Bytes(run, "host_peak_bytes").c_str());
  }
  const Json& fit = runs.at("fit");
  std::printf("\nThe last row trained on a device of %s, where mode off needs %s.\n",
              Bytes(fit, "device_memory").c_str(), Bytes(fit, "device_bytes_without_offload").c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "demo_table: expected the folder of the reports\n");
    return 2;
  }
  std::string path;
  try {
    std::map<std::string, Json> runs;
    for (const char* name : {"trained", "plain3", "off", "naive", "marshal", "fit"}) {
      path = std::string(argv[1]) + "/" + name + ".json";
      std::ifstream file(path);
      runs[name] = Json::parse(file);
    }
    path = argv[1];
    PrintLosses(runs);
    PrintTraffic(runs);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "demo_table: %s: %s\n", path.c_str(), error.what());
    return 1;
  }
  return 0;
}
