// wall_clock.so: a wall clock that a test sets, for a program that runs under LD_PRELOAD of it. $FT_WALL_CLOCK names a file of 8 bytes, the
// seconds by which the clock is off, in the machine's order: writing there is what `date -s` or a leap of NTP is. Monotonic clocks go on.
//
// Not libfaketime: that looks its functions up by dlsym() inside the first clock_gettime(), which AddressSanitizer makes before it is ready,
// and dies there. This one asks the kernel and nobody else, so that it may be called at any time; the sanitizer's own interceptor calls it.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

namespace {

const volatile std::int64_t* offset = nullptr;  // mapped for as long as the process runs

__attribute__((constructor)) void open_clock() {
  const char* file = std::getenv("FT_WALL_CLOCK");
  const int fd = file == nullptr ? -1 : ::open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void* mapped = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  if (mapped != MAP_FAILED) offset = static_cast<const std::int64_t*>(mapped);
}

std::int64_t shift() { return offset == nullptr ? 0 : *offset; }

}  // namespace

extern "C" {

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): libc's are __reserved
int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const auto done = static_cast<int>(::syscall(SYS_clock_gettime, clock, now));
  if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
  return done;
}

int gettimeofday(timeval* now, void* zone) noexcept {
  const auto done = static_cast<int>(::syscall(SYS_gettimeofday, now, zone));
  if (done == 0) now->tv_sec += shift();
  return done;
}

time_t time(time_t* into) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (into != nullptr) *into = now.tv_sec;
  return now.tv_sec;
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)

}  // extern "C"
