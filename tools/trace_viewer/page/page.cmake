# The page of `tierlib-trace view`. The built one, page/dist/tierlib_trace.html, is in the repository, so that building and
# using the command needs no Node. Where node and page/node_modules are (npm ci in page/), it is built again from its sources
# into the build folder. tests/trace_page fails where the one in the repository is not what its sources give.
set(page_dir ${CMAKE_CURRENT_SOURCE_DIR}/page)
set(page_html ${page_dir}/dist/tierlib_trace.html)
find_program(TIERLIB_NODE node)
mark_as_advanced(TIERLIB_NODE)
if(TIERLIB_NODE AND EXISTS ${page_dir}/node_modules/esbuild)
  file(GLOB_RECURSE page_sources CONFIGURE_DEPENDS ${page_dir}/src/*)
  set(page_html ${CMAKE_CURRENT_BINARY_DIR}/tierlib_trace.html)
  add_custom_command(OUTPUT ${page_html}
    COMMAND ${TIERLIB_NODE} ${page_dir}/build.mjs ${page_html}
    DEPENDS ${page_sources} ${page_dir}/build.mjs ${page_dir}/package-lock.json
    COMMENT "Building the trace viewer's page" VERBATIM)
endif()
add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/page_html.cc
  COMMAND ${CMAKE_COMMAND} -D IN=${page_html} -D OUT=${CMAKE_CURRENT_BINARY_DIR}/page_html.cc -P ${page_dir}/embed.cmake
  DEPENDS ${page_html} ${page_dir}/embed.cmake VERBATIM)
target_sources(tierlib-trace PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/page_html.cc)
