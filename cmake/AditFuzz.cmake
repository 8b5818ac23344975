# SPDX-License-Identifier: BSD-3-Clause
# libFuzzer, which comes with Clang. What is asked for and cannot be had stops the configuration.
set(ADIT_FUZZ_TEXT "OFF (not asked for; cmake --preset fuzz)")
if(ADIT_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "ADIT_FUZZ needs libFuzzer, which ${CMAKE_C_COMPILER_ID} does not have. Take Clang "
                        "(apt-get install clang libclang-rt-dev): cmake --preset fuzz, or -DCMAKE_C_COMPILER=clang")
  endif()
  if(NOT BUILD_TESTING)
    message(FATAL_ERROR "ADIT_FUZZ: the targets are tests; configure with -DBUILD_TESTING=ON")
  endif()
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS -fsanitize=fuzzer)
  check_c_source_compiles("#include <stddef.h>
    int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) { return (int)(size - size + !data - !data); }"
    ADIT_HAVE_LIBFUZZER)
  unset(CMAKE_REQUIRED_FLAGS)
  if(NOT ADIT_HAVE_LIBFUZZER)
    message(FATAL_ERROR "ADIT_FUZZ: ${CMAKE_C_COMPILER} does not link with -fsanitize=fuzzer. "
                        "Its run-time library is missing: apt-get install libclang-rt-dev")
  endif()
  set(ADIT_FUZZ_TEXT ON)
  target_compile_options(adit_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
