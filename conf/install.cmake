# Installs what depends on the prefix: the configuration, which is never written over, logrotate's file, and the unit, which
# names paths. By GNUInstallDirs, whose rule for prefix /usr is /etc; run by cmake --install with that prefix.
include(GNUInstallDirs)
foreach(dir BINDIR SYSCONFDIR DOCDIR)
  GNUInstallDirs_get_absolute_install_dir(CMAKE_INSTALL_FULL_${dir} CMAKE_INSTALL_${dir} ${dir})
endforeach()

set(etc ${CMAKE_INSTALL_FULL_SYSCONFDIR})
if(EXISTS "$ENV{DESTDIR}${etc}/serin/serin.yaml")
  message(STATUS "Kept: $ENV{DESTDIR}${etc}/serin/serin.yaml")
else()
  file(INSTALL ${SERIN_CONF_SOURCE}/default/serin.yaml DESTINATION ${etc}/serin)
endif()
file(INSTALL ${SERIN_CONF_SOURCE}/logrotate/serin DESTINATION ${etc}/logrotate.d)

file(READ ${SERIN_CONF_SOURCE}/systemd/serin.service unit)
string(REPLACE "/usr/bin/serin" "${CMAKE_INSTALL_FULL_BINDIR}/serin" unit "${unit}")
string(REPLACE "/etc/serin" "${etc}/serin" unit "${unit}")
string(REPLACE "/usr/share/doc/serin" "${CMAKE_INSTALL_FULL_DOCDIR}" unit "${unit}")
file(WRITE ${SERIN_CONF_BUILD}/serin.service "${unit}")
file(INSTALL ${SERIN_CONF_BUILD}/serin.service DESTINATION ${CMAKE_INSTALL_PREFIX}/lib/systemd/system)
