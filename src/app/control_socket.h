// ControlSocket: how the commands of the same user speak with a program that runs: a unix socket of mode 0600 beside its state.
//
// One question and one answer a connection, each one JSON object on a line: {"do":"status"} -> {"ok":true,...} or {"ok":false,
// "error":"..."}. Questions are answered one after the other on a thread of its own, off every shard; whoever sends nothing is left after
// kPatience. It is the first piece of the admin API.
#pragma once

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
  static constexpr std::chrono::seconds kPatience{2};  // for a question to come, and for its answer to be taken
  static constexpr std::size_t kMaxQuestion = 4096;    // bytes
  static constexpr std::size_t kMaxAnswer = 64u << 20;

  // Gives the answer without "ok", or why there is none. On the socket's thread.
  using Answer = std::function<Result<boost::json::object>(const boost::json::object& question)>;

  // Errors: AddressInUse (another program answers there), Io, BadInput (the path is too long for a socket).
  [[nodiscard]] static Result<std::unique_ptr<ControlSocket>> open(const std::filesystem::path& path, Answer answer);
  ~ControlSocket();  // the answer under way is finished; the file is removed
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
  std::thread thread_;
};

// Asks the program that answers at `path`, and gives its answer. Errors: Unreachable (nobody answers there), Refused (with its words), Io, Timeout.
[[nodiscard]] Result<boost::json::object> ask_control(const std::filesystem::path& path,
                                                      const boost::json::object& question,
                                                      std::chrono::milliseconds patience = std::chrono::seconds(30));

}  // namespace ferrotunnel::app
