# Compiler, linker and flags: what every target of this project is built with.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR
    "GCC ${CMAKE_CXX_COMPILER_VERSION} is refused: GCC before 13 miscompiles C++20 coroutines (temporaries inside a "
    "co_await expression are destroyed twice or too early, at any -O). Use clang++-19 (the presets do) or GCC 13 or newer.")
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR
    "Clang ${CMAKE_CXX_COMPILER_VERSION} is refused: before 19 it has no std::expected with libstdc++. Use clang++-19.")
endif()
if(FT_FUZZ AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "FT_FUZZ needs Clang: libFuzzer comes with it.")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

# Symbols are line tables only: a trace names file and line, and the build stays small. The sanitized builds keep their
# assertions, the release build does not.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS")

set(ft_warnings -Wall -Wextra -Wshadow -Woverloaded-virtual -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # GCC's -Wnon-virtual-dtor also speaks up at a protected destructor where the class has a friend.
  # Rooms are found through symlinks (rooms.cmake); absolute diagnostics print the file behind the link.
  list(APPEND ft_warnings -Wnon-virtual-dtor -Wunreachable-code-return -Wunused-member-function -fdiagnostics-absolute-paths)
endif()
if(FT_WERROR AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")  # GCC warns of what GoogleTest's macros do
  list(APPEND ft_warnings -Werror)
endif()

if(FT_SANITIZE)
  add_compile_options(-fsanitize=${FT_SANITIZE} -fno-sanitize-recover=all)
  # This check asks the kernel, through a pipe, whether memory can be read: where a test uses up the descriptors it sees faults
  # that are none. AddressSanitizer finds what it would find.
  add_compile_options(-fno-sanitize=vptr)
  add_link_options(-fsanitize=${FT_SANITIZE})
endif()
if(FT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(FT_LTO)
  # Fat objects, so that the installed static library suits any compiler's linker.
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    add_compile_options(-flto=thin -ffat-lto-objects)
    add_link_options(-flto=thin -ffat-lto-objects -fuse-ld=lld)
  else()
    add_compile_options(-flto=auto -ffat-lto-objects)
    add_link_options(-flto=auto)
  endif()
endif()

find_program(FT_MOLD mold)
if(FT_MOLD AND NOT FT_LTO)
  add_link_options(-fuse-ld=mold)
endif()
add_link_options(-Wl,--as-needed)

find_program(FT_CCACHE ccache)
if(FT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The sloppiness is what ccache asks for before it caches anything that uses a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${FT_CCACHE})
endif()
