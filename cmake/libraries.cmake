# Libraries from the distribution, and the two targets of ours that stand below every room: ft_settings and ft_asio.

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS json)
find_package(OpenSSL 3.0 REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
# Headers only, and seen by src/app/config/document.cc alone: no target of it, so that nothing that is installed needs it.
find_path(FT_TOML_INCLUDE toml++/toml.h DOC "toml++ 3.3 or newer (libtomlplusplus-dev)")
if(NOT FT_TOML_INCLUDE)
  message(FATAL_ERROR "toml++/toml.h was not found: install libtomlplusplus-dev")
endif()

# By its plain name, since it brings no package files: what is installed needs it under the same.
find_path(FT_NGHTTP2_INCLUDE nghttp2/nghttp2.h DOC "nghttp2 1.50 or newer (libnghttp2-dev)")
if(NOT FT_NGHTTP2_INCLUDE)
  message(FATAL_ERROR "nghttp2/nghttp2.h was not found: install libnghttp2-dev")
endif()

# The codings of the rule compress, in the same way.
foreach(coder "zlib.h zlib1g-dev" "zstd.h libzstd-dev" "brotli/encode.h libbrotli-dev")
  string(REGEX REPLACE " .*" "" header ${coder})
  string(REGEX REPLACE ".* " "" package ${coder})
  string(MAKE_C_IDENTIFIER FT_${header} found)
  find_path(${found} ${header} DOC "${package}")
  if(NOT ${found})
    message(FATAL_ERROR "${header} was not found: install ${package}")
  endif()
endforeach()

# What every object is compiled with. BOOST_ASIO_SEPARATE_COMPILATION: Asio's non-template half is compiled once, in
# ft_asio, which makes a file that uses Asio compile 1.6 times as fast.
add_library(ft_settings INTERFACE)
target_compile_definitions(ft_settings INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION)
target_link_libraries(ft_settings INTERFACE Boost::headers Threads::Threads)

set(ft_asio_source ${CMAKE_BINARY_DIR}/generated/asio.cc)
file(CONFIGURE OUTPUT ${ft_asio_source} CONTENT "#include <boost/asio/impl/src.hpp>\n")
add_library(ft_asio STATIC ${ft_asio_source})
target_link_libraries(ft_asio PUBLIC ft_settings)

# ft_precompile(<target> <headers...>): <target> gets a precompiled header, which others may have with REUSE_FROM.
function(ft_precompile target)
  target_precompile_headers(${target} PRIVATE ${ARGN})
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # Without the time stamp ccache may keep what was compiled with it.
    target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()

# One precompiled header for all rooms that use Asio; with it such a file compiles about twice as fast again. The tests have one of
# their own, with these and gtest.
if(FT_PCH)
  set(ft_asio_headers
    <algorithm> <array> <chrono> <cstdint> <deque> <expected> <functional> <map> <memory> <optional> <span> <string>
    <string_view> <unordered_map> <utility> <variant> <vector>
    <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp> <boost/asio/detached.hpp> <boost/asio/io_context.hpp>
    <boost/asio/ip/tcp.hpp> <boost/asio/local/stream_protocol.hpp> <boost/asio/posix/stream_descriptor.hpp>
    <boost/asio/post.hpp> <boost/asio/steady_timer.hpp> <boost/asio/use_awaitable.hpp>)
  ft_precompile(ft_asio ${ft_asio_headers})
endif()
