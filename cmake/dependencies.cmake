# Packages that tierlib stands on. On Debian and Ubuntu scripts/setup installs them.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(absl REQUIRED CONFIG)
find_package(hwy QUIET CONFIG)  # Debian's package has no CMake files
find_package(nlohmann_json REQUIRED CONFIG)

# tierlib_find(<NAME> <imported target> <library> <header> <Debian package>): for packages without CMake files.
function(tierlib_find name target library header package)
  find_library(${name}_LIBRARY ${library})
  find_path(${name}_INCLUDE_DIR ${header})
  if(NOT ${name}_LIBRARY OR NOT ${name}_INCLUDE_DIR)
    message(FATAL_ERROR "tierlib: lib${library} (${header}) was not found: install ${package}")
  endif()
  if(NOT TARGET ${target})
    add_library(${target} UNKNOWN IMPORTED GLOBAL)
    set_target_properties(${target} PROPERTIES
      IMPORTED_LOCATION ${${name}_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${${name}_INCLUDE_DIR})
  endif()
endfunction()

tierlib_find(NUMA tierlib::numa numa numa.h libnuma-dev)
tierlib_find(HWY tierlib::hwy hwy hwy/highway.h libhwy-dev)
tierlib_find(ZSTD tierlib::zstd zstd zstd.h libzstd-dev)
tierlib_find(OPENBLAS tierlib::openblas openblas cblas.h libopenblas-openmp-dev)
