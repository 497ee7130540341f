// reload_host STATE CERTIFICATE KEY CA HTTP-TARGET TCP-TARGET: a server and its client, of the library, in one process, that do as they are told on
// stdin, a line each:
//   reload                       another configuration at both ends: a grant more or less, a trusted proxy, limits, a tunnel more or less
//   certificate CERTIFICATE KEY  another certificate at the server; and a client that signs in after it, to see which it shows
//   drain SECONDS                the server drains, and this ends
// Each is answered by {"event":"done","what":"reload","ms":N} or {"event":"failed","why":TEXT}; before, once {"event":"ready","http":A,"tcp":PORT}.

#include <signal.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>

#include "ferrotunnel/client.h"
#include "ferrotunnel/server.h"

namespace {

using namespace ferrotunnel;  // NOLINT(google-build-using-namespace): a program of one file
using Steady = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{20};
constexpr auto kSecret = "a secret between the two of them";

void failed(const std::string& why) {
  std::string text;
  for (const char c : why) text += c == '"' || c == '\\' || c == '\n' ? '\'' : c;
  std::printf("{\"event\":\"failed\",\"why\":\"%s\"}\n", text.c_str());
  std::fflush(stdout);
}
void done(const std::string& what, Steady::time_point began) {
  const auto ms = std::chrono::duration<double, std::milli>(Steady::now() - began).count();
  std::printf("{\"event\":\"done\",\"what\":\"%s\",\"ms\":%.2f}\n", what.c_str(), ms);
  std::fflush(stdout);
}

// Tunnels that came up, by any client of this process.
class Ups {
 public:
  void up(const TunnelUp& tunnel) {
    const std::lock_guard lock(mutex_);
    ++count_;
    if (tunnel.port != 0) port_ = tunnel.port;
    news_.notify_all();
  }
  bool wait(unsigned count) {
    std::unique_lock lock(mutex_);
    return news_.wait_for(lock, kPatience, [&] { return count_ >= count; });
  }
  unsigned count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  std::uint16_t port() {
    const std::lock_guard lock(mutex_);
    return port_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable news_;
  unsigned count_ = 0;
  std::uint16_t port_ = 0;
};

GrantOptions grant(std::string name) {
  GrantOptions made;
  made.name = std::move(name);
  made.secrets = {kSecret};
  return made;
}

class Host {
 public:
  Host(ServerConfig server, ClientConfig client)
      : server_config_(std::move(server)), client_config_(std::move(client)) {}

  Result<> start() {
    auto server = ServerBuilder(server_config_).build();
    if (!server) return std::unexpected(server.error());
    server_.emplace(std::move(*server));
    auto ready = server_->start();
    if (!ready) return std::unexpected(ready.error());
    client_config_.servers = {"localhost" + ready->listen.substr(ready->listen.rfind(':'))};
    auto client = make_client(client_config_);
    if (!client) return std::unexpected(client.error());
    client_.emplace(std::move(*client));
    if (auto started = client_->start(); !started) return started;
    if (!ups_.wait(2))
      return std::unexpected(Error(ErrorCode::Timeout, Side::Local, false, "the tunnels do not come up"));
    std::printf(R"({"event":"ready","http":"%s","tcp":%u})"
                "\n",
                ready->http_listen.c_str(), static_cast<unsigned>(ups_.port()));
    std::fflush(stdout);
    return {};
  }

  Result<> reload() {
    const bool odd = (++reloads_ % 2) != 0;
    server_config_.grants.resize(1, grant("main"));
    if (odd) server_config_.grants.push_back(grant("another"));
    server_config_.trusted_proxies = odd ? std::vector<std::string>{"192.0.2.0/24"} : std::vector<std::string>{};
    server_config_.tunnel_limits.max_visitors = odd ? 100'000 : 0;
    client_config_.tunnels.resize(2);
    if (odd)
      client_config_.tunnels.push_back(
          tunnel(TunnelConfig::Kind::Http, "third", client_config_.tunnels[0].to, "third.test"));
    if (auto told = server_->reload(server_config_); !told) return std::unexpected(told.error());
    if (auto told = client_->reload(client_config_); !told) return std::unexpected(told.error());
    return {};
  }

  Result<> certificate(std::string file, std::string key) {
    server_config_.tls_certificate = std::move(file);
    server_config_.tls_key = std::move(key);
    if (auto told = server_->reload(server_config_); !told) return std::unexpected(told.error());
    ClientConfig newcomer = client_config_;
    newcomer.tunnels = {tunnel(TunnelConfig::Kind::Http, "newcomer", client_config_.tunnels[0].to, "newcomer.test")};
    newcomer.fail_fast = true;
    const unsigned before = ups_.count();
    auto client = make_client(newcomer);
    if (!client) return std::unexpected(client.error());
    if (auto started = client->start(); !started) return started;
    if (!ups_.wait(before + 1))
      return std::unexpected(Error(ErrorCode::Timeout, Side::Local, false, "a newcomer cannot sign in"));
    client->stop();
    return {};
  }

  bool drain(std::chrono::seconds patience) {
    const bool finished = server_->drain(patience);
    client_->stop();
    return finished;
  }

  static TunnelConfig tunnel(TunnelConfig::Kind kind, std::string name, std::string to, std::string host = {}) {
    TunnelConfig made;
    made.kind = kind;
    made.name = std::move(name);
    made.to = std::move(to);
    made.host = std::move(host);
    return made;
  }

 private:
  Result<Client> make_client(const ClientConfig& config) {
    return ClientBuilder(config).on_tunnel_up([this](const TunnelUp& tunnel) { ups_.up(tunnel); }).build();
  }

  ServerConfig server_config_;
  ClientConfig client_config_;
  Ups ups_;
  std::optional<Server> server_;
  std::optional<Client> client_;
  unsigned reloads_ = 0;
};

int obey(Host& host) {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string what, first, second;
    words >> what >> first >> second;
    const auto began = Steady::now();
    Result<> result;
    if (what == "reload") {
      result = host.reload();
    } else if (what == "certificate") {
      result = host.certificate(first, second);
    } else if (what == "drain") {
      if (!host.drain(std::chrono::seconds(std::strtoul(first.c_str(), nullptr, 10)))) {
        failed("not all was finished");
        return 1;
      }
      done(what, began);
      return 0;
    } else {
      result = std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "not understood: " + what));
    }
    if (result) {
      done(what, began);
    } else {
      failed(result.error().context);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fputs("usage: reload_host STATE CERTIFICATE KEY CA HTTP-TARGET TCP-TARGET\n", stderr);
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  ServerConfig server;
  server.listen = server.http_listen = "127.0.0.1:0";
  server.tcp_listen_host = "127.0.0.1";
  server.state_dir = argv[1];
  server.tls_certificate = argv[2];
  server.tls_key = argv[3];
  server.grants = {grant("main")};
  ClientConfig client;
  client.grant = "main";
  client.secret = kSecret;
  client.tls_ca = argv[4];
  client.tunnels = {Host::tunnel(TunnelConfig::Kind::Http, "web", argv[5], "app.test"),
                    Host::tunnel(TunnelConfig::Kind::Tcp, "raw", argv[6])};
  Host host(std::move(server), std::move(client));
  if (auto started = host.start(); !started) {
    failed(started.error().context);
    return 1;
  }
  return obey(host);
}
