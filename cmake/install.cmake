# The installed package: archives, headers, CMake files (find_package(tierlib CONFIG)) and pkg-config files.
include(CMakePackageConfigHelpers)

set(tierlib_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tierlib)
set(tierlib_targets tierlib tierlib_io_library tierlib_comm_library tierlib_autograd_library tierlib_dkm_library)
install(TARGETS ${tierlib_targets} EXPORT tierlibTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT tierlibTargets NAMESPACE tierlib:: DESTINATION ${tierlib_cmake_dir})
# Apart: only who asks for the component comm_mpi needs MPI.
if(TIERLIB_WITH_MPI)
  install(TARGETS tierlib_comm_mpi_library EXPORT tierlibMpiTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT tierlibMpiTargets FILE tierlibMpiTargets.cmake NAMESPACE tierlib:: DESTINATION ${tierlib_cmake_dir})
endif()
install(DIRECTORY include/tierlib DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TIERLIB_BUILD_TOOLS)
  install(TARGETS tierlib-trace tierlib-replay tierlib-palettize RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES tools/trace_viewer/tierlib-trace.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  set(completions ${PROJECT_BINARY_DIR}/completions)  # what tierlib-trace's build makes of its own command line
  install(FILES ${completions}/tierlib-trace DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${completions}/_tierlib-trace DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${completions}/tierlib-trace.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

configure_package_config_file(cmake/tierlibConfig.cmake.in ${PROJECT_BINARY_DIR}/cmake/tierlibConfig.cmake
  INSTALL_DESTINATION ${tierlib_cmake_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cmake/tierlibConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES cmake/tierlib_find.cmake ${PROJECT_BINARY_DIR}/cmake/tierlibConfig.cmake
  ${PROJECT_BINARY_DIR}/cmake/tierlibConfigVersion.cmake DESTINATION ${tierlib_cmake_dir})

# tierlib_pkg_config(<name> <description> REQUIRES <packages> LIBS <flags>). There are archives only, so what they need
# at link time is named in full: pkg-config works with and without --static.
function(tierlib_pkg_config name description)
  cmake_parse_arguments(ARG "" "" "REQUIRES;LIBS" ${ARGN})
  set(pc_name ${name})
  set(pc_description ${description})
  string(REPLACE "-" "_" pc_library ${name})
  list(JOIN ARG_REQUIRES ", " pc_requires)
  list(JOIN ARG_LIBS " " pc_libs)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/tierlib.pc.in ${PROJECT_BINARY_DIR}/pkgconfig/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/pkgconfig/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# The .pc files find their prefix from where they lie, so an installed tree may be moved.
file(RELATIVE_PATH pc_up ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
set(absl_packages ${tierlib_absl_libraries})
list(TRANSFORM absl_packages PREPEND absl_)
set(cuda_libs)
if(TIERLIB_WITH_CUDA)
  get_target_property(cuda_libs CUDA::cudart_static IMPORTED_LOCATION)
  list(APPEND cuda_libs -ldl -lrt)
endif()
tierlib_pkg_config(tierlib "GPU memory tiering and tensor offload" REQUIRES ${absl_packages}
  LIBS ${TIERLIB__NUMA_LIBRARY} ${TIERLIB__ZSTD_LIBRARY} ${cuda_libs} -pthread)
tierlib_pkg_config(tierlib-io "Reading and writing model files for tierlib" REQUIRES tierlib)
tierlib_pkg_config(tierlib-comm "Collectives between tierlib's learners" REQUIRES tierlib)
if(TIERLIB_WITH_MPI)
  tierlib_pkg_config(tierlib-comm-mpi "tierlib's learners as processes, over MPI" REQUIRES tierlib-comm
    LIBS ${MPI_C_LIBRARIES})
endif()
tierlib_pkg_config(tierlib-autograd "tierlib's own autograd" REQUIRES tierlib
  LIBS ${TIERLIB__OPENBLAS_LIBRARY} ${TIERLIB__HWY_LIBRARY} -lgomp)
tierlib_pkg_config(tierlib-dkm "Differentiable k-means clustering of weights"
  REQUIRES tierlib-autograd tierlib-comm tierlib-io)
