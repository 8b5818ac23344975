# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The adit authors
#
# Brings lwIP's source archive to this machine, once.
#
# It comes from a mirror that the machine's package manager already trusts, and is kept in a cache outside of every
# build tree, so that later configurations need no network. Whoever wrote the file, only its checksum counts: it is
# compared with the pin each time, cached or not. A download becomes visible under its final name only when it is whole
# and right, so that two configurations at once or an interrupted one do no harm.

# The roots of the mirrors that apt is configured with, in apt's order; empty where there is no apt.
function(lwip_mirrors result)
  set(${result} "" PARENT_SCOPE)
  find_program(ADIT_APT_GET apt-get)
  mark_as_advanced(ADIT_APT_GET)
  if(NOT ADIT_APT_GET)
    return()
  endif()
  execute_process(COMMAND ${ADIT_APT_GET} indextargets --format "$(REPO_URI)" "Created-By: Packages"
                  OUTPUT_VARIABLE lines OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  string(REPLACE "\n" ";" lines "${lines}")
  list(TRANSFORM lines REPLACE "/+$" "")
  list(FILTER lines INCLUDE REGEX "^(https?|file|copy):")
  list(REMOVE_DUPLICATES lines)
  set(${result} "${lines}" PARENT_SCOPE)
endfunction()

# apt may know a proxy that the environment does not.
function(lwip_use_proxy scheme)
  find_program(ADIT_APT_CONFIG apt-config)
  mark_as_advanced(ADIT_APT_CONFIG)
  if(NOT ADIT_APT_CONFIG OR DEFINED ENV{${scheme}_proxy})
    return()
  endif()
  execute_process(COMMAND ${ADIT_APT_CONFIG} dump --format "%v" Acquire::${scheme}::Proxy
                  OUTPUT_VARIABLE proxy OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(proxy AND NOT proxy STREQUAL "DIRECT")
    set(ENV{${scheme}_proxy} "${proxy}")
  endif()
endfunction()

# Copies or downloads `url` to `path`. `result` becomes empty, or the reason why not.
function(lwip_get url path result)
  set(reason "")
  if(url MATCHES "^(file|copy):/+(.*)$")
    set(local "/${CMAKE_MATCH_2}")
    if(EXISTS "${local}")
      execute_process(COMMAND ${CMAKE_COMMAND} -E copy "${local}" "${path}" ERROR_VARIABLE reason
                      OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_STRIP_TRAILING_WHITESPACE)
    else()
      set(reason "no such file")
    endif()
  else()
    file(DOWNLOAD "${url}" "${path}" STATUS status TIMEOUT 300 INACTIVITY_TIMEOUT 30)
    list(GET status 0 code)
    if(NOT code EQUAL 0)
      list(GET status 1 reason)
    endif()
  endif()
  if(reason STREQUAL "")
    file(SHA256 "${path}" sum)
    if(NOT sum STREQUAL LWIP_SHA256)
      set(reason "wrong checksum: SHA-256 ${sum}")
    endif()
  endif()
  set(${result} "${reason}" PARENT_SCOPE)
endfunction()

# Sets `archive` to the path of the archive in the cache, or stops.
function(lwip_fetch archive)
  if(ADIT_CACHE_DIR)
    set(cache "${ADIT_CACHE_DIR}")
  elseif(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
    set(cache "$ENV{XDG_CACHE_HOME}/adit")
  elseif(DEFINED ENV{HOME} AND NOT "$ENV{HOME}" STREQUAL "")
    set(cache "$ENV{HOME}/.cache/adit")
  else()
    set(cache "${PROJECT_BINARY_DIR}/cache")
  endif()
  get_filename_component(cache "${cache}" ABSOLUTE BASE_DIR "${CMAKE_BINARY_DIR}")
  set(path "${cache}/${LWIP_ARCHIVE}")
  set(${archive} "${path}" PARENT_SCOPE)

  if(EXISTS "${path}")
    file(SHA256 "${path}" sum)
    if(sum STREQUAL LWIP_SHA256)
      return()
    endif()
    message(FATAL_ERROR
      "lwIP: the cached archive has the wrong checksum, so it is damaged or not the one that adit was made for.\n"
      "  file      ${path}\n  SHA-256   ${sum}\n  expected  ${LWIP_SHA256}\n"
      "Remove that file and configure again; it is then fetched anew.")
  endif()

  execute_process(COMMAND ${CMAKE_COMMAND} -E make_directory "${cache}" RESULT_VARIABLE failed ERROR_QUIET)
  if(failed)
    message(FATAL_ERROR "lwIP: the cache folder ${cache} cannot be made. "
                        "Name one that can be written: cmake -DADIT_CACHE_DIR=FOLDER ...")
  endif()
  lwip_mirrors(mirrors)
  lwip_use_proxy(http)
  lwip_use_proxy(https)
  string(RANDOM LENGTH 8 suffix)
  set(part "${path}.${suffix}.part")
  set(tried "")
  foreach(mirror IN LISTS mirrors)
    foreach(pool IN LISTS LWIP_POOL)
      message(STATUS "lwIP ${LWIP_VERSION}: fetching from ${mirror}/${pool}")
      lwip_get("${mirror}/${pool}/${LWIP_ARCHIVE}" "${part}" reason)
      if(reason STREQUAL "")
        file(RENAME "${part}" "${path}")
        return()
      endif()
      file(REMOVE "${part}")
      string(APPEND tried "  ${mirror}/${pool}/${LWIP_ARCHIVE}\n    ${reason}\n")
    endforeach()
  endforeach()
  if(tried STREQUAL "")
    set(tried "  no mirror is known: apt-get is missing here, or has no http, https or file source\n")
  endif()
  message(FATAL_ERROR
    "lwIP ${LWIP_VERSION}: the source archive is not in the cache and could not be fetched.\n"
    "  cache ${path}\n${tried}"
    "One of these helps:\n"
    "  - configure again with network; a failed name look-up above means that there was none\n"
    "  - put ${LWIP_ARCHIVE} (SHA-256 ${LWIP_SHA256}) into ${cache}\n"
    "  - use upstream's git and name the tree:\n"
    "      git clone --branch ${LWIP_GIT_TAG} ${LWIP_GIT}\n"
    "      cmake -DLWIP_SOURCE_DIR=$PWD/lwip ...")
endfunction()
