// The command `ferrotunnel`: a small user of the library (include/ferrotunnel/), and of nothing else of this project.
//
// words -> Arguments (arguments.h) -> options (options.h) -> run_server or run_client (run.h), whose callbacks go to an Output (output.h).

#include <sys/resource.h>
#include <unistd.h>

#include <exception>
#include <string>
#include <vector>

#include "app/cli/arguments.h"
#include "app/cli/ask_secret.h"
#include "app/cli/compat.h"
#include "app/cli/completion.h"
#include "app/cli/console.h"
#include "app/cli/help.h"
#include "app/cli/man.h"
#include "app/cli/options.h"
#include "app/cli/run.h"
#include "app/cli/run_administration.h"
#include "app/cli/token_store.h"

namespace {

using namespace ferrotunnel::cli;
using Files = std::vector<std::string>;

// A client without anything to sign in with, at a terminal: it is asked for. Nothing: nobody is there to ask.
ferrotunnel::Result<bool> ask_for_token(Arguments& arguments, const ClientOptions& options) {
  if (options.no_token.empty() || !can_ask()) return false;
  const bool server_known = !options.config.servers.empty();
  auto secret = ask_secret(server_known ? "Token: " : "Join token (the server prints one when it starts): ");
  if (!secret) return std::unexpected(secret.error());
  if (secret->empty()) return false;
  auto used = use_token(arguments, {std::move(*secret), "the token that was typed"});
  if (!used) return std::unexpected(used.error());
  return true;
}

int run(const std::vector<std::string>& words) {
  if (words.empty() && ::isatty(STDOUT_FILENO) == 1) {
    [[maybe_unused]] const int printed = print(short_help());
    return kExitWrongUse;
  }
  auto line = parse_arguments(words);
  if (!line) return complain_of(line.error());
  if (!line->print.empty()) return print(line->print);
  for (const std::string& note : line->notes) complain(note);
  Arguments& arguments = line->arguments;
  if (arguments.command().name == "version") return print(version_text(arguments.value("json").has_value()));
  if (arguments.command().name == "man") return print(man_page());
  if (arguments.command().name == "completion") {
    const auto script = completion_of(arguments.target());
    if (script) return print(*script);
    complain("which shell? ferrotunnel completion bash, zsh or fish");
    return kExitWrongUse;
  }
  if (arguments.command().name == "server") {
    const auto options = server_options(arguments);
    return options ? run_server(*options, [&](Files& files) { return server_options(arguments, &files); })
                   : complain_of(options.error());
  }
  if (const auto code = run_administration(arguments)) return *code;
  const auto store = TokenStore::of_user();
  auto options = client_options(arguments, store);
  if (options) {
    const auto asked = ask_for_token(arguments, *options);
    if (!asked) return complain_of(asked.error());
    if (*asked) options = client_options(arguments, store);
  }
  return options ? run_client(*options, store, [&](Files& files) { return client_options(arguments, store, &files); })
                 : complain_of(options.error());
}

// Each visitor takes descriptors; the usual soft limit of 1,024 is there for programs that use select().
void lift_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    lift_descriptor_limit();
    return run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    complain(std::string("unexpected: ") + error.what());
    return kExitFailed;
  }
}
