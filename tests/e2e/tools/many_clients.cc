// many_clients TOKEN COUNT TARGET: COUNT clients of the library in one process, each with a TCP tunnel to TARGET. What a test of a server
// with many clients needs, without a process for each.
//
// Prints a JSON line for each thing that happens: {"event":"up","client":N,"port":P}, {"event":"down","client":N}, and once each time all of
// them are up {"event":"all_up"}. Ends on SIGTERM, all clients stopped.

#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "ferrotunnel/client.h"

namespace {

class Board {
 public:
  explicit Board(std::size_t count) : up_(count, false) {}

  void up(std::size_t client, unsigned port) {
    const std::lock_guard lock(mutex_);
    std::printf("{\"event\":\"up\",\"client\":%zu,\"port\":%u}\n", client, port);
    if (!up_[client]) ++count_;
    up_[client] = true;
    if (count_ == up_.size()) std::puts("{\"event\":\"all_up\"}");
    std::fflush(stdout);
  }
  void down(std::size_t client) {
    const std::lock_guard lock(mutex_);
    if (!up_[client]) return;  // an attempt that failed
    up_[client] = false;
    --count_;
    std::printf("{\"event\":\"down\",\"client\":%zu}\n", client);
    std::fflush(stdout);
  }

 private:
  std::mutex mutex_;
  std::vector<bool> up_;
  std::size_t count_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: many_clients TOKEN COUNT TARGET\n", stderr);
    return 2;
  }
  sigset_t stop;
  ::sigemptyset(&stop);
  ::sigaddset(&stop, SIGTERM);
  ::sigaddset(&stop, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  const auto count = static_cast<std::size_t>(std::strtoul(argv[2], nullptr, 10));
  Board board(count);
  std::vector<ferrotunnel::Client> clients;
  for (std::size_t i = 0; i < count; ++i) {
    auto builder = ferrotunnel::Client::builder();
    builder.join(argv[1]).tcp("t" + std::to_string(i), argv[3]);
    builder.on_tunnel_up([&board, i](const ferrotunnel::TunnelUp& event) { board.up(i, event.port); });
    builder.on_disconnected([&board, i](const ferrotunnel::Disconnected&) { board.down(i); });
    auto client = builder.build();
    if (!client) {
      std::fprintf(stderr, "%s\n", client.error().context.c_str());
      return 2;
    }
    clients.push_back(std::move(*client));
  }
  for (ferrotunnel::Client& client : clients) {
    if (const auto started = client.start(); !started) {
      std::fprintf(stderr, "%s\n", started.error().context.c_str());
      return 1;
    }
  }
  int signal = 0;
  ::sigwait(&stop, &signal);
  for (ferrotunnel::Client& client : clients) client.stop();
  return 0;
}
