// The functions of include/ferrotunnel/control.h: questions to the control socket of a server or client that runs.
#include <unistd.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "app/control_socket.h"
#include "app/status_json.h"
#include "ferrotunnel/control.h"
#include "ferrotunnel/grants.h"

namespace ferrotunnel {
namespace {

// Whom to ask, and what to call it.
struct Program {
  std::filesystem::path socket;
  std::string who, where;
};
Program server_in(const std::string& state_dir) {
  return {std::filesystem::path(state_dir) / "control.sock", "server", "in " + state_dir};
}
Program client_at(const std::string& socket) { return {socket, "client", "at " + socket}; }

constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::seconds kReloadPatience{120};  // the commands of a file's secrets may take 60 s together

Result<boost::json::object> ask(const Program& program, const boost::json::object& question,
                                std::chrono::milliseconds patience = kPatience) {
  auto answer = app::ask_control(program.socket, question, patience);
  if (!answer && answer.error().code == ErrorCode::Unreachable)
    answer.error().context =
        "no " + program.who + " of this user runs " + program.where + " (" + answer.error().context + ")";
  return answer;
}

Result<> drain(const Program& program, std::optional<std::chrono::milliseconds> patience) {
  constexpr std::chrono::seconds kGrace{30};
  constexpr std::chrono::milliseconds kLook{50};
  boost::json::object question{{"do", "drain"}};
  if (patience) question["patience_ms"] = patience->count();
  const auto answer = ask(program, question);
  if (!answer) return std::unexpected(answer.error());
  const boost::json::value* takes = answer->if_contains("drain_ms");
  const std::chrono::milliseconds most(takes != nullptr && takes->is_int64() ? takes->get_int64() : 0);
  const auto until = std::chrono::steady_clock::now() + most + kGrace;
  // It answers to its very end.
  while (std::chrono::steady_clock::now() < until) {
    const auto there = ask(program, {{"do", "status"}});
    if (!there && there.error().code == ErrorCode::Unreachable) return {};
    std::this_thread::sleep_for(kLook);
  }
  return std::unexpected(Error(ErrorCode::Timeout, Side::Local, true,
                               "the " + program.who + " " + program.where + " was told to end and is still there"));
}

Result<Reloaded> reload(const Program& program) {
  const auto answer = ask(program, {{"do", "reload"}}, kReloadPatience);
  if (!answer) return std::unexpected(answer.error());
  return app::reloaded_from_json(*answer);
}

}  // namespace

Result<RunningServer> running_server(const std::string& state_dir) {
  auto answer = ask(server_in(state_dir), {{"do", "status"}});
  if (!answer) return std::unexpected(answer.error());
  answer->erase("ok");
  return RunningServer{app::status_from_json(*answer), boost::json::serialize(*answer)};
}

Result<std::string> grant_token(const std::string& state_dir, const std::string& name) {
  const auto answer = ask(server_in(state_dir), {{"do", "token"}, {"name", name}});
  if (!answer) return std::unexpected(answer.error());
  const boost::json::value* token = answer->if_contains("token");
  if (token != nullptr && token->is_string()) return std::string(token->get_string());
  return std::unexpected(Error(ErrorCode::Refused, Side::Local, false, "the server gave no token"));
}

Result<std::size_t> kick_clients(const std::string& state_dir, const std::string& name) {
  const auto answer = ask(server_in(state_dir), {{"do", "kick"}, {"name", name}});
  if (!answer) return std::unexpected(answer.error());
  const boost::json::value* kicked = answer->if_contains("kicked");
  return kicked != nullptr && kicked->is_number() ? kicked->to_number<std::size_t>() : 1;
}

Result<> drain_server(const std::string& state_dir, std::optional<std::chrono::milliseconds> patience) {
  return drain(server_in(state_dir), patience);
}
Result<Reloaded> reload_server(const std::string& state_dir) { return reload(server_in(state_dir)); }

std::string default_client_socket() {
  if (const char* systemd = std::getenv("RUNTIME_DIRECTORY"); systemd != nullptr && *systemd != '\0')
    return std::string(systemd) + "/client.sock";
  if (const char* xdg = std::getenv("XDG_RUNTIME_DIR"); xdg != nullptr && *xdg != '\0')
    return std::string(xdg) + "/ferrotunnel-client.sock";
  return ::geteuid() == 0 ? "/run/ferrotunnel-client.sock" : "";
}

Result<RunningClient> running_client(const std::string& socket) {
  auto answer = ask(client_at(socket), {{"do", "status"}});
  if (!answer) return std::unexpected(answer.error());
  answer->erase("ok");
  const boost::json::value* pid = answer->if_contains("pid");
  return RunningClient{app::client_status_from_json(*answer), pid != nullptr && pid->is_int64() ? pid->get_int64() : 0,
                       boost::json::serialize(*answer)};
}
Result<> drain_client(const std::string& socket, std::optional<std::chrono::milliseconds> patience) {
  return drain(client_at(socket), patience);
}
Result<Reloaded> reload_client(const std::string& socket) { return reload(client_at(socket)); }

}  // namespace ferrotunnel
