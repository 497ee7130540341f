// ControlSocket: how the commands of the same user speak with a program that runs: a unix socket of mode 0600 beside its state.
//
// One question and one answer a connection, each one JSON object on a line: {"do":"status"} -> {"ok":true,...} or {"ok":false,
// "error":"..."}. Questions are answered one after the other on a thread of its own, off every shard; whoever has not asked after
// kPatience, or not taken the answer after kAnswerPatience, is left. It is the first piece of the admin API.
#pragma once

#include <sys/types.h>

#include <boost/json/object.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>

#include "base/error.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::app {

class ControlSocket {
 public:
  static constexpr std::chrono::seconds kPatience{2};        // for the whole of a question to come
  static constexpr std::chrono::seconds kAnswerPatience{5};  // for the whole of its answer to be taken
  static constexpr std::size_t kMaxQuestion = 4096;          // bytes
  static constexpr std::size_t kMaxAnswer = 64u << 20;

  // Gives the answer without "ok", or why there is none. On the socket's thread.
  using Answer = std::function<Result<boost::json::object>(const boost::json::object& question)>;

  // Errors: AddressInUse (another program answers there), Io, BadInput (the path is too long for a socket).
  [[nodiscard]] static Result<std::unique_ptr<ControlSocket>> open(const std::filesystem::path& path, Answer answer);
  // The answer under way is finished, and sent as far as it can be without waiting. The file is removed, if it still is this socket's.
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

 private:
  ControlSocket(std::filesystem::path path, transport::UniqueFd listener, transport::UniqueFd wake_read,
                transport::UniqueFd wake_write, Answer answer);
  void run();
  void serve(int fd) const;

  const std::filesystem::path path_;
  const transport::UniqueFd listener_, wake_read_;
  transport::UniqueFd wake_write_;
  const Answer answer_;
  dev_t device_ = 0;  // of the file, and its inode
  ino_t inode_ = 0;
  std::thread thread_;
};

// Asks the program that answers at `path`, within `patience` in all, and gives its answer. Errors: Unreachable (nobody answers there), Timeout; with its
// words BadInput (the question, or a file that it reads, is wrong), Io (it could not), Refused.
[[nodiscard]] Result<boost::json::object> ask_control(const std::filesystem::path& path,
                                                      const boost::json::object& question,
                                                      std::chrono::milliseconds patience = std::chrono::seconds(30));

}  // namespace ferrotunnel::app
