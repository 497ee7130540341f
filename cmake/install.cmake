# What `cmake --install` installs: the command, include/ferrotunnel/, and one static library of all rooms, found by
# find_package(ferrotunnel) (target ferrotunnel::ferrotunnel) and by pkg-config.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(rooms GLOBAL PROPERTY FT_ROOMS)
set(objects $<TARGET_OBJECTS:ft_asio>)
foreach(room ${rooms})
  get_target_property(type ft_${room} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    list(APPEND objects $<TARGET_OBJECTS:ft_${room}>)
  endif()
endforeach()

add_library(ferrotunnel_library STATIC ${objects})
set_target_properties(ferrotunnel_library PROPERTIES OUTPUT_NAME ferrotunnel EXPORT_NAME ferrotunnel LINKER_LANGUAGE CXX)
target_compile_features(ferrotunnel_library INTERFACE cxx_std_23)
target_include_directories(ferrotunnel_library INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(ferrotunnel_library INTERFACE Boost::json OpenSSL::SSL OpenSSL::Crypto crypt Threads::Threads nghttp2 z zstd brotlienc)

if(TARGET ferrotunnel)
  install(TARGETS ferrotunnel RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

  # The manual page and the completions, as the command itself prints them.
  set(pages ${CMAKE_BINARY_DIR}/generated/pages)
  file(MAKE_DIRECTORY ${pages})
  add_custom_command(OUTPUT ${pages}/ferrotunnel.1 ${pages}/ferrotunnel.bash ${pages}/_ferrotunnel ${pages}/ferrotunnel.fish
    COMMAND ferrotunnel man > ${pages}/ferrotunnel.1
    COMMAND ferrotunnel completion bash > ${pages}/ferrotunnel.bash
    COMMAND ferrotunnel completion zsh > ${pages}/_ferrotunnel
    COMMAND ferrotunnel completion fish > ${pages}/ferrotunnel.fish
    DEPENDS ferrotunnel VERBATIM)
  add_custom_target(ferrotunnel_pages ALL DEPENDS ${pages}/ferrotunnel.1)
  install(FILES ${pages}/ferrotunnel.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${pages}/ferrotunnel.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ferrotunnel)
  install(FILES ${pages}/_ferrotunnel DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${pages}/ferrotunnel.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()
install(TARGETS ferrotunnel_library EXPORT ferrotunnel ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/ferrotunnel DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ferrotunnel)
install(EXPORT ferrotunnel FILE ferrotunnel-targets.cmake NAMESPACE ferrotunnel:: DESTINATION ${package_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/ferrotunnel-config.cmake.in
  ${CMAKE_BINARY_DIR}/generated/ferrotunnel-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/generated/ferrotunnel-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/generated/ferrotunnel-config.cmake
  ${CMAKE_BINARY_DIR}/generated/ferrotunnel-config-version.cmake DESTINATION ${package_dir})

# The .pc file names its own place, so that --prefix at install time and moving the tree both work.
file(RELATIVE_PATH pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/ferrotunnel.pc.in ${CMAKE_BINARY_DIR}/generated/ferrotunnel.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/generated/ferrotunnel.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
