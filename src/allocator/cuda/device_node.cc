#include "allocator/cuda/device_node.h"

#include <cuda_runtime_api.h>

#include <fstream>
#include <string>

#include "absl/strings/ascii.h"

namespace tierlib {

int NodeOfDevice(int ordinal) {
  int node = -1;
#if CUDART_VERSION >= 12030
  if (cudaDeviceGetAttribute(&node, cudaDevAttrHostNumaId, ordinal) == cudaSuccess && node >= 0) return node;
#endif
  char bus_id[32] = {};
  const cudaError_t error = cudaDeviceGetPCIBusId(bus_id, sizeof(bus_id), ordinal);
  (void)cudaGetLastError();
  if (error != cudaSuccess) return -1;
  std::ifstream file("/sys/bus/pci/devices/" + absl::AsciiStrToLower(bus_id) + "/numa_node");
  return file >> node ? node : -1;
}

}  // namespace tierlib
