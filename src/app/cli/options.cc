#include "app/cli/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <iterator>

#include "app/cli/compat.h"
#include "app/cli/escape.h"

namespace ferrotunnel::cli {
namespace {

constexpr unsigned kMostThreads = 256;

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

bool parse_carry(std::string_view text, Carry& into) {
  if (text != "auto" && text != "mux" && text != "direct") return false;
  into = text == "mux" ? Carry::Mux : text == "direct" ? Carry::Direct : Carry::Auto;
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
  void carry(std::string_view flag, Carry& into) {
    const auto value = arguments_.value(flag);
    if (value && !parse_carry(value->text, into)) fail(wrong(*value, "auto, mux or direct"));
  }
  // Where it was given, in place of what was there.
  void replace_texts(std::string_view flag, std::vector<std::string>& into) {
    if (!arguments_.values(flag).empty()) into.clear();
    texts(flag, into);
  }
  void replace_lists(std::string_view flag, std::vector<std::string>& into) {
    if (!arguments_.values(flag).empty()) into.clear();
    lists(flag, into);
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

  void microseconds(std::string_view flag, std::chrono::microseconds& into) {
    constexpr std::uint32_t kMost = 1000;
    std::uint32_t given = static_cast<std::uint32_t>(into.count());
    number(flag, 0u, kMost, given);
    into = std::chrono::microseconds(given);
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
  void files(std::string& certificate, std::string& key) {
    pair("tls-cert", "tls-key", [&](const std::string& a, const std::string& b) {
      certificate = a;
      key = b;
    });
  }
  // Name and secret, of --grant and --secret-file or of --token; true: they were given.
  bool grant(std::string& name, std::string& secret) {
    bool given = false;
    pair("grant", "secret-file", [&](const std::string& of, const std::string& file) {
      auto text = read_small_file(file);
      if (!text) return fail(std::move(text.error()));
      name = of;
      secret = std::move(*text);
      given = true;
    });
    const auto token = arguments_.value("token");
    if (!token) return given;
    name = "default";
    secret = token->text;
    return true;
  }
  void limits(TunnelLimits& into) {
    constexpr std::uint32_t kMost = 0xffff'ffff;
    number("max-visitors", 0u, kMost, into.max_visitors);
    number("max-visitors-per-address", 0u, kMost, into.max_visitors_per_address);
    number("max-new-visitors-per-second", 0u, kMost, into.max_new_visitors_per_second);
    size("bandwidth", into.bandwidth);
    size("visitor-bandwidth", into.visitor_bandwidth);
    seconds("idle-timeout", into.idle_timeout);
    replace_lists("allow", into.allow);
    replace_lists("deny", into.deny);
  }

  // Of the command http.
  void rules(TunnelConfig& into) {
    texts("path", into.paths);
    text("client-ca", into.client_ca);
    if (arguments_.value("connect")) into.connect = true;
    texts("method", into.methods);
    texts("with-header", into.headers);
    proxy_protocol("proxy-protocol", into.proxy_protocol);
    const auto one = [&](std::string_view flag, TunnelRule (*make)(const std::string&)) {
      if (const auto value = arguments_.value(flag)) into.rules.push_back(make(value->text));
    };
    const auto all = [&](std::string_view flag, TunnelRule (*make)(const std::vector<std::string>&)) {
      std::vector<std::string> values;
      texts(flag, values);
      if (!values.empty()) into.rules.push_back(make(values));
    };
    all("basic-auth", [](const std::vector<std::string>& users) { return ferrotunnel::rules::basic_auth(users); });
    all("cors", [](const std::vector<std::string>& origins) { return ferrotunnel::rules::cors(origins); });
    std::size_t most = 0;
    size("max-body", most);
    if (most != 0) into.rules.push_back(ferrotunnel::rules::max_body(most));
    bool compress = false;
    toggle("compress", compress);
    if (compress) into.rules.push_back(ferrotunnel::rules::compress());
    one("strip-prefix", [](const std::string& prefix) { return ferrotunnel::rules::strip_prefix(prefix); });
    one("add-prefix", [](const std::string& prefix) { return ferrotunnel::rules::add_prefix(prefix); });
    one("host-rewrite", [](const std::string& host) { return ferrotunnel::rules::host(host); });
    all("header", [](const std::vector<std::string>& lines) { return ferrotunnel::rules::set_request_headers(lines); });
    all("response-header",
        [](const std::vector<std::string>& lines) { return ferrotunnel::rules::set_response_headers(lines); });
  }

  // `program` is what the file says.
  void run(const ProgramConfig& program, RunOptions& into) {
    choice("log-format", program.log_format, kLogFormats, into.log_format);
    choice("log-level", program.log_level, kLogLevels, into.log_level);
    into.drain_timeout = program.drain_timeout;
    seconds("drain-timeout", into.drain_timeout);
    into.watch = program.watch;
    toggle("watch", into.watch);
    if (into.watch && into.file.empty()) fail(wrong("--watch needs --config FILE beside it: that is what is watched"));
  }

  void fail(Error error) {
    if (!failed_) failed_ = std::move(error);
  }
  [[nodiscard]] const std::optional<Error>& failed() const { return failed_; }

 private:
  template <class T>
  struct Choice {
    std::string_view word;
    T value;
  };
  static constexpr std::array<Choice<LogFormat>, 3> kLogFormats{
      {{"auto", LogFormat::Auto}, {"human", LogFormat::Human}, {"json", LogFormat::Json}}};
  static constexpr std::array<Choice<LogLevel>, 4> kLogLevels{
      {{"error", LogLevel::Error}, {"warn", LogLevel::Warn}, {"info", LogLevel::Info}, {"debug", LogLevel::Debug}}};

  template <class T, std::size_t N>
  void choice(std::string_view flag, const std::string& otherwise, const std::array<Choice<T>, N>& choices, T& into) {
    const auto value = arguments_.value(flag);
    const auto found = std::ranges::find(choices, value ? std::string_view(value->text) : otherwise, &Choice<T>::word);
    if (found != choices.end()) {
      into = found->value;
    } else if (value) {
      std::string words;
      for (std::size_t i = 0; i < N; ++i)
        words.append(i == 0 ? "" : i + 1 == N ? " or " : ", ").append(choices[i].word);
      fail(wrong(*value, words));
    }
  }

  const Arguments& arguments_;
  std::optional<Error> failed_;
};

// The file of --config where there is one: every mistake in it on a line of its own.
template <class Config>
Result<> load_file(const Arguments& arguments,
                   ConfigResult<Config> (*load)(const std::string&, std::vector<std::string>*), Config& into,
                   std::string& file, std::vector<std::string>* files) {
  const auto given = arguments.value("config");
  if (!given) return {};
  auto loaded = load(given->text, files);
  if (!loaded) return std::unexpected(wrong(to_text(loaded.error())));
  into = std::move(*loaded);
  file = given->text;
  return {};
}

void watch_too(std::vector<std::string>& files, std::initializer_list<std::string_view> more) {
  for (const std::string_view one : more)
    if (!one.empty()) files.emplace_back(one);
}

// NAME=TARGET[,KEY=VALUE]..., where KEY is host (http), port, proxy (tcp) or carry.
Result<TunnelConfig> parse_tunnel(const Value& value, TunnelConfig::Kind kind) {
  const bool http = kind == TunnelConfig::Kind::Http;
  TunnelConfig tunnel;
  tunnel.kind = kind;
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
      if (!parse_proxy(said.text, tunnel.proxy_protocol)) return std::unexpected(wrong(said, "v1 or v2"));
    } else if (key == "carry" && http && said.text == "direct") {
      return std::unexpected(
          wrong(said.from + ": visitors of a web service share connections to the client; direct is for --tcp"));
    } else if (key == "carry") {
      if (!parse_carry(said.text, tunnel.carry)) return std::unexpected(wrong(said, "auto, mux or direct"));
    } else {
      break;
    }
    text = text.substr(0, at);
  }
  tunnel.to = text;
  return tunnel;
}

// Of the command client: those of the file, and those that were typed beside them or in place of one of the same name.
Result<> add_typed_tunnels(const Arguments& arguments, std::vector<TunnelConfig>& tunnels) {
  std::vector<TunnelConfig> typed;  // two of one name among them are the library's to refuse
  for (const bool http : {true, false}) {
    for (const Value& value : arguments.values(http ? "http" : "tcp")) {
      auto tunnel = parse_tunnel(value, http ? TunnelConfig::Kind::Http : TunnelConfig::Kind::Tcp);
      if (!tunnel) return std::unexpected(std::move(tunnel.error()));
      typed.push_back(std::move(*tunnel));
    }
  }
  std::erase_if(tunnels, [&](const TunnelConfig& one) {
    return std::ranges::find(typed, one.name, &TunnelConfig::name) != typed.end();
  });
  std::ranges::move(typed, std::back_inserter(tunnels));
  if (tunnels.empty())
    return std::unexpected(
        wrong("which service? Give at least one --http NAME=TARGET or --tcp NAME=TARGET, such as --http web=8080"));
  return {};
}

// Of the commands http and tcp: the one that was typed.
Result<TunnelConfig> typed_tunnel(const Arguments& arguments) {
  const std::string_view command = arguments.command().name;
  if (arguments.target().empty())
    return std::unexpected(wrong("which service? Give its port or address: ferrotunnel " + std::string(command) +
                                 (command == "http" ? " 8080" : " 22")));
  Reader read(arguments);
  TunnelConfig tunnel;
  tunnel.kind = command == "http" ? TunnelConfig::Kind::Http : TunnelConfig::Kind::Tcp;
  tunnel.name = command;
  tunnel.to = arguments.target();
  read.text("name", tunnel.name);
  read.text("host", tunnel.host);
  read.number<std::uint16_t>("port", 0, 65535, tunnel.port);
  read.proxy_protocol("proxy-protocol", tunnel.proxy_protocol);
  read.carry("carry", tunnel.carry);
  read.text("origin-tls-ca", tunnel.origin_tls.ca);
  read.text("origin-tls-server-name", tunnel.origin_tls.server_name);
  read.toggle("origin-tls-skip-verify", tunnel.origin_tls.skip_verify);
  read.text("origin-tls-cert", tunnel.origin_tls.certificate);
  read.text("origin-tls-key", tunnel.origin_tls.key);
  read.limits(tunnel.limits);
  if (tunnel.kind == TunnelConfig::Kind::Http) read.rules(tunnel);
  if (read.failed()) return std::unexpected(*read.failed());
  return tunnel;
}

// Where to sign in, and with what: a token that was given, a server and a grant that were given, or the token that is kept.
Result<> find_token(const Arguments& arguments, const std::optional<TokenStore>& store, bool granted,
                    ClientOptions& options) {
  ClientConfig& config = options.config;
  const auto join = arguments.value("join");
  if (join) {
    if (granted) return std::unexpected(wrong("--join and --grant are two ways to sign in; give one of them"));
    config.grant.clear();  // the file's
    config.secret.clear();
    // What the environment says is there the next time too.
    options.keep_join = join->from.starts_with("--") && !arguments.value("no-save");
    if (join->text.empty()) return std::unexpected(wrong(join->from + " has no join token in it"));
    if (!join->text.starts_with('@')) {
      config.join = join->text;
      return {};
    }
    auto text = read_small_file(join->text.substr(1));
    if (!text) return std::unexpected(wrong(join->from + ": " + text.error().context));
    config.join = std::move(*text);
    return {};
  }
  if (granted) {
    config.join.clear();  // the file's
    const auto token = arguments.value("token");
    if (config.servers.empty())
      return std::unexpected(
          wrong((token ? token->from : std::string("--grant")) + " needs --server HOST:PORT beside it"));
    return {};
  }
  if (!config.join.empty() || !config.secret.empty()) return {};  // the file's
  if (store) {
    auto kept = store->load();
    if (!kept) return std::unexpected(std::move(kept.error()));
    if (*kept) {
      config.join = std::move(**kept);
      return {};
    }
  }
  // The rest is looked at first: a mistake in it should not be met only after a token was fetched.
  if (!config.servers.empty()) {
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

Result<ServerOptions> server_options(const Arguments& arguments, std::vector<std::string>* files) {
  ServerOptions options;
  ServerConfig& config = options.config;
  if (auto loaded = load_file(arguments, &load_server_config, config, options.run.file, files); !loaded)
    return std::unexpected(std::move(loaded.error()));
  Reader read(arguments);
  read.run(config.program, options.run);
  read.text("listen", config.listen);
  read.text("http-listen", config.http_listen);
  if (config.http_listen == "off") config.http_listen.clear();
  read.text("https-listen", config.https_listen);
  if (config.https_listen == "off") config.https_listen.clear();
  read.pair("https-cert", "https-key", [&](const std::string& certificate, const std::string& key) {
    config.https_certificate = certificate;
    config.https_key = key;
  });
  read.text("certificates-dir", config.certificates_dir);
  read.toggle("https-redirect", config.https_redirect);
  read.text("tcp-listen-host", config.tcp_listen_host);
  read.replace_texts("public-address", config.public_addresses);
  read.text("domain", config.domain);
  read.text("state", config.state_dir);
  std::optional<bool> tls;
  read.on_off("tls", tls);
  config.tls = tls.value_or(config.tls);
  read.files(config.tls_certificate, config.tls_key);
  read.text("tls-client-ca", config.tls_client_ca);
  GrantOptions grant;
  grant.secrets.emplace_back();
  if (read.grant(grant.name, grant.secrets.front())) {
    if (const auto port = tcp_bind_port(arguments)) grant.ports = {std::to_string(*port)};
    std::erase_if(config.grants, [&](const GrantOptions& one) { return one.name == grant.name; });
    config.grants.push_back(std::move(grant));
  }
  read.replace_lists("trusted-proxies", config.trusted_proxies);
  read.number("threads", 0u, kMostThreads, config.threads);
  read.size("memory-limit", config.memory_limit);
  read.microseconds("busy-poll-us", config.busy_poll);
  read.number("max-visitors", 0u, 0xffff'ffffu, config.max_visitors);
  read.number("max-direct", 0u, 4096u, config.max_direct);
  read.seconds("host-lease", config.host_lease);
  read.seconds("tcp-keepalive", config.tcp_keepalive);
  if (!config.tls && !(config.tls_certificate.empty() && config.tls_client_ca.empty()))
    read.fail(wrong(
        "--tls off leaves nothing for --tls-cert, --tls-key or --tls-client-ca to do; leave one or the other out"));
  if (read.failed()) return std::unexpected(*read.failed());
  options.run.files = config.program.read_from;
  watch_too(options.run.files, {config.tls_certificate, config.tls_key, config.tls_client_ca});
  for (std::string& file : certificate_files(config)) options.run.files.push_back(std::move(file));
  if (files != nullptr) *files = options.run.files;
  return options;
}

Result<ClientOptions> client_options(const Arguments& arguments, const std::optional<TokenStore>& store,
                                     std::vector<std::string>* files) {
  ClientOptions options;
  ClientConfig& config = options.config;
  if (auto loaded = load_file(arguments, &load_client_config, config, options.run.file, files); !loaded)
    return std::unexpected(std::move(loaded.error()));
  Reader read(arguments);
  read.run(config.program, options.run);
  read.replace_texts("server", config.servers);
  const bool granted = read.grant(config.grant, config.secret);
  read.on_off("tls", config.tls);
  read.text("tls-ca", config.tls_ca);
  read.text("tls-server-name", config.tls_server_name);
  read.toggle("tls-skip-verify", config.tls_skip_verify);
  read.files(config.tls_certificate, config.tls_key);
  read.toggle("fail-fast", config.fail_fast);
  read.seconds("origin-timeout", config.origin_connect_timeout);
  read.number("threads", 0u, kMostThreads, config.threads);
  read.size("memory-limit", config.memory_limit);
  read.microseconds("busy-poll-us", config.busy_poll);
  read.text("control-socket", config.control_socket);
  options.default_socket = arguments.command().name == "client" && config.control_socket.empty();
  if (config.control_socket == "off") config.control_socket.clear();
  if (read.failed()) return std::unexpected(*read.failed());
  if (arguments.command().name == "client") {
    if (auto added = add_typed_tunnels(arguments, config.tunnels); !added)
      return std::unexpected(std::move(added.error()));
  } else {
    auto tunnel = typed_tunnel(arguments);
    if (!tunnel) return std::unexpected(std::move(tunnel.error()));
    config.tunnels = {std::move(*tunnel)};
  }
  if (auto found = find_token(arguments, store, granted, options); !found)
    return std::unexpected(std::move(found.error()));
  options.run.files = config.program.read_from;
  watch_too(options.run.files, {config.tls_ca, config.tls_certificate, config.tls_key});
  for (const TunnelConfig& tunnel : config.tunnels)
    watch_too(options.run.files, {tunnel.origin_tls.ca, tunnel.origin_tls.certificate, tunnel.origin_tls.key});
  if (files != nullptr) *files = options.run.files;
  return options;
}

}  // namespace ferrotunnel::cli
