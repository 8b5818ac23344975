# SPDX-License-Identifier: BSD-3-Clause
# Library, headers, pkg-config file and documents. The program is installed by src/cli, lwIP's licence by
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
set(adit_pc_private ${SODIUM_LDFLAGS} ${MNL_LDFLAGS})
if(ADIT_PCAP)
  list(APPEND adit_pc_private ${PCAP_LDFLAGS})
endif()
list(JOIN adit_pc_private " " adit_pc_private)
configure_file(cmake/adit.pc.in adit.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/adit.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
