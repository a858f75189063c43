// Links every library of the package and calls into each.
#include <tierlib/autograd/optimizer.h>
#include <tierlib/dkm/clustering.h>
#include <tierlib/io/safetensors.h>
#include <tierlib/tierlib.h>

#include <cstdio>

int main() {
  const tierlib::Status missing = tierlib::io::SafetensorsReader::Open("no-such-file.safetensors").status();
  if (missing.code() != tierlib::StatusCode::kNotFound) return std::puts(missing.ToString().c_str()), 1;
  const double rate = tierlib::autograd::CosineLearningRate(0, 1e-3, 1e-4, 0, 100);
  if (rate < 0.99e-3 || rate > 1.01e-3) return std::printf("learning rate %g\n", rate), 1;
  tierlib::dkm::Clustering clustering("weight", {});
  if (clustering.clusters() != 8) return std::printf("%lld clusters\n", (long long)clustering.clusters()), 1;
  std::puts("tierlib, io, autograd and dkm are linked");
  return 0;
}
