// Runs a fuzz target where the compiler has no libFuzzer, so that it does not rot: on the files of a folder, then on
// random inputs, every second one a file with some bytes changed. The same inputs every time.
//
//   <target> <count of random inputs> [<folder>]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

std::vector<Input> ReadFolder(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Input> inputs;
  for (const std::filesystem::path& path : paths) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

Input RandomInput(const std::vector<Input>& seeds, std::mt19937_64& random) {
  if (seeds.empty() || random() % 2 == 0) {
    Input input(random() % 256);
    for (std::uint8_t& byte : input) byte = static_cast<std::uint8_t>(random());
    return input;
  }
  Input input = seeds[random() % seeds.size()];
  for (std::uint64_t changes = random() % 8 + 1; changes > 0 && !input.empty(); --changes) {
    input[random() % input.size()] = static_cast<std::uint8_t>(random());
  }
  if (random() % 4 == 0) input.resize(random() % (input.size() + 1));
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: %s COUNT [FOLDER]\n", argv[0]);
    return 2;
  }
  const long count = std::strtol(argv[1], nullptr, 10);
  const std::vector<Input> seeds = argc == 3 ? ReadFolder(argv[2]) : std::vector<Input>();
  for (const Input& seed : seeds) LLVMFuzzerTestOneInput(seed.data(), seed.size());
  std::mt19937_64 random(1);
  for (long i = 0; i < count; ++i) {
    const Input input = RandomInput(seeds, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu files and %ld random inputs\n", seeds.size(), count);
  return 0;
}
