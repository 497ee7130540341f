// The functions of include/ferrotunnel/control.h: questions to the control socket of a server that runs.
#include <boost/json.hpp>
#include <filesystem>

#include "app/control_socket.h"
#include "app/server/status_json.h"
#include "ferrotunnel/control.h"

namespace ferrotunnel {
namespace {

Result<boost::json::object> ask(const std::string& state_dir, const boost::json::object& question) {
  auto answer = app::ask_control(std::filesystem::path(state_dir) / "control.sock", question);
  if (!answer && answer.error().code == ErrorCode::Unreachable)
    answer.error().context = "no server of this user runs in " + state_dir + " (" + answer.error().context + ")";
  return answer;
}

}  // namespace

Result<RunningServer> running_server(const std::string& state_dir) {
  auto answer = ask(state_dir, {{"do", "status"}});
  if (!answer) return std::unexpected(answer.error());
  answer->erase("ok");
  return RunningServer{app::status_from_json(*answer), boost::json::serialize(*answer)};
}

Result<std::size_t> kick_clients(const std::string& state_dir, const std::string& name) {
  const auto answer = ask(state_dir, {{"do", "kick"}, {"name", name}});
  if (!answer) return std::unexpected(answer.error());
  const boost::json::value* kicked = answer->if_contains("kicked");
  return kicked != nullptr && kicked->is_number() ? kicked->to_number<std::size_t>() : 1;
}

}  // namespace ferrotunnel
