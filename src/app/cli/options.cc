#include "app/cli/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "app/cli/escape.h"

namespace ferrotunnel::cli {
namespace {

using Value = Arguments::Value;

Error wrong(std::string text) { return {ErrorCode::BadInput, Side::Local, false, std::move(text)}; }

Error wrong(const Value& value, std::string_view what) {
  return wrong(value.from + ": '" + shown(value.text, 120) + "' is not " + std::string(what));
}

bool parse_proxy(std::string_view text, ProxyProtocol& into) {
  if (text != "v1" && text != "v2") return false;
  into = text == "v1" ? ProxyProtocol::V1 : ProxyProtocol::V2;
  return true;
}

// Reads flags one after another and keeps the first thing that is wrong, so that callers read as a list of flags.
class Reader {
 public:
  explicit Reader(const Arguments& arguments) : arguments_(arguments) {}

  void text(std::string_view flag, std::string& into) {
    if (auto value = arguments_.value(flag)) into = std::move(value->text);
  }
  void texts(std::string_view flag, std::vector<std::string>& into) {
    for (Value& value : arguments_.values(flag)) into.push_back(std::move(value.text));
  }
  // Of each value, what stands between commas.
  void lists(std::string_view flag, std::vector<std::string>& into) {
    for (const Value& value : arguments_.values(flag)) {
      for (std::string& item : comma_list(value.text)) into.push_back(std::move(item));
    }
  }
  void proxy_protocol(std::string_view flag, ProxyProtocol& into) {
    const auto value = arguments_.value(flag);
    if (value && !parse_proxy(value->text, into)) fail(wrong(*value, "v1 or v2"));
  }
  void toggle(std::string_view flag, bool& into) { into = into || arguments_.value(flag).has_value(); }

  template <class T>
  void number(std::string_view flag, T low, T high, T& into) {
    const auto value = arguments_.value(flag);
    if (!value) return;
    T number{};
    const char* end = value->text.data() + value->text.size();
    const auto [at, failed] = std::from_chars(value->text.data(), end, number);
    if (failed != std::errc() || at != end || number < low || number > high)
      return fail(wrong(*value, "a number from " + std::to_string(low) + " to " + std::to_string(high)));
    into = number;
  }

  void seconds(std::string_view flag, std::chrono::milliseconds& into) {
    std::optional<std::chrono::milliseconds> given;
    if (auto read = read_seconds(arguments_, flag, given); !read) return fail(read.error());
    into = given.value_or(into);
  }

  void size(std::string_view flag, std::size_t& into) {
    std::optional<std::uint64_t> given;
    if (auto read = read_size(arguments_, flag, given); !read) return fail(read.error());
    into = static_cast<std::size_t>(given.value_or(into));
  }

  void on_off(std::string_view flag, std::optional<bool>& into) {
    const auto value = arguments_.value(flag);
    if (!value) return;
    if (value->text != "on" && value->text != "off") return fail(wrong(*value, "on or off"));
    into = value->text == "on";
  }

  // --tls-cert and --tls-key, --grant and --secret-file.
  void pair(std::string_view a, std::string_view b, const auto& use) {
    const auto first = arguments_.value(a), second = arguments_.value(b);
    if (first && second) return use(first->text, second->text);
    if (!first && !second) return;
    const Value& there = first ? *first : *second;
    fail(wrong(there.from + " needs --" + std::string(first ? b : a) + " beside it"));
  }
  void files(std::optional<TlsFiles>& into) {
    pair("tls-cert", "tls-key",
         [&](const std::string& certificate, const std::string& key) { into = {certificate, key}; });
  }
  void grant(std::optional<GrantOption>& into) {
    pair("grant", "secret-file", [&](const std::string& name, const std::string& file) {
      auto secret = read_small_file(file);
      if (!secret) return fail(std::move(secret.error()));
      into = {name, std::move(*secret)};
    });
  }

  void run(RunOptions& into) {
    if (const auto value = arguments_.value("log-format")) {
      if (value->text == "auto")
        into.log_format = LogFormat::Auto;
      else if (value->text == "human")
        into.log_format = LogFormat::Human;
      else if (value->text == "json")
        into.log_format = LogFormat::Json;
      else
        fail(wrong(*value, "auto, human or json"));
    }
    if (const auto value = arguments_.value("log-level")) {
      if (value->text == "error")
        into.log_level = LogLevel::Error;
      else if (value->text == "warn")
        into.log_level = LogLevel::Warn;
      else if (value->text == "info")
        into.log_level = LogLevel::Info;
      else if (value->text == "debug")
        into.log_level = LogLevel::Debug;
      else
        fail(wrong(*value, "error, warn, info or debug"));
    }
    seconds("drain-timeout", into.drain_timeout);
    size("memory-limit", into.memory_limit);
  }

