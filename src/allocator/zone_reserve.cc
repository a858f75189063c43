#include "allocator/zone_reserve.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <string>

namespace tierlib {

std::uint64_t ZoneReservePages(std::istream& zoneinfo, int node) {
  std::uint64_t reserved = 0;
  std::uint64_t high = 0;
  std::uint64_t managed = 0;
  bool wanted = false;
  for (std::string line; std::getline(zoneinfo, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "Node") {
      int number = -1;
      words >> number;
      wanted = number == node;
      high = managed = 0;
    } else if (wanted && name == "high") {
      words >> high;
    } else if (wanted && name == "managed") {
      words >> managed;
    } else if (wanted && name == "protection:") {  // the last of a zone's; "(0, 926, 926, 926, 926)"
      for (char& letter : line) letter = std::isdigit(static_cast<unsigned char>(letter)) != 0 ? letter : ' ';
      std::istringstream numbers(line);
      std::uint64_t most = 0;
      for (std::uint64_t pages = 0; numbers >> pages;) most = std::max(most, pages);
      reserved += std::min(managed, high + most);
      high = managed = 0;
    }
  }
  return reserved;
}

}  // namespace tierlib
