// What becomes of each tensor of a model: decided from names, types and sizes before anything is read.
#ifndef TIERLIB_TOOLS_PALETTIZE_PLAN_H_
#define TIERLIB_TOOLS_PALETTIZE_PLAN_H_

#include <string>
#include <vector>

#include "palettize_options.h"
#include "tierlib/dkm/palettized_model.h"
#include "tierlib/io/safetensors_model.h"
#include "tierlib/status.h"

namespace tierlib::palettize {

struct PlannedTensor {
  const io::SafetensorsModel::Tensor* source = nullptr;
  bool packed = false;
  dkm::PalettizedTensor palette;                          // where it is packed
  const io::SafetensorsModel::Tensor* trained = nullptr;  // its tables, where DKM trained some
  std::int64_t trained_group_rows = 0;                    // rows that share one of those
  const io::SafetensorsModel::Tensor* scales = nullptr;   // what DKM trained them for is each row over its scale
  const char* kept_dense = "";                            // why, where it is not packed
};

struct Plan {
  std::vector<PlannedTensor> tensors;  // in the model's order
  std::size_t dropped = 0;
};

// By the first that holds: a name that `drop` finds is left out. "dkm.NAME.centroids" of a tensor NAME that is there,
// one that is not left out, is its table, of values in one dimension; or its tables, [groups, values], where the
// metadata has "dkm.NAME.group_rows", the rows that share one. "dkm.NAME.channel_scales" of a tensor with a table are
// multiplied into a table for each row, as the format has no scales. What is no float of 16 or 32 bits, has fewer than
// two dimensions, fewer values than `min_size`, or a name that `skip` finds stays dense; a weight with a table is
// packed whatever its size. Of the others, those that `embedding` finds get embedding_bits.
//
// A trained table is taken as the checkpoint has it: Clustering::Palettize would first run its iterations on the
// weights once more, for which the file says neither tau nor their number in a form that is not its program's own.
//
// The plan points into `model`. FailedPrecondition where the model is palettized already; InvalidArgument names a
// trained table that is none, or scales that are none, or do not fit the weight, or a name too long for a regular
// expression; errors of MakePaletteShape.
StatusOr<Plan> MakePlan(const PalettizeOptions& options, const io::SafetensorsModel& model);

// "dkm.NAME.group_rows".
std::string GroupRowsKey(const std::string& weight);

}  // namespace tierlib::palettize

#endif  // TIERLIB_TOOLS_PALETTIZE_PLAN_H_
