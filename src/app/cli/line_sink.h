// LineSink: where finished lines go. StdoutSink writes them on a thread of its own, so that whoever reports an event (a shard, with
// visitors waiting) never waits for a slow terminal, a stopped pager or a full pipe.
//
// write() may be called from any thread. Lines go out whole, in order, as soon as the descriptor takes them; under many of them those of
// kGather go together. What does not fit the queue is dropped, and a later line says how many were. A closed descriptor (EPIPE) ends the output, not the program.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace ferrotunnel::cli {

class LineSink {
 public:
  virtual ~LineSink() = default;
  // Text with its line end(s), or a piece of terminal control.
  virtual void write(std::string_view text) = 0;
};

class FdSink final : public LineSink {
 public:
  static constexpr std::size_t kQueueBytes = 4u << 20;
  // So long after a write the next one waits for company: a thread that is woken for each line costs more than the line.
  static constexpr std::chrono::milliseconds kGather{5};
  // Makes the line that tells how many were dropped, in the format of the rest.
  using DroppedLine = std::function<std::string(std::uint64_t)>;

  explicit FdSink(int fd, DroppedLine dropped = {});  // fd is borrowed
  ~FdSink() override;                                 // close()
  FdSink(const FdSink&) = delete;
  FdSink& operator=(const FdSink&) = delete;

  void write(std::string_view text) override;
  // Waits until all is written, at most this long, and ends the thread. What is written later is lost.
  void close(std::chrono::milliseconds patience = std::chrono::seconds(2));

 private:
  void run();
  bool put(std::string_view text);  // false: nobody can read it any more

  const int fd_;
  const bool is_file_;  // takes whatever it is given
  const DroppedLine dropped_line_;
  // Guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string queue_;
  std::uint64_t dropped_ = 0;
  bool closing_ = false, idle_ = true;
  bool give_up_ = false;
  std::thread thread_;
};

}  // namespace ferrotunnel::cli
