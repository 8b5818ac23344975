# SPDX-License-Identifier: BSD-3-Clause
# What works on the sources: ccache in front of the compiler, and the targets format, format-check and lint.
find_program(ADIT_CCACHE ccache)
mark_as_advanced(ADIT_CCACHE)
if(ADIT_CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${ADIT_CCACHE})
endif()
set(ADIT_CCACHE_TEXT "OFF (not installed)")
if(CMAKE_C_COMPILER_LAUNCHER)
  set(ADIT_CCACHE_TEXT ON)
endif()

add_custom_target(format COMMAND ${PROJECT_SOURCE_DIR}/cmake/format.sh
                  COMMENT "clang-format of all sources" USES_TERMINAL VERBATIM)
add_custom_target(format-check COMMAND ${PROJECT_SOURCE_DIR}/cmake/format.sh --check
                  COMMENT "clang-format of all sources, checked" USES_TERMINAL VERBATIM)
add_custom_target(lint COMMAND ${PROJECT_SOURCE_DIR}/cmake/lint.sh ${CMAKE_BINARY_DIR}
                  COMMENT "clang-tidy and cppcheck" USES_TERMINAL VERBATIM)
