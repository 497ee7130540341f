// Running a server or a client from the command line until a signal, or until it fails. Main thread, which must not have started any
// other before. Both give the exit code.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/console.h"
#include "app/cli/options.h"
#include "app/cli/signals.h"
#include "app/cli/token_store.h"

namespace ferrotunnel::cli {

// `again` reads the options anew, for a reload. It leaves the files that were read, also when there is a mistake in them.
using LoadServer = std::function<Result<ServerOptions>(std::vector<std::string>& files)>;
using LoadClient = std::function<Result<ClientOptions>(std::vector<std::string>& files)>;
[[nodiscard]] int run_server(const ServerOptions& options, const LoadServer& again);
[[nodiscard]] int run_client(const ClientOptions& options, const std::optional<TokenStore>& store,
                             const LoadClient& again);

// What `ferrotunnel drain` says to either.
struct DrainAsked {
  std::atomic<bool> asked{false};
  std::atomic<std::chrono::milliseconds> patience;
  // Gives how long it will take at most.
  std::chrono::milliseconds ask(std::optional<std::chrono::milliseconds> wanted, Signals& signals) {
    if (wanted) patience.store(*wanted);
    asked.store(true);
    signals.wake();
    return patience.load();
  }
};

// What both do at the end: `drain` blocks until the visitors are gone or its time is up; a second signal calls `stop`, from this thread,
// which makes `drain` return. Says "stopping" and "stopped". Gives the exit code.
[[nodiscard]] int drain_until_signal(Signals& signals, Console& console, std::chrono::milliseconds patience,
                                     const std::function<bool()>& drain, const std::function<void()>& stop);

}  // namespace ferrotunnel::cli
