# tierlib_find(<imported target> HEADER <name> LIBRARIES <names> [PATHS <suffixes>] [LINKS ...] PACKAGE <Debian package>)
#
# Makes an imported target for a library whose package has no CMake files. Sets <target>_MISSING (":" becomes "_") to a
# sentence where it is not there, and to "" where it is. Used by the build and by the installed package.
function(tierlib_find target)
  cmake_parse_arguments(ARG "" "HEADER;PACKAGE" "LIBRARIES;PATHS;LINKS" ${ARGN})
  string(REPLACE ":" "_" name ${target})
  string(TOUPPER ${name} cache)
  find_library(${cache}_LIBRARY NAMES ${ARG_LIBRARIES} PATH_SUFFIXES ${ARG_PATHS})
  find_path(${cache}_INCLUDE_DIR ${ARG_HEADER} PATH_SUFFIXES ${ARG_PATHS})
  mark_as_advanced(${cache}_LIBRARY ${cache}_INCLUDE_DIR)
  set(${name}_MISSING "" PARENT_SCOPE)
  if(NOT ${cache}_LIBRARY OR NOT ${cache}_INCLUDE_DIR)
    set(${name}_MISSING "${ARG_HEADER} or its library was not found: install ${ARG_PACKAGE}" PARENT_SCOPE)
  elseif(NOT TARGET ${target})
    add_library(${target} UNKNOWN IMPORTED GLOBAL)
    set_target_properties(${target} PROPERTIES
      IMPORTED_LOCATION ${${cache}_LIBRARY}
      INTERFACE_INCLUDE_DIRECTORIES ${${cache}_INCLUDE_DIR}
      INTERFACE_LINK_LIBRARIES "${ARG_LINKS}")
  endif()
endfunction()

# The libraries that tierlib's parts stand on, for the build and for the installed package alike.
macro(tierlib_find_numa)
  tierlib_find(tierlib::numa HEADER numa.h LIBRARIES numa PACKAGE libnuma-dev)
endmacro()
macro(tierlib_find_hwy)
  tierlib_find(tierlib::hwy HEADER hwy/highway.h LIBRARIES hwy PACKAGE libhwy-dev)
endmacro()
macro(tierlib_find_zstd)
  tierlib_find(tierlib::zstd HEADER zstd.h LIBRARIES zstd PACKAGE libzstd-dev)
endmacro()
# OpenBLAS in its OpenMP build, as an archive: see docs/decisions/0006-openblas.md.
macro(tierlib_find_openblas)
  tierlib_find(tierlib::openblas HEADER cblas.h LIBRARIES libopenblas.a openblas PATHS openblas-openmp LINKS gomp
    PACKAGE libopenblas-openmp-dev)
endmacro()
