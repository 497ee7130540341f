#include "app/cli/compat.h"

#include <array>
#include <charconv>
#include <cstdlib>

#include "app/cli/escape.h"
#include "app/cli/token_store.h"

namespace ferrotunnel::cli {
namespace {

using Value = Arguments::Value;

// What a flag of theirs is here.
struct Meaning {
  std::string_view command, theirs;
  std::string_view ours;  // empty: nothing to be done yet, and that is said
};
constexpr std::array kMeanings = {
    Meaning{"server", "bind", "listen"},
    Meaning{"server", "http-bind", "http-listen"},
    Meaning{"server", "tls-ca", "tls-client-ca"},
    Meaning{"server", "metrics-bind", ""},
    Meaning{"server", "metrics", ""},
    Meaning{"server", "observability", ""},
    Meaning{"client", "dashboard-port", ""},
    Meaning{"client", "no-dashboard", ""},
    Meaning{"client", "metrics", ""},
    Meaning{"client", "observability", ""},
};
constexpr std::string_view kLocalAddress = "127.0.0.1:8000";  // theirs, where none is given
constexpr std::string_view kJoinPrefix = "ft1_";
constexpr std::size_t kShortestSecret = 16, kLongestSecret = 64;

Error wrong(std::string text) { return {ErrorCode::BadInput, Side::Local, false, std::move(text)}; }

bool typed(const Value& value) { return value.from.starts_with("--"); }

Result<> rename(Arguments& arguments, std::string_view theirs, std::string_view ours) {
  const auto value = arguments.value(theirs);
  if (!value) return {};
  const auto other = arguments.value(ours);
  if (other && typed(*other) && typed(*value))
    return std::unexpected(wrong(value->from + " and " + other->from + " are two names of one flag; give one of them"));
  if (!other || (typed(*value) && !typed(*other))) arguments.put(ours, {*value});
  return {};
}

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
std::optional<HostPort> host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  HostPort parts;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  parts.host = host;
  const std::string_view digits = text.substr(colon + 1);
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), parts.port);
  if (failed != std::errc() || end != digits.data() + digits.size() || host.empty()) return std::nullopt;
  return parts;
}

// Theirs is one port that leads to whichever client there is; here a port belongs to the client that asks for it.
Result<> translate_tcp_bind(Arguments& arguments, std::vector<std::string>& notes) {
  const auto bind = arguments.value("tcp-bind");
  if (!bind) return {};
  const auto parts = host_port(bind->text);
  if (!parts)
    return std::unexpected(
        wrong(bind->from + ": '" + shown(bind->text, 80) + "' is not IP:PORT, such as 0.0.0.0:2222"));
  if (!arguments.value("tcp-listen-host")) arguments.put("tcp-listen-host", {{parts->host, bind->from}});
  const std::string port = std::to_string(parts->port);
  notes.push_back(bind->from +
                  ": TCP visitors reach the client that asks for the port; start it with --tcp NAME=TARGET" +
                  (parts->port == 0 ? "" : ",port=" + port));
  return {};
}

// true and false, as their variables have it.
void translate_switch(Arguments& arguments) {
  const auto tls = arguments.value("tls");
  if (!tls || typed(*tls)) return;
  if (tls->text == "true" || tls->text == "1" || tls->text == "yes") arguments.put("tls", {{"on", tls->from}});
  if (tls->text == "false" || tls->text == "0" || tls->text == "no") arguments.put("tls", {{"off", tls->from}});
}

std::string_view our_level(std::string_view theirs) {
  if (theirs == "trace") return "debug";
  if (theirs == "off") return "error";
  return theirs;
}

void translate_level(Arguments& arguments, bool used) {
  if (const auto level = arguments.value("log-level")) {
    if (our_level(level->text) != level->text)
      arguments.put("log-level", {{std::string(our_level(level->text)), level->from}});
    return;
  }
  // Elsewhere it is somebody else's variable.
  const char* text = used ? std::getenv("RUST_LOG") : nullptr;
  if (text == nullptr) return;
  if (auto level = level_of_rust_log(text)) arguments.put("log-level", {{std::move(*level), "RUST_LOG"}});
}

// --token, or what is in --token-file.
Result<std::optional<Value>> given_token(const Arguments& arguments) {
  auto token = arguments.value("token");
  const auto file = arguments.value("token-file");
  if (token && file && typed(*token) == typed(*file))
    return std::unexpected(wrong(token->from + " and " + file->from + " are two ways to give the token; give one"));
  if (!file || (token && typed(*token))) return token;
  auto text = read_small_file(file->text);
  if (!text) return std::unexpected(wrong(file->from + ": " + text.error().context));
  return Value{std::move(*text), file->from};
}

// Their client has one service, and a default for that.
void translate_tunnel(Arguments& arguments) {
  const auto local = arguments.value("local-addr"), id = arguments.value("tunnel-id");
  auto tunnels = arguments.values("http");
  const bool others = !tunnels.empty() || !arguments.values("tcp").empty() || arguments.value("config");
  const bool bare =
      arguments.value("token") || (arguments.value("server") && !arguments.value("join") && !arguments.value("grant"));
  const bool asked = (local && typed(*local)) || (id && typed(*id));
  if (others ? !asked : !(local || id || bare)) return;
  std::string text = "http=" + (local ? local->text : std::string(kLocalAddress));
  if (id) text += ",host=" + id->text;
  const std::string from = local ? local->from : id ? id->from : "--local-addr";
  tunnels.push_back({std::move(text), from});
  arguments.put("http", std::move(tunnels));
}

