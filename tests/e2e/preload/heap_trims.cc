// heap_trims.so: counts what a program that runs under LD_PRELOAD of it asks of malloc_trim(3), a byte each in the file that $FT_HEAP_TRIMS
// names. Under AddressSanitizer the memory is not libc's, so that no RSS would show whether it was asked.

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>

extern "C" int malloc_trim(std::size_t) noexcept {
  const char* file = std::getenv("FT_HEAP_TRIMS");
  const int fd = file == nullptr ? -1 : ::open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return 0;
  const bool told = ::write(fd, "t", 1) == 1;
  ::close(fd);
  return told ? 1 : 0;
}