  void fail(Error error) {
    if (!failed_) failed_ = std::move(error);
  }
  [[nodiscard]] const std::optional<Error>& failed() const { return failed_; }

 private:
  const Arguments& arguments_;
  std::optional<Error> failed_;
};

// NAME=TARGET[,KEY=VALUE]..., where KEY is host (http), port or proxy (tcp).
Result<TunnelOption> parse_tunnel(const Value& value, TunnelOption::Kind kind) {
  const bool http = kind == TunnelOption::Kind::Http;
  TunnelOption tunnel{kind, {}, {}, {}, 0};
  std::string_view text = value.text;
  const auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size())
    return std::unexpected(wrong(value, http ? "NAME=TARGET, such as web=8080 or web=8080,host=app.example.com"
                                             : "NAME=TARGET, such as ssh=22 or ssh=22,port=2222"));
  tunnel.name = text.substr(0, equals);
  text.remove_prefix(equals + 1);
  for (auto at = text.rfind(','); at != std::string_view::npos; at = text.rfind(',')) {
    const std::string_view last = text.substr(at + 1);
    const auto key = last.substr(0, last.find('='));
    const Value said{std::string(last.substr(std::min(last.size(), key.size() + 1))),
                     value.from + " " + tunnel.name + ", " + std::string(key)};
    if (last == key) break;
    if (key == "host" && http) {
      tunnel.host = said.text;
    } else if (key == "port" && !http) {
      const auto [end, failed] = std::from_chars(said.text.data(), said.text.data() + said.text.size(), tunnel.port);
      if (failed != std::errc() || end != said.text.data() + said.text.size())
        return std::unexpected(wrong(said, "a port"));
    } else if (key == "proxy" && http) {
      return std::unexpected(wrong(said.from + ": PROXY headers are for --tcp; a web service has X-Forwarded-For"));
    } else if (key == "proxy") {
      if (!parse_proxy(said.text, tunnel.proxy)) return std::unexpected(wrong(said, "v1 or v2"));
    } else {
      break;
    }
    text = text.substr(0, at);
  }
  tunnel.target = text;
  return tunnel;
}

Result<std::vector<TunnelOption>> tunnels_of(const Arguments& arguments) {
  std::vector<TunnelOption> tunnels;
  const std::string_view command = arguments.command().name;
  if (command == "client") {
    for (const bool http : {true, false}) {
      for (const Value& value : arguments.values(http ? "http" : "tcp")) {
        auto tunnel = parse_tunnel(value, http ? TunnelOption::Kind::Http : TunnelOption::Kind::Tcp);
        if (!tunnel) return std::unexpected(std::move(tunnel.error()));
        tunnels.push_back(std::move(*tunnel));
      }
    }
    if (tunnels.empty())
      return std::unexpected(
          wrong("which service? Give at least one --http NAME=TARGET or --tcp NAME=TARGET, such as --http web=8080"));
    return tunnels;
  }
  if (arguments.target().empty())
    return std::unexpected(wrong("which service? Give its port or address: ferrotunnel " + std::string(command) +
                                 (command == "http" ? " 8080" : " 22")));
  Reader read(arguments);
  TunnelOption tunnel{command == "http" ? TunnelOption::Kind::Http : TunnelOption::Kind::Tcp,
                      std::string(command),
                      arguments.target(),
                      {},
                      0};
  read.text("name", tunnel.name);
  read.text("host", tunnel.host);
  read.number<std::uint16_t>("port", 0, 65535, tunnel.port);
  read.proxy_protocol("proxy-protocol", tunnel.proxy);
  if (read.failed()) return std::unexpected(*read.failed());
  tunnels.push_back(std::move(tunnel));
  return tunnels;
}

// Where to sign in, and with what: a token that was given, a server and a grant that were given, or the token that is kept.
Result<> find_token(const Arguments& arguments, const std::optional<TokenStore>& store, ClientOptions& options) {
  const auto join = arguments.value("join");
  if (join) {
    if (options.grant) return std::unexpected(wrong("--join and --grant are two ways to sign in; give one of them"));
    // What the environment says is there the next time too.
    options.keep_join = join->from.starts_with("--") && !arguments.value("no-save");
    if (join->text.empty()) return std::unexpected(wrong(join->from + " has no join token in it"));
    if (!join->text.starts_with('@')) {
      options.join = join->text;
      return {};
    }
    auto text = read_small_file(join->text.substr(1));
    if (!text) return std::unexpected(wrong(join->from + ": " + text.error().context));
    options.join = std::move(*text);
    return {};
  }
  if (options.grant) {
    if (options.servers.empty()) return std::unexpected(wrong("--grant needs --server HOST:PORT beside it"));
    return {};
  }
  if (store) {
    auto kept = store->load();
    if (!kept) return std::unexpected(std::move(kept.error()));
    if (*kept) {
      options.join = std::move(**kept);
      return {};
    }
  }
  // The rest is looked at first: a mistake in it should not be met only after a token was fetched.
  if (!options.servers.empty()) {
    options.no_token =
        "--server says where, and how to sign in is missing: give --grant and --secret-file beside it, or --join";
    return {};
  }
  std::string again = "ferrotunnel " + std::string(arguments.command().name);
  if (!arguments.target().empty()) again += " " + shown(arguments.target(), 80);
  options.no_token = "no join token yet. The server prints one when it starts (ferrotunnel server); then: " + again +
                     (arguments.command().name == "client" ? " … --join ft1_…" : " --join ft1_…");
  return {};
}

}  // namespace

