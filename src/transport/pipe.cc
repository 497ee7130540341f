#include "transport/pipe.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <utility>

namespace ferrotunnel::transport {

#ifdef __linux__

namespace {

IoResult to_result(ssize_t n, IoStatus at_zero) {
  if (n > 0) return {IoStatus::Ok, static_cast<std::size_t>(n), 0};
  if (n == 0) return {at_zero, 0, 0};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoStatus::WouldBlock, 0, 0};
  return {IoStatus::Error, 0, errno};
}

// A connection that is broken makes splice() raise SIGPIPE in the calling thread, and no flag keeps it away as MSG_NOSIGNAL does. The program
// that we are a part of may not ignore it, so this thread, which is the shard's own, does not hear of it.
void block_sigpipe() {
  thread_local bool blocked = false;
  if (std::exchange(blocked, true)) return;
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

IoResult Pipe::fill_from(int socket, std::size_t most) {
  ssize_t n;
  do n = ::splice(socket, nullptr, write_end_, nullptr, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  while (n < 0 && errno == EINTR);
  if (n > 0) size_ += static_cast<std::size_t>(n);
  return to_result(n, IoStatus::Eof);
}

IoResult Pipe::drain_to(int socket, std::size_t most) {
  ssize_t n;
  do n = ::splice(read_end_, nullptr, socket, nullptr, std::min(most, size_), SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  while (n < 0 && errno == EINTR);
  if (n > 0) size_ -= static_cast<std::size_t>(n);
  return to_result(n, IoStatus::WouldBlock);
}

std::size_t Pipe::read(MutBytes into) {
  std::size_t have = 0;
  const std::size_t want = std::min(into.size(), size_);
  while (have < want) {
    const ssize_t n = ::read(read_end_, into.data() + have, want - have);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;  // cannot be: the bytes are there
    have += static_cast<std::size_t>(n);
  }
  size_ -= have;
  return have;
}

std::unique_ptr<Pipe> PipePool::make() {
  block_sigpipe();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return nullptr;
  int capacity = ::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(kCapacity));
  if (capacity < 0) capacity = ::fcntl(ends[1], F_GETPIPE_SZ);  // not allowed to grow: as it was made
  auto pipe = std::make_unique<Pipe>(ends[0], ends[1], static_cast<std::size_t>(std::max(0, capacity)));
  return pipe->capacity() >= kLeast ? std::move(pipe) : nullptr;
}

#else

IoResult Pipe::fill_from(int, std::size_t) { return {IoStatus::Error, 0, ENOSYS}; }
IoResult Pipe::drain_to(int, std::size_t) { return {IoStatus::Error, 0, ENOSYS}; }
std::size_t Pipe::read(MutBytes) { return 0; }
std::unique_ptr<Pipe> PipePool::make() { return nullptr; }

#endif

void Pipe::clear() {
  std::array<std::byte, 4096> nowhere;
  while (!empty() && read(nowhere) > 0) {
  }
}

Pipe::~Pipe() {
  ::close(read_end_);
  ::close(write_end_);
}

std::size_t PipePool::default_most() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return kMost;
  return std::min<std::size_t>(kMost, files.rlim_cur / kFilesShare);
}

PipePool::~PipePool() { assert(lent_ == 0 && "a pipe outlives its pool"); }

PipePool::Lease PipePool::borrow() {
  std::unique_ptr<Pipe> pipe;
  if (!idle_.empty()) {
    pipe = std::move(idle_.back());
    idle_.pop_back();
    least_idle_ = std::min(least_idle_, idle_.size());
  } else if (lent_ < most_) {
    pipe = make();
  }
  if (pipe == nullptr) {
    ++refused_;
    return {nullptr, Return(*this)};
  }
  ++lent_;
  return {pipe.release(), Return(*this)};
}

bool PipePool::trim() {
  idle_.erase(idle_.begin(), idle_.begin() + static_cast<std::ptrdiff_t>(least_idle_));
  least_idle_ = idle_.size();
  return !idle_.empty() || lent_ > 0;
}

void PipePool::give_back(Pipe* pipe) {
  std::unique_ptr<Pipe> back(pipe);
  --lent_;
  if (back->empty() && idle_.size() < kKept) idle_.push_back(std::move(back));
}

void PipePool::Return::operator()(Pipe* pipe) const {
  if (pool_ != nullptr) {
    pool_->give_back(pipe);
  } else {
    delete pipe;
  }
}

}  // namespace ferrotunnel::transport
