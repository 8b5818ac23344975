# SPDX-License-Identifier: BSD-3-Clause
# Library, headers, pkg-config file, CMake package and documents. The program is installed by src/cli, lwIP's licence by
# third_party/lwip.
install(TARGETS adit adit_shared
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY src/include/adit DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
file(GLOB manuals CONFIGURE_DEPENDS man/*.[1-8])
foreach(manual IN LISTS manuals)
  string(REGEX MATCH "[1-8]$" section ${manual})
  install(FILES ${manual} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

# A full path in CMAKE_INSTALL_LIBDIR or _INCLUDEDIR is allowed; it then does not follow the prefix.
foreach(folder LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${folder}}")
    set(adit_pc_${folder} "${CMAKE_INSTALL_${folder}}")
  else()
    set(adit_pc_${folder} "\${prefix}/${CMAKE_INSTALL_${folder}}")
  endif()
endforeach()
# The prefix follows the file, wherever the tree is put.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(adit_pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH adit_pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
  string(REGEX REPLACE "/$" "" adit_pc_up "${adit_pc_up}")
  set(adit_pc_prefix "\${pcfiledir}/${adit_pc_up}")
endif()
# For those who link the archive. As flags and not as Requires.private: that would pull in what the archives of these
# libraries need in turn, which hardly anybody has installed.
set(adit_pc_private ${SODIUM_LDFLAGS} ${MNL_LDFLAGS} -lresolv)
if(ADIT_PCAP)
  list(APPEND adit_pc_private ${PCAP_LDFLAGS})
endif()
if(ADIT_URING)
  list(APPEND adit_pc_private ${URING_LDFLAGS})
endif()
set(adit_cmake_private ${adit_pc_private})
list(JOIN adit_pc_private " " adit_pc_private)
configure_file(cmake/adit.pc.in adit.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/adit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The same for find_package(adit). By hand: the archive is made of objects of targets that are not installed.
include(CMakePackageConfigHelpers)
set(adit_archive ${CMAKE_STATIC_LIBRARY_PREFIX}adit${CMAKE_STATIC_LIBRARY_SUFFIX})
set(adit_shared ${CMAKE_SHARED_LIBRARY_PREFIX}adit${CMAKE_SHARED_LIBRARY_SUFFIX})
set(adit_package ${CMAKE_INSTALL_LIBDIR}/cmake/adit)
configure_package_config_file(cmake/adit-config.cmake.in ${PROJECT_BINARY_DIR}/adit-config.cmake
                              INSTALL_DESTINATION ${adit_package}
                              PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/adit-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/adit-config.cmake ${PROJECT_BINARY_DIR}/adit-config-version.cmake
        DESTINATION ${adit_package})
