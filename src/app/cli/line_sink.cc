#include "app/cli/line_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ferrotunnel::cli {

namespace {

bool is_regular(int fd) {
  struct stat about{};
  return ::fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

}  // namespace

FdSink::FdSink(int fd, DroppedLine dropped)
    : fd_(fd), is_file_(is_regular(fd)), dropped_line_(std::move(dropped)), thread_([this] { run(); }) {}

FdSink::~FdSink() { close(); }

void FdSink::write(std::string_view text) {
  {
    const std::lock_guard lock(mutex_);
    if (closing_) return;
    if (queue_.size() + text.size() > kQueueBytes) {
      ++dropped_;
      return;
    }
    const bool looks = !queue_.empty();  // somebody was told already
    queue_ += text;
    if (looks) return;
  }
  changed_.notify_all();
}

void FdSink::close(std::chrono::milliseconds patience) {
  {
    std::unique_lock lock(mutex_);
    closing_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, patience, [this] { return idle_ && queue_.empty(); });
    give_up_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void FdSink::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !queue_.empty() || closing_; });
    if (queue_.empty() || give_up_) return;
    std::string batch = std::exchange(queue_, {});
    if (const std::uint64_t dropped = std::exchange(dropped_, 0); dropped != 0 && dropped_line_)
      batch += dropped_line_(dropped);
    idle_ = false;
    lock.unlock();
    const bool alive = put(batch);
    lock.lock();
    idle_ = true;
    if (!alive) {
      closing_ = true;
      queue_.clear();
    }
    changed_.notify_all();
    changed_.wait_for(lock, kGather, [this] { return closing_; });
  }
}

// The descriptor may be shared with others, so its flags stay as they are: poll tells when a write of up to PIPE_BUF would not block.
bool FdSink::put(std::string_view text) {
  const std::size_t piece = is_file_ ? text.size() : 4096;
  constexpr int kLookMs = 100;
  while (!text.empty()) {
    pollfd ready{fd_, POLLOUT, 0};  // a file is always ready
    const int n = ::poll(&ready, 1, kLookMs);
    if (n < 0 && errno != EINTR) return false;
    if (n <= 0) {
      const std::lock_guard lock(mutex_);
      if (give_up_) return false;
      continue;
    }
    const ssize_t written = ::write(fd_, text.data(), std::min(text.size(), piece));
    if (written < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace ferrotunnel::cli
