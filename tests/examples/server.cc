// A server until SIGINT or SIGTERM. Prints the token that clients join with.
// usage: server STATE_DIR PUBLIC_ADDRESS     such as: server ./state eu.example.com
#include <chrono>
#include <csignal>
#include <iostream>

#include "ferrotunnel/server.h"

namespace {

int fail(const ferrotunnel::Error& error) {
  std::cerr << "server: " << error.context << '\n';
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return fail({{}, {}, false, "usage: server STATE_DIR PUBLIC_ADDRESS"});
  sigset_t end;  // blocked before start(), so that the server's threads leave these signals to sigwait()
  sigemptyset(&end);
  sigaddset(&end, SIGINT);
  sigaddset(&end, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &end, nullptr);

  auto server = ferrotunnel::Server::builder()
                    .listen(":7835")
                    .http_listen(":8080")
                    .state_dir(argv[1])
                    .public_address(argv[2])
                    .on_error([](const ferrotunnel::Error& error) { fail(error); })
                    .build();
  if (!server) return fail(server.error());  // an option is not valid
  const auto ready = server->start();
  if (!ready) return fail(ready.error());  // a port is in use, the state cannot be written
  std::cout << ready->join_token << std::endl;

  int signal = 0;
  sigwait(&end, &signal);
  return server->drain(std::chrono::seconds(10)) ? 0 : 1;  // false: somebody was cut off
}
