# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Makes the tree that is compiled: lwIP's src/ in the build tree, with every patch applied.
#
# The tree is made aside and renamed at the end, so it is either there with all patches or not there. A stamp beside it
# names what it was made from (the origin and the content of each patch); when that changes the tree is made anew, from
# the origin again and not from the patched files. Its files get the time of now: those of the archive are older than
# any object, and a build would not notice that a patch was taken away.

# Applies one patch in `tree`, or stops.
function(lwip_patch tree patch)
  get_filename_component(name "${patch}" NAME)
  if(NOT name MATCHES "^[0-9][0-9][0-9][0-9]-.*[.]patch$")
    message(FATAL_ERROR "lwIP: ${patch} is not named NNNN-name.patch, so its place in the order is unknown. Rename it.")
  endif()
  execute_process(COMMAND ${ADIT_PATCH} -p1 --batch --forward --fuzz=0 --no-backup-if-mismatch -i "${patch}"
                  WORKING_DIRECTORY "${tree}" RESULT_VARIABLE failed OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(failed)
    file(REMOVE_RECURSE "${tree}")
    string(REGEX REPLACE "\n+$" "" output "${output}")
    string(REPLACE "\n" "\n  " output "  ${output}")
    message(FATAL_ERROR
      "lwIP: ${name} does not apply to ${LWIP_ORIGIN}. patch says:\n${output}\n"
      "The tree is not lwIP ${LWIP_VERSION}, or an earlier patch has moved the place. Make the patch anew against that "
      "tree with all earlier patches applied (${CMAKE_CURRENT_SOURCE_DIR}/patches/README.md says how), or remove it.")
  endif()
endfunction()

# Makes `tree` from `origin` (an archive, or a folder that holds src/) unless it is there already.
function(lwip_unpack origin tree)
  file(GLOB patches CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/patches/*.patch")
  set(inputs ${patches})
  set(stamp "${LWIP_SHA256}\n")
  if(IS_DIRECTORY "${origin}")
    file(GLOB_RECURSE files CONFIGURE_DEPENDS "${origin}/src/*")
    list(PREPEND inputs ${files})
    set(stamp "${origin}\n")
  endif()
  foreach(input IN LISTS inputs)
    file(SHA256 "${input}" sum)
    string(APPEND stamp "${sum} ${input}\n")
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${inputs})
  if(EXISTS "${tree}.stamp")
    file(READ "${tree}.stamp" last)
    if(last STREQUAL stamp)
      return()
    endif()
  endif()

  set(fresh "${tree}.new")
  file(REMOVE_RECURSE "${tree}.stamp" "${tree}" "${fresh}" "${tree}.raw")
  if(IS_DIRECTORY "${origin}")
    file(COPY "${origin}/src" "${origin}/COPYING" DESTINATION "${fresh}")
  else()
    file(ARCHIVE_EXTRACT INPUT "${origin}" DESTINATION "${tree}.raw" PATTERNS "*/src/*" "*/COPYING")
    file(GLOB top "${tree}.raw/*")
    file(RENAME "${top}" "${fresh}")
    file(REMOVE_RECURSE "${tree}.raw")
  endif()
  if(patches)
    find_program(ADIT_PATCH patch)
    mark_as_advanced(ADIT_PATCH)
    if(NOT ADIT_PATCH)
      message(FATAL_ERROR "lwIP is built with patches, and patch(1) is not there. Install it: apt-get install patch")
    endif()
  endif()
  set(LWIP_ORIGIN "${origin}")
  foreach(patch IN LISTS patches)
    lwip_patch("${fresh}" "${patch}")
  endforeach()
  file(GLOB_RECURSE files "${fresh}/*")
  file(TOUCH ${files})
  file(RENAME "${fresh}" "${tree}")
  file(WRITE "${tree}.stamp" "${stamp}")
  list(LENGTH patches count)
  message(STATUS "lwIP ${LWIP_VERSION}: unpacked from ${origin}, patches applied: ${count}")
endfunction()
