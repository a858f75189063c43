// Arithmetic on sizes and layouts that ops share: broadcasting, aliasing reshapes, transposes. Pure functions; any
// thread.
#ifndef TIERLIB_SRC_AUTOGRAD_SHAPE_H_
#define TIERLIB_SRC_AUTOGRAD_SHAPE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "tierlib/status.h"
#include "tierlib/view.h"

namespace tierlib::autograd {

// "[3,4]".
std::string SizesText(const Dims& sizes);

// `dim` counted from 0 where it names one of `rank` dimensions (negative ones count from the end); otherwise
// InvalidArgument "dimension 5 of [3,4]".
StatusOr<int> CheckDim(int dim, const Dims& sizes);

// The sizes that both broadcast to (right-aligned; a size of 1 repeats). InvalidArgument names both.
StatusOr<Dims> BroadcastSizes(const Dims& a, const Dims& b);
// True where `from` broadcasts to exactly `to`.
bool BroadcastsTo(const Dims& from, const Dims& to);
// `sizes` with each -1 replaced by the size that `from` has there, counted from the right. InvalidArgument where `from`
// does not broadcast to them.
StatusOr<Dims> ExpandSizes(const Dims& from, const Dims& sizes);
// The layout with `sizes`, repeated dimensions with stride 0. REQUIRES: BroadcastsTo(layout.sizes, sizes).
Layout ExpandLayout(const Layout& layout, const Dims& sizes);

// `sizes` with its -1, if there is one, replaced so that the product is `elements`. InvalidArgument where none fits.
StatusOr<Dims> InferSizes(const Dims& sizes, std::int64_t elements);
// The same elements in the same row-major order through `sizes`, where strides over the same bytes exist (the rule of
// torch.Tensor.view). REQUIRES: equal numbers of elements.
std::optional<Layout> ReshapeLayout(const Layout& layout, const Dims& sizes);

Layout TransposeLayout(const Layout& layout, int dim0, int dim1);
// Elements begin, begin + step, ... before end of dimension `dim`. REQUIRES: 0 <= begin <= end <= size, step > 0.
Layout SliceLayout(const Layout& layout, int dim, std::int64_t begin, std::int64_t end, std::int64_t step);
// A dimension of size 1 put in at `dim`, or taken out.
Layout InsertDim(const Layout& layout, int dim);
Layout RemoveDim(const Layout& layout, int dim);

// True where both reach the same elements of one storage in the same order (strides of sizes up to 1 do not matter).
bool SameElements(const Layout& a, const Layout& b);

// Bytes from element (0, ..., 0) to one past the last byte that the layout reaches; 0 without elements.
std::int64_t ReachBytes(const Layout& layout);

}  // namespace tierlib::autograd

#endif  // TIERLIB_SRC_AUTOGRAD_SHAPE_H_
