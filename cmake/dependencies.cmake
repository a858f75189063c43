# Packages that tierlib stands on. On Debian and Ubuntu scripts/setup installs them.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(absl REQUIRED CONFIG)
# The parts of Abseil that the runtime is linked with: for its target and for tierlib.pc.
set(tierlib_absl_libraries base btree flat_hash_map flat_hash_set function_ref inlined_vector span strings str_format)
find_package(nlohmann_json REQUIRED CONFIG)

include(cmake/tierlib_find.cmake)
tierlib_find_numa()
tierlib_find_hwy()
tierlib_find_zstd()
tierlib_find_openblas()
foreach(missing IN ITEMS "${tierlib__numa_MISSING}" "${tierlib__hwy_MISSING}" "${tierlib__zstd_MISSING}"
    "${tierlib__openblas_MISSING}")
  if(missing)
    message(FATAL_ERROR "tierlib: ${missing}")
  endif()
endforeach()
if(NOT TIERLIB__OPENBLAS_LIBRARY MATCHES "openblas-openmp")
  message(WARNING "tierlib: ${TIERLIB__OPENBLAS_LIBRARY} is not the OpenMP build of OpenBLAS: matrix products that run at the "
    "same time may wait for each other. Debian's libopenblas-openmp-dev has it")
endif()
