# tierlib_target(<target>): C++20, warnings as errors, sanitizers. For our own code only.
function(tierlib_target target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON
    CUDA_STANDARD 20 CUDA_EXTENSIONS OFF)
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
endfunction()

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
