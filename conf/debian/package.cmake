# The Debian package: cpack in the build directory makes serin_VERSION_ARCHITECTURE.deb of what is installed.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME serin)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "serin maintainers <maintainers@serin.invalid>" CACHE STRING "Maintainer of the Debian package")
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON) # /etc is no part of the prefix
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION httpd)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "reverse proxy that rolls out new versions by their health")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "Serin stands before two versions of a service and sends a small share of the
users to the new one, the canary. It compares how both fare, and widens that
share only while the evidence says that the canary is healthy; otherwise
everybody is back on the stable version within a handful of bad requests.

One binary splits, measures and decides. It terminates TLS, moves replicas on
Kubernetes along with the traffic, and hands over to a new version of itself
without losing a request.")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# The user is made by sysusers, which comes with systemd or stands alone.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, logrotate, tzdata")

set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${CMAKE_CURRENT_SOURCE_DIR}/debian/conffiles
    ${CMAKE_CURRENT_SOURCE_DIR}/debian/postinst
    ${CMAKE_CURRENT_SOURCE_DIR}/debian/prerm
    ${CMAKE_CURRENT_SOURCE_DIR}/debian/postrm)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_SOURCE_DIR}/debian/finish.cmake)
include(CPack)
