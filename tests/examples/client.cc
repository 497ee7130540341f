// Shares one local web service until SIGINT or SIGTERM.
// usage: client TOKEN TARGET [HOST]     such as: client ft1_AbC… 127.0.0.1:8080 app.example.com
#include <chrono>
#include <csignal>
#include <iostream>

#include "ferrotunnel/client.h"

namespace {

volatile std::sig_atomic_t asked_to_end = 0;
void ask_to_end(int) { asked_to_end = 1; }

int fail(const ferrotunnel::Error& error) {
  std::cerr << "client: " << error.context << '\n';
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) return fail({{}, {}, false, "usage: client TOKEN TARGET [HOST]"});
  auto client = ferrotunnel::Client::builder()
                    .join(argv[1])
                    .http("web", argv[2], argc == 4 ? argv[3] : "")
                    .on_tunnel_up([](const ferrotunnel::TunnelUp& up) { std::cout << up.public_url << std::endl; })
                    .on_tunnel_failed([](const ferrotunnel::TunnelFailed& failed) { fail(failed.why); })
                    .on_disconnected([](const ferrotunnel::Disconnected& gone) { fail(gone.why); })
                    .build();
  if (!client) return fail(client.error());  // an option is not valid

  std::signal(SIGINT, ask_to_end);
  std::signal(SIGTERM, ask_to_end);
  if (auto started = client->start(); !started) return fail(started.error());
  while (asked_to_end == 0) {
    // It reconnects by itself; an error here means that it has given up for good.
    if (auto failed = client->wait_failed(std::chrono::milliseconds(200))) return fail(*failed);
  }
  return client->drain(std::chrono::seconds(10)) ? 0 : 1;
}
