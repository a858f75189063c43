# Compiles each of HEADERS (relative to INCLUDE) alone as C++17 with COMPILER, and looks at what it pulled in.
foreach(header IN LISTS HEADERS)
  execute_process(
    COMMAND ${COMPILER} -std=c++17 -Wall -Wextra -Wpedantic -Werror -Wno-missing-field-initializers -I${INCLUDE}
      -include ${header} -x c++ -fsyntax-only -MD -MF /dev/stdout /dev/null
    RESULT_VARIABLE result OUTPUT_VARIABLE pulled ERROR_VARIABLE words)
  string(REPLACE "${INCLUDE}/" "" pulled "${pulled}")  # what the checkout's own path is called says nothing
  if(result)
    message(SEND_ERROR "${header} does not compile alone as C++17:\n${words}")
  elseif(pulled MATCHES "[^ ]*(absl/|cuda)[^ ]*")
    message(SEND_ERROR "${header} pulls in ${CMAKE_MATCH_0}")
  elseif(NOT pulled MATCHES "${header}")
    message(SEND_ERROR "${header} was not read: ${pulled}")
  endif()
endforeach()
