// Options: what the command is to do, checked. Values; main thread.
//
// Checks here are those of the command (numbers, pairs of flags, files); what an address or a local service may be is the library's to say.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/arguments.h"
#include "app/cli/token_store.h"
#include "ferrotunnel/config.h"
#include "ferrotunnel/error.h"

namespace ferrotunnel::cli {

enum class LogFormat : std::uint8_t { Auto, Human, Json };
enum class LogLevel : std::uint8_t { Error, Warn, Info, Debug };

// What the command itself needs to know; the rest is the library's (config).
struct RunOptions {
  LogFormat log_format = LogFormat::Auto;
  LogLevel log_level = LogLevel::Info;
  std::chrono::milliseconds drain_timeout = std::chrono::seconds(10);
  bool watch = false;
  std::string file;  // --config; empty: there is none
  std::vector<std::string>
      files;  // that the options were read from, with those that the configuration names: whoever watches watches these
};

struct ServerOptions {
  RunOptions run;
  ServerConfig config;
};

struct ClientOptions {
  RunOptions run;
  ClientConfig config;
  bool keep_join = false;  // after it worked
  // Nobody said where status, reload and drain are answered: at the socket of this user's, unless another client has it.
  bool default_socket = false;
  std::string no_token;  // not empty: nothing to sign in with was found, and this is what to say
};

// A flag that is a number of seconds, a day at most; untouched when it was not given. Errors: BadInput.
// Bytes, with K, M or G behind the number. Not given: left as it is.
[[nodiscard]] Result<> read_size(const Arguments& arguments, std::string_view flag, std::optional<std::uint64_t>& into);
[[nodiscard]] Result<> read_seconds(const Arguments& arguments, std::string_view flag,
                                    std::optional<std::chrono::milliseconds>& into);
// What was typed, over the environment, over the file of --config, over the defaults. May be asked again when the file has changed.
// Errors of all: BadInput, Io; ending with what to do; of a file, every mistake on a line of its own.
// `files`, where it is given, gets RunOptions::files; on an error those that were read before it.
[[nodiscard]] Result<ServerOptions> server_options(const Arguments& arguments,
                                                   std::vector<std::string>* files = nullptr);
// For client, http and tcp. `store` is where a token may be kept.
[[nodiscard]] Result<ClientOptions> client_options(const Arguments& arguments, const std::optional<TokenStore>& store,
                                                   std::vector<std::string>* files = nullptr);

}  // namespace ferrotunnel::cli
