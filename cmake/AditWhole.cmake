# SPDX-License-Identifier: BSD-3-Clause
# The core compiled as a whole: the compiler sees its files, port/ and lwIP at once, so that what is called with every packet
# needs no call. What comes out is one object without anything of link-time optimisation left in it: who links the library
# needs no options for it, and no compiler of the same version.
option(ADIT_WHOLE "Compile the core as a whole: a fifth to a third less time for each packet (needs GCC, and no Debug build)" ON)

set(adit_whole_flags -flto=auto -flinker-output=nolto-rel -r -nostdlib)
set(ADIT_WHOLE_TEXT ON)
if(NOT ADIT_WHOLE)
  set(ADIT_WHOLE_TEXT "OFF (as asked for)")
elseif(ADIT_SANITIZE OR ADIT_FUZZ OR NOT CMAKE_BUILD_TYPE MATCHES "^(Release|RelWithDebInfo|MinSizeRel)$")
  set(ADIT_WHOLE_TEXT "OFF (not an optimised build)")
elseif(NOT CMAKE_C_COMPILER_ID STREQUAL "GNU" OR CMAKE_C_COMPILER_VERSION VERSION_LESS 10)
  set(ADIT_WHOLE_TEXT "OFF (${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}: it takes GCC 10)")
else() # a GCC may have been built without
  set(trial ${CMAKE_BINARY_DIR}/CMakeFiles/whole)
  file(WRITE ${trial}.c "int adit_trial(void) { return 0; }\n")
  execute_process(COMMAND ${CMAKE_C_COMPILER} -flto -c ${trial}.c -o ${trial}.lto.o
                  RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(NOT failed)
    execute_process(COMMAND ${CMAKE_C_COMPILER} ${adit_whole_flags} ${trial}.lto.o -o ${trial}.o
                    RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  endif()
  if(failed)
    set(ADIT_WHOLE_TEXT "OFF (this GCC has no link-time optimisation)")
  endif()
endif()
if(NOT ADIT_WHOLE_TEXT STREQUAL "ON")
  set(ADIT_WHOLE OFF)
endif()

# adit_whole(OUTPUT OBJECTS...): one object from the objects of these targets.
function(adit_whole output)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
  set(level -O3) # what -O2 inlines changes with every line
  if(type STREQUAL "MINSIZEREL")
    set(level)
  endif()
  set(objects)
  foreach(target IN LISTS ARGN)
    target_compile_options(${target} PRIVATE -flto -fno-fat-lto-objects ${level})
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
  endforeach()
  separate_arguments(flags NATIVE_COMMAND "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${type}}")
  add_custom_command(OUTPUT ${output} COMMAND ${CMAKE_C_COMPILER} ${flags} ${level} -fPIC ${adit_whole_flags} ${objects} -o ${output}
                     DEPENDS ${objects} COMMENT "Compiling the core as a whole" COMMAND_EXPAND_LISTS VERBATIM)
  set_source_files_properties(${output} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
endfunction()
