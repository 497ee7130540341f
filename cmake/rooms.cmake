# Rooms: one library target ft_<room> per folder of src/. Which room may include which is the table in room-table.cmake;
# the include path enforces it. Each room has an include directory <build>/rooms/<room>/ that holds one symlink
# <room> -> src/<room>, and a room is compiled with its own such directory and those of its DEPS, nothing else: a header
# of a room that is not in DEPS is not found.
#
# Rooms export no include directory. They are linked transitively, but seen only by those who name them.

set_property(GLOBAL PROPERTY FT_ROOMS "")

# ft_room_dir(<out> <room>): the include directory through which <room> is seen.
function(ft_room_dir out room)
  set(dir ${CMAKE_BINARY_DIR}/rooms/${room})
  if(NOT IS_SYMLINK ${dir}/${room})
    file(MAKE_DIRECTORY ${dir})
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/src/${room} ${dir}/${room} SYMBOLIC)
  endif()
  # Errors are one type, public and inside: the only header of include/ that rooms below app/ see.
  if(room STREQUAL base AND NOT IS_SYMLINK ${dir}/ferrotunnel/error.h)
    file(MAKE_DIRECTORY ${dir}/ferrotunnel)
    file(CREATE_LINK ${CMAKE_SOURCE_DIR}/include/ferrotunnel/error.h ${dir}/ferrotunnel/error.h SYMBOLIC)
  endif()
  set(${out} ${dir} PARENT_SCOPE)
endfunction()

# ft_see(<target> <rooms...>): <target> may include these rooms and is linked with them.
function(ft_see target)
  foreach(room ${ARGN})
    ft_room_dir(dir ${room})
    target_include_directories(${target} PRIVATE ${dir})
    target_link_libraries(${target} PRIVATE ft_${room})
  endforeach()
endfunction()

# ft_room(<name> [DEPS <rooms...>] [LIBS <libraries...>] [ASIO] [PUBLIC_HEADERS])
#   ASIO: the room's files mostly use Asio; they get the precompiled header.
#   PUBLIC_HEADERS: the room sees include/ (<ferrotunnel/...>) too.
# A room with only headers, or none yet, is an INTERFACE library; CMake looks again when a file is added.
function(ft_room name)
  cmake_parse_arguments(arg "ASIO;PUBLIC_HEADERS" "" "DEPS;LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/src/app/cli/")
  set(lower ${arg_DEPS})
  list(TRANSFORM lower PREPEND ft_)

  set_property(GLOBAL APPEND PROPERTY FT_ROOMS ${name})
  set_property(GLOBAL PROPERTY FT_DEPS_${name} ${arg_DEPS})
  if(NOT sources)
    add_library(ft_${name} INTERFACE)
    target_link_libraries(ft_${name} INTERFACE ${lower} ${arg_LIBS} ft_asio)
    return()
  endif()

  add_library(ft_${name} STATIC ${sources})
  target_compile_options(ft_${name} PRIVATE ${ft_warnings})
  target_link_libraries(ft_${name} PUBLIC ${lower} ${arg_LIBS} ft_asio)
  foreach(room ${name} ${arg_DEPS})
    ft_room_dir(dir ${room})
    target_include_directories(ft_${name} PRIVATE ${dir})
  endforeach()
  if(arg_PUBLIC_HEADERS)
    target_include_directories(ft_${name} PRIVATE ${CMAKE_SOURCE_DIR}/include)
  endif()
  if(arg_ASIO AND FT_PCH)
    target_precompile_headers(ft_${name} REUSE_FROM ft_asio)
    if(name STREQUAL transport)  # linux/tcp.h, where Asio brings netinet/tcp.h
      set_source_files_properties(src/transport/tcp/delivery.cc src/transport/tcp/road.cc PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endif()
endfunction()
