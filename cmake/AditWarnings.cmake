# SPDX-License-Identifier: BSD-3-Clause
# Compile options: one set for everything (sanitizers, language), one more for our own code (warnings).
add_library(adit_options INTERFACE)
target_compile_definitions(adit_options INTERFACE _GNU_SOURCE)
set(ADIT_SANITIZE_TEXT OFF)
if(ADIT_SANITIZE)
  set(ADIT_SANITIZE_TEXT ${ADIT_SANITIZE})
  target_compile_options(adit_options INTERFACE -fsanitize=${ADIT_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(adit_options INTERFACE -fsanitize=${ADIT_SANITIZE})
  if(ADIT_SANITIZE MATCHES "undefined")
    target_compile_options(adit_options INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()

add_library(adit_warnings INTERFACE)
target_compile_options(adit_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
                                               -Wmissing-prototypes -Wformat=2 $<$<BOOL:${ADIT_WERROR}>:-Werror>)
target_link_libraries(adit_warnings INTERFACE adit_options)
