// All launches of the autograd's CUDA kernels: Run(grid, arguments, workspace), for CudaGrid or SequentialGrid.
#ifndef TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_LAUNCHES_H_
#define TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_LAUNCHES_H_

#include "autograd/kernels/cuda/attention_launches.h"
#include "autograd/kernels/cuda/cross_entropy_launches.h"
#include "autograd/kernels/cuda/dropout_launches.h"
#include "autograd/kernels/cuda/elementwise_launches.h"
#include "autograd/kernels/cuda/embedding_launches.h"
#include "autograd/kernels/cuda/layer_norm_launches.h"
#include "autograd/kernels/cuda/reduce_launches.h"
#include "autograd/kernels/cuda/rotary_launches.h"
#include "autograd/kernels/cuda/softmax_launches.h"
#include "autograd/kernels/cuda/update_launches.h"

#endif  // TIERLIB_SRC_AUTOGRAD_KERNELS_CUDA_LAUNCHES_H_