bool any_of_theirs(const Arguments& arguments) {
  for (const FlagGroup& group : arguments.command().groups)
    if (group.title == kCompatibilityTitle)
      for (const Flag& flag : group.flags)
        if (arguments.value(flag.name)) return true;
  return false;
}

}  // namespace

std::vector<std::string> with_bare_tls(const Command& command, std::vector<std::string> words) {
  if (find_flag(command, "tls") == nullptr) return words;
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i] != "--tls") continue;
    if (i + 1 == words.size() || words[i + 1].starts_with("--"))
      words.insert(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, "on");
  }
  return words;
}

std::optional<std::uint16_t> tcp_bind_port(const Arguments& arguments) {
  const auto bind = arguments.value("tcp-bind");
  const auto parts = bind ? host_port(bind->text) : std::nullopt;
  return parts && parts->port != 0 ? std::optional(parts->port) : std::nullopt;
}

std::optional<std::string> level_of_rust_log(std::string_view text) {
  // "info,ferrotunnel=debug,hyper=off": a level for all, and levels for parts.
  std::optional<std::string> all, ours;
  for (const std::string& item : comma_list(text)) {
    const std::size_t equals = item.find('=');
    const std::string_view level = our_level(std::string_view(item).substr(equals == item.npos ? 0 : equals + 1));
    if (level != "error" && level != "warn" && level != "info" && level != "debug") continue;
    if (equals == item.npos)
      all = level;
    else if (item.starts_with("ferrotunnel"))
      ours = level;
  }
  return ours ? ours : all;
}

Result<> use_token(Arguments& arguments, Value token) {
  const bool server = arguments.command().name == "server";
  const bool join = token.text.starts_with(kJoinPrefix);
  if (server && join)
    return std::unexpected(wrong(token.from + ": a join token is for clients; at a server it is the secret alone"));
  for (const std::string_view other : {"join", "grant"}) {
    const auto value = arguments.value(other);
    if (!value) continue;
    if (typed(*value) && !typed(token)) {
      arguments.drop("token");
      return {};
    }
    if (typed(*value) == typed(token))
      return std::unexpected(wrong(token.from + " and " + value->from + " are two ways to sign in; give one of them"));
    arguments.drop(other);
    if (other == "grant") arguments.drop("secret-file");
  }
  if (join) {
    arguments.drop("token");
    arguments.put("join", {std::move(token)});
    return {};
  }
  if (token.text.size() < kShortestSecret || token.text.size() > kLongestSecret)
    return std::unexpected(
        wrong(token.from + ": this token has " + std::to_string(token.text.size()) +
              " bytes; it has to have 16 to 64, as one that can be guessed would let strangers in. Make one: "
              "openssl rand -hex 16"));
  arguments.put("token", {token});
  if (arguments.value("tls")) return {};
  bool tls = arguments.value("tls-cert") || arguments.value("tls-client-ca");
  for (const std::string_view flag : {"tls-ca", "tls-skip-verify", "tls-server-name"})
    tls = tls || (!server && arguments.value(flag));
  arguments.put("tls", {{tls ? "on" : "off", token.from}});
  return {};
}

Result<std::vector<std::string>> translate(Arguments& arguments) {
  std::vector<std::string> notes;
  const std::string_view command = arguments.command().name;
  if (find_flag(arguments.command(), "token") == nullptr) return notes;
  std::string idle;
  for (const Meaning& meaning : kMeanings) {
    if (meaning.command != command) continue;
    if (!meaning.ours.empty()) {
      if (auto renamed = rename(arguments, meaning.theirs, meaning.ours); !renamed)
        return std::unexpected(renamed.error());
    } else if (const auto value = arguments.value(meaning.theirs)) {
      idle += (idle.empty() ? "" : ", ") + value->from;
    }
  }
  if (!idle.empty()) notes.push_back("accepted, and without effect in this version: " + idle);
  if (const auto needed = arguments.value("tls-client-auth"); needed && !arguments.value("tls-client-ca"))
    return std::unexpected(
        wrong(needed->from + " needs --tls-ca FILE beside it: the CA that client certificates are signed by"));
  if (auto bound = translate_tcp_bind(arguments, notes); !bound) return std::unexpected(bound.error());
  translate_switch(arguments);

  const bool said_tls = arguments.value("tls").has_value();
  const auto token = given_token(arguments);
  if (!token) return std::unexpected(token.error());
  if (*token) {
    if (auto used = use_token(arguments, **token); !used) return std::unexpected(used.error());
  }
  translate_level(arguments, *token || any_of_theirs(arguments));
  if (command == "client") translate_tunnel(arguments);
  const auto tls = arguments.value("tls");
  if (command == "server" && *token && !said_tls && tls && tls->text == "off")
    notes.push_back("without --tls-cert, clients of " + (*token)->from +
                    " sign in over plain TCP: who is on the way can read and change what passes. --tls on uses the "
                    "server's own key, which join tokens carry");
  return notes;
}

}  // namespace ferrotunnel::cli
