// What servers and clients answer alike on their control sockets. The socket's thread.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <functional>
#include <optional>

#include "base/error.h"
#include "ferrotunnel/config.h"

namespace ferrotunnel::app {

// {"do":"drain","patience_ms":N} -> {"drain_ms":N}: told once to whoever ends the program; asked again, the answer is the first one.
class DrainAnswer {
 public:
  using Asked = std::function<std::chrono::milliseconds(std::optional<std::chrono::milliseconds>)>;
  [[nodiscard]] Result<boost::json::object> answer(const boost::json::object& question, const Asked& asked);

 private:
  std::optional<std::chrono::milliseconds> takes_;
};

// {"do":"reload"} -> {"needs_restart":[...]}
[[nodiscard]] Result<boost::json::object> answer_reload(const std::function<Result<Reloaded>()>& asked);

}  // namespace ferrotunnel::app
