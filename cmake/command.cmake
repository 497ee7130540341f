# The command `ferrotunnel`: src/app/cli/. It is a user of the public API like any other, so it sees include/ and its own
# folder (as app/cli/) and no room.

file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/app/cli/*.cc)
list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
set(cli_dir ${CMAKE_BINARY_DIR}/rooms/cli)
if(NOT IS_SYMLINK ${cli_dir}/app/cli)
  file(MAKE_DIRECTORY ${cli_dir}/app)
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/src/app/cli ${cli_dir}/app/cli SYMBOLIC)
endif()

# All of it but main(), so that tests can link it.
if(sources)
  add_library(ft_cli STATIC ${sources})
  target_compile_options(ft_cli PRIVATE ${ft_warnings})
  target_include_directories(ft_cli PRIVATE ${CMAKE_SOURCE_DIR}/include ${cli_dir})
  target_link_libraries(ft_cli PUBLIC ft_app CLI11::CLI11 Boost::json)
else()
  add_library(ft_cli INTERFACE)
  target_link_libraries(ft_cli INTERFACE ft_app CLI11::CLI11 Boost::json)
endif()

file(GLOB main CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/app/cli/main.cc)
if(main)
  add_executable(ferrotunnel ${main})
  target_compile_options(ferrotunnel PRIVATE ${ft_warnings})
  target_include_directories(ferrotunnel PRIVATE ${CMAKE_SOURCE_DIR}/include ${cli_dir})
  target_link_libraries(ferrotunnel PRIVATE ft_cli)
endif()