Result<> read_size(const Arguments& arguments, std::string_view flag, std::optional<std::uint64_t>& into) {
  const auto value = arguments.value(flag);
  if (!value) return {};
  std::string_view digits = value->text;
  unsigned shift = 0;
  if (digits.ends_with('K') || digits.ends_with('k')) shift = 10;
  if (digits.ends_with('M') || digits.ends_with('m')) shift = 20;
  if (digits.ends_with('G') || digits.ends_with('g')) shift = 30;
  if (shift != 0) digits.remove_suffix(1);
  std::uint64_t number = 0;
  const auto [at, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (failed != std::errc() || at != digits.data() + digits.size() || number == 0 ||
      number > (std::uint64_t{1} << 40) >> shift)
    return std::unexpected(wrong(*value, "a size, such as 64M or 1G"));
  into = number << shift;
  return {};
}

Result<> read_seconds(const Arguments& arguments, std::string_view flag,
                      std::optional<std::chrono::milliseconds>& into) {
  constexpr double kMost = 24 * 3600;
  const auto value = arguments.value(flag);
  if (!value) return {};
  double number = 0;
  const char* end = value->text.data() + value->text.size();
  const auto [at, failed] = std::from_chars(value->text.data(), end, number, std::chars_format::fixed);
  if (failed != std::errc() || at != end || !(number >= 0) || number > kMost)
    return std::unexpected(wrong(*value, "a number of seconds, such as 10 or 0.5"));
  into = std::chrono::milliseconds(std::llround(number * 1000));
  return {};
}

Result<ServerOptions> server_options(const Arguments& arguments) {
  ServerOptions options;
  Reader read(arguments);
  read.run(options.run);
  read.text("listen", options.listen);
  read.text("http-listen", options.http_listen);
  if (options.http_listen == "off") options.http_listen.clear();
  read.text("tcp-listen-host", options.tcp_listen_host);
  read.texts("public-address", options.public_addresses);
  read.text("state", options.state);
  std::optional<bool> tls;
  read.on_off("tls", tls);
  options.tls = tls.value_or(true);
  read.files(options.certificate);
  read.text("tls-client-ca", options.client_ca);
  read.grant(options.grant);
  read.lists("trusted-proxies", options.trusted_proxies);
  constexpr unsigned kMostThreads = 1024;
  read.number("threads", 0u, kMostThreads, options.threads);
  if (!options.tls && (options.certificate || !options.client_ca.empty()))
    read.fail(wrong(
        "--tls off leaves nothing for --tls-cert, --tls-key or --tls-client-ca to do; leave one or the other out"));
  if (read.failed()) return std::unexpected(*read.failed());
  return options;
}

Result<ClientOptions> client_options(const Arguments& arguments, const std::optional<TokenStore>& store) {
  ClientOptions options;
  Reader read(arguments);
  read.run(options.run);
  read.texts("server", options.servers);
  read.grant(options.grant);
  read.on_off("tls", options.tls);
  read.text("tls-ca", options.tls_ca);
  read.files(options.certificate);
  read.toggle("fail-fast", options.fail_fast);
  std::chrono::milliseconds origin_timeout{-1};
  read.seconds("origin-timeout", origin_timeout);
  if (origin_timeout.count() >= 0) options.origin_timeout = origin_timeout;
  if (read.failed()) return std::unexpected(*read.failed());
  auto tunnels = tunnels_of(arguments);
  if (!tunnels) return std::unexpected(std::move(tunnels.error()));
  options.tunnels = std::move(*tunnels);
  if (auto found = find_token(arguments, store, options); !found) return std::unexpected(std::move(found.error()));
  return options;
}

}  // namespace ferrotunnel::cli
