# SPDX-License-Identifier: BSD-3-Clause
# Libraries of the system. Each missing one stops the configuration with the name of its package.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# adit_require(TARGET MODULE PACKAGE [HINT]): makes PkgConfig::TARGET, or stops.
function(adit_require target module package)
  pkg_check_modules(${target} QUIET IMPORTED_TARGET GLOBAL ${module})
  if(NOT ${target}_FOUND)
    message(FATAL_ERROR "adit needs ${module}, which pkg-config does not find. "
                        "Install it: apt-get install ${package}${ARGN}")
  endif()
endfunction()

adit_require(SODIUM libsodium libsodium-dev)
adit_require(MNL libmnl libmnl-dev)
if(ADIT_PCAP)
  adit_require(PCAP libpcap libpcap-dev " (or do without captures: -DADIT_PCAP=OFF)")
endif()
if(BUILD_TESTING)
  adit_require(CMOCKA cmocka libcmocka-dev " (or do without tests: -DBUILD_TESTING=OFF)")
endif()
