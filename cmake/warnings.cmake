# tierlib_target(<target> [PRECOMPILED <target>]): C++20, warnings as errors, sanitizers, and the precompiled headers of the
# target named, or of tierlib_precompiled. For our own code only.
function(tierlib_target target)
  cmake_parse_arguments(ARG "" "PRECOMPILED" "" ${ARGN})
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF CUDA_STANDARD 20 CUDA_EXTENSIONS OFF)
  # Programs too: one set of precompiled headers serves all targets only where all are compiled alike.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fPIC> $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-fPIC>)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:Clang>>:-Wthread-safety>)
  if(TIERLIB_WARNINGS_AS_ERRORS)
    # GCC's warnings that follow the flow of values see what is not there in inlined Abseil code: shown, not errors.
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-Werror> $<$<COMPILE_LANGUAGE:CUDA>:--Werror=all-warnings>
      $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-error=maybe-uninitialized -Wno-error=uninitialized
      -Wno-error=array-bounds -Wno-error=stringop-overflow -Wno-error=restrict>)
  endif()
  if(TIERLIB_SANITIZE)
    target_compile_options(${target} PUBLIC
      $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${TIERLIB_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer>)
    target_link_options(${target} PUBLIC -fsanitize=${TIERLIB_SANITIZE})
  endif()
  if(TIERLIB_FUZZ)  # counts the edges that a run takes; the targets of tests/fuzz bring libFuzzer itself
    target_compile_options(${target} PUBLIC $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>)
    target_link_options(${target} PUBLIC -fsanitize=fuzzer-no-link)
  endif()
  if(NOT ARG_PRECOMPILED)
    set(ARG_PRECOMPILED tierlib_precompiled)
  endif()
  if(TIERLIB_PRECOMPILE AND NOT ${target} STREQUAL ${ARG_PRECOMPILED})
    target_precompile_headers(${target} REUSE_FROM ${ARG_PRECOMPILED})
  endif()
endfunction()

# Headers of the standard library and of Abseil that most files read: compiled once for all targets. A quarter of a build's
# time; files name what they need all the same.
if(TIERLIB_PRECOMPILE)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/precompiled.cc CONTENT "// The precompiled headers belong to this file.\n")
  add_library(tierlib_precompiled OBJECT ${PROJECT_BINARY_DIR}/precompiled.cc)
  tierlib_target(tierlib_precompiled)
  target_link_libraries(tierlib_precompiled PRIVATE Threads::Threads absl::flat_hash_map absl::function_ref
    absl::inlined_vector absl::span)
  set(tierlib_precompiled_headers
    <algorithm> <atomic> <cmath> <cstdint> <cstring> <deque> <functional> <map> <memory> <mutex> <optional> <ostream>
    <string> <string_view> <utility> <variant> <vector>
    <absl/container/flat_hash_map.h> <absl/container/inlined_vector.h> <absl/functional/function_ref.h> <absl/types/span.h>)
  target_precompile_headers(tierlib_precompiled PRIVATE ${tierlib_precompiled_headers})
endif()

# tierlib_layer(<name> SOURCES ... DEPENDS ...): one layer of the house as an object library. A layer's sources include
# "layer/file.h" relative to src/; who may include whom is checked by tests/layers.
function(tierlib_layer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(tierlib_${name} OBJECT ${ARG_SOURCES})
  tierlib_target(tierlib_${name})
  target_include_directories(tierlib_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)
  target_link_libraries(tierlib_${name} PUBLIC ${ARG_DEPENDS})
endfunction()
