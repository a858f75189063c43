// The nearest of a table's values.
#ifndef TIERLIB_SRC_DKM_NEAREST_H_
#define TIERLIB_SRC_DKM_NEAREST_H_

#include <array>
#include <cstdint>
#include <limits>

namespace tierlib::dkm {

// Finds indices by the borders half way between neighbours: the same as comparing distances, ties to the lowest index.
class Nearest {
 public:
  // `table`: `clusters` finite values, ascending. Of equal ones only the first is ever found.
  Nearest(const float* table, int clusters) {
    borders_.fill(std::numeric_limits<double>::infinity());
    int last = 0;  // of the values found so far
    for (int j = 1; j < clusters; ++j) {
      if (table[j] == table[index_[last]]) continue;
      borders_[last] = 0.5 * (static_cast<double>(table[index_[last]]) + table[j]);
      index_[++last] = static_cast<std::uint8_t>(j);
    }
    while (half_ <= static_cast<unsigned>(last)) half_ *= 2;
    half_ /= 2;
  }

  std::uint8_t Of(double value) const {
    unsigned at = 0;  // distinct values before the nearest: that many borders lie below `value`
    for (unsigned step = half_; step > 0; step /= 2) at += value > borders_[at + step - 1] ? step : 0;
    return index_[at];
  }

 private:
  std::array<double, 256> borders_;           // ascending; infinity where there is none
  std::array<std::uint8_t, 256> index_ = {};  // in the table, of each distinct value
  unsigned half_ = 1;                         // of the least power of two that is more than the borders there are
};

}  // namespace tierlib::dkm

#endif  // TIERLIB_SRC_DKM_NEAREST_H_
