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
#include "ferrotunnel/client.h"
#include "ferrotunnel/error.h"

namespace ferrotunnel::cli {

enum class LogFormat : std::uint8_t { Auto, Human, Json };
enum class LogLevel : std::uint8_t { Error, Warn, Info, Debug };

struct RunOptions {
  LogFormat log_format = LogFormat::Auto;
  LogLevel log_level = LogLevel::Info;
  std::chrono::milliseconds drain_timeout = std::chrono::seconds(10);
  std::size_t memory_limit = 0;  // 0: the library's default
};

struct GrantOption {
  std::string name, secret;
};
struct TlsFiles {
  std::string certificate, key;
};

struct ServerOptions {
  RunOptions run;
  std::string listen = ":7835", http_listen = ":8080", tcp_listen_host;
  std::vector<std::string> public_addresses;
  std::string state;
  bool tls = true;
  std::optional<TlsFiles> certificate;
  std::string client_ca;
  std::optional<GrantOption> grant;
  std::vector<std::string> trusted_proxies;
  unsigned threads = 0;
};

struct TunnelOption {
  enum class Kind : std::uint8_t { Http, Tcp } kind = Kind::Http;
  std::string name, target;
  std::string host;                          // HTTP; empty: the server picks
  std::uint16_t port = 0;                    // TCP; 0: the server picks
  ProxyProtocol proxy = ProxyProtocol::Off;  // TCP
};

struct ClientOptions {
  RunOptions run;
  std::string join;        // empty: signs in with `grant`
  bool keep_join = false;  // after it worked
  std::string no_token;    // not empty: nothing to sign in with was found, and this is what to say
  std::vector<std::string> servers;
  std::optional<GrantOption> grant;
  std::optional<bool> tls;  // nothing: as the token says
  std::string tls_ca;
  std::optional<TlsFiles> certificate;
  std::vector<TunnelOption> tunnels;
  bool fail_fast = false;
  std::optional<std::chrono::milliseconds> origin_timeout;
};

// A flag that is a number of seconds, a day at most; untouched when it was not given. Errors: BadInput.
// Bytes, with K, M or G behind the number. Not given: left as it is.
[[nodiscard]] Result<> read_size(const Arguments& arguments, std::string_view flag, std::optional<std::uint64_t>& into);
[[nodiscard]] Result<> read_seconds(const Arguments& arguments, std::string_view flag,
                                    std::optional<std::chrono::milliseconds>& into);
// Errors of all: BadInput, Io; ending with what to do.
[[nodiscard]] Result<ServerOptions> server_options(const Arguments& arguments);
// For client, http and tcp. `store` is where a token may be kept.
[[nodiscard]] Result<ClientOptions> client_options(const Arguments& arguments, const std::optional<TokenStore>& store);

}  // namespace ferrotunnel::cli
