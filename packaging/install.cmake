# Run by `cmake --install`, with the folders that packaging/CMakeLists.txt sets and the prefix of this installation.
foreach(folder bindir sbindir datadir)
  cmake_path(ABSOLUTE_PATH ${folder} BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}" NORMALIZE)
endforeach()
set(prefix "${CMAKE_INSTALL_PREFIX}")

# initramfs-tools and apt read these folders and no others. With a prefix of one's own they are left alone: such an
# installation is looked at, not booted.
if(prefix STREQUAL "/usr")
  set(initramfs "${datadir}/initramfs-tools")
  set(apt /etc/apt/apt.conf.d)
  set(apparmor /etc/apparmor.d)
elseif(prefix STREQUAL "/usr/local")
  set(initramfs /etc/initramfs-tools)
  set(apt /etc/apt/apt.conf.d)
  set(apparmor /etc/apparmor.d)
else()
  set(initramfs "${datadir}/initramfs-tools")
  set(apt "${prefix}/etc/apt/apt.conf.d")
  set(apparmor "${prefix}/etc/apparmor.d")
  message(STATUS "The prefix is neither /usr nor /usr/local: systemd, initramfs-tools and apt do not read their files there")
endif()

foreach(file assayd.service assay-reference.service apparmor/usr.sbin.assay-net initramfs/hooks/assay initramfs/scripts/init-top/assay apt/60assay)
  configure_file("${source}/${file}.in" "${build}/${file}" @ONLY)
endforeach()
file(INSTALL "${build}/assayd.service" "${build}/assay-reference.service" "${source}/assay-reference.timer"
  DESTINATION "${prefix}/lib/systemd/system")
file(INSTALL "${build}/initramfs/hooks/assay" DESTINATION "${initramfs}/hooks" USE_SOURCE_PERMISSIONS)
file(INSTALL "${build}/initramfs/scripts/init-top/assay" DESTINATION "${initramfs}/scripts/init-top" USE_SOURCE_PERMISSIONS)
file(INSTALL "${source}/apt/apt-index" DESTINATION "${datadir}/assay" USE_SOURCE_PERMISSIONS)
file(INSTALL "${source}/assayd.json" DESTINATION "${datadir}/assay")
file(INSTALL "${build}/apparmor/usr.sbin.assay-net" DESTINATION "${apparmor}")
file(INSTALL "${build}/apt/60assay" DESTINATION "${apt}")

if(self_index)
  execute_process(
    COMMAND "$ENV{DESTDIR}${bindir}/assay" reference build --self --root "$ENV{DESTDIR}" --no-previous --out "${build}/assay.idx"
    COMMAND_ERROR_IS_FATAL ANY)
  file(INSTALL "${build}/assay.idx" DESTINATION "${datadir}/assay")
endif()
