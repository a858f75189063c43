# Where MPI is, the communicator between processes is compiled.
set(TIERLIB_WITH_MPI OFF)
if(NOT TIERLIB_MPI STREQUAL "OFF")
  enable_language(C)  # which the target MPI::MPI_C is for
  find_package(MPI COMPONENTS C)
  if(MPI_C_FOUND)
    set(TIERLIB_WITH_MPI ON)
  elseif(TIERLIB_MPI STREQUAL "ON")
    message(FATAL_ERROR "tierlib: TIERLIB_MPI=ON, but MPI was not found: install libopenmpi-dev")
  endif()
endif()
message(STATUS "tierlib: MPI ${TIERLIB_WITH_MPI}")
