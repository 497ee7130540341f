#include "app/cli/run_administration.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/cli/console.h"
#include "app/cli/escape.h"
#include "app/cli/json_line.h"
#include "app/cli/options.h"
#include "app/cli/time_text.h"
#include "ferrotunnel/config.h"
#include "ferrotunnel/control.h"
#include "ferrotunnel/grants.h"

namespace ferrotunnel::cli {
namespace {

using SystemClock = std::chrono::system_clock;

Error wrong(std::string text) { return {ErrorCode::BadInput, Side::Local, false, std::move(text)}; }

std::string state_of(const Arguments& arguments) {
  const auto state = arguments.value("state");
  return state ? state->text : default_state_dir();
}

// "none" is nothing.
std::vector<std::string> list_of(std::string_view text) {
  return text == "none" ? std::vector<std::string>() : comma_list(text);
}

std::optional<int> number_of(std::string_view text, int most) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0 || number > most) return {};
  return number;
}

// "2027-01-31", or "30d", "12h", "90m" from now on.
Result<SystemClock::time_point> parse_expiry(const Arguments::Value& value) {
  const std::string_view text = value.text;
  const auto refuse = [&] {
    return std::unexpected(wrong(value.from + ": '" + shown(value.text, 80) +
                                 "' is neither a date such as 2027-01-31 nor a time from now such as 30d, 12h or 90m"));
  };
  if (text.size() == 10 && text[4] == '-' && text[7] == '-') {
    const auto year = number_of(text.substr(0, 4), 9999), month = number_of(text.substr(5, 2), 12),
               day = number_of(text.substr(8), 31);
    if (!year || !month || !day) return refuse();
    const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok()) return refuse();
    return std::chrono::sys_days(date);
  }
  if (text.empty()) return refuse();
  const auto count = number_of(text.substr(0, text.size() - 1), 100'000);
  if (!count || *count == 0) return refuse();
  switch (text.back()) {
    case 'd': return SystemClock::now() + std::chrono::days(*count);
    case 'h': return SystemClock::now() + std::chrono::hours(*count);
    case 'm': return SystemClock::now() + std::chrono::minutes(*count);
    default: return refuse();
  }
}

// ---- token --------------------------------------------------------------------------------------------------------

int token_new(const Arguments& arguments) {
  GrantOptions grant;
  const auto name = arguments.value("name");
  if (!name) return complain_of(wrong("a grant needs a name: ferrotunnel token new --name NAME"));
  grant.name = name->text;
  if (const auto hosts = arguments.value("hosts")) grant.hosts = list_of(hosts->text);
  if (const auto ports = arguments.value("ports")) grant.ports = list_of(ports->text);
  if (const auto expires = arguments.value("expires")) {
    const auto when = parse_expiry(*expires);
    if (!when) return complain_of(when.error());
    grant.expires = *when;
  }
  std::optional<std::uint64_t> bandwidth;
  if (auto read = read_size(arguments, "bandwidth", bandwidth); !read) return complain_of(read.error());
  grant.bandwidth = bandwidth.value_or(0);
  const auto token = make_grant(state_of(arguments), grant);
  return token ? print(*token + "\n") : complain_of(token.error());
}

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ",") + item;
  return text.empty() ? "none" : text;
}

std::string expiry_text(const GrantOptions& grant) {
  if (!grant.expires) return "never";
  return rfc3339(*grant.expires) + (*grant.expires <= SystemClock::now() ? " (over)" : "");
}

// Columns as wide as what is in them; the last as it comes.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - row[i].size() + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

int token_list(const Arguments& arguments) {
  const auto grants = stored_grants(state_of(arguments));
  if (!grants) return complain_of(grants.error());
  std::string out;
  if (arguments.value("json")) {
    for (const GrantOptions& grant : *grants) {
      JsonObject line;
      line.text("name", grant.name).text("hosts", joined(grant.hosts)).text("ports", joined(grant.ports));
      if (grant.expires) line.text("expires", rfc3339(*grant.expires));
      if (grant.bandwidth != 0) line.number("bandwidth", grant.bandwidth);
      out += line.finish() + "\n";
    }
    return print(out);
  }
  std::vector<std::vector<std::string>> rows{{"GRANT", "HOSTS", "PORTS", "EXPIRES"}};
  for (const GrantOptions& grant : *grants)
    rows.push_back({shown(grant.name), shown(joined(grant.hosts)), joined(grant.ports), expiry_text(grant)});
  return print(table(rows));
}

int token_show(const Arguments& arguments) {
  if (arguments.target().empty()) return complain_of(wrong("which grant? ferrotunnel token show NAME"));
  const auto token = grant_token(state_of(arguments), arguments.target());
  return token ? print(*token + "\n") : complain_of(token.error());
}

int token_revoke(const Arguments& arguments) {
  if (arguments.target().empty())
    return complain_of(wrong("which grant? ferrotunnel token revoke NAME (see ferrotunnel token list)"));
  const auto revoked = revoke_grant(state_of(arguments), arguments.target());
  return revoked ? kExitDone : complain_of(revoked.error());
}

// "denied 1, rate 2": those that are not 0.
std::string reasons_text(const RefusedVisitors& refused) {
  std::string text;
  const auto add = [&text](std::string_view name, std::uint64_t count) {
    if (count != 0) text.append(text.empty() ? "" : ", ").append(name).append(" ").append(std::to_string(count));
  };
  add("denied", refused.denied);
  add("tunnel limit", refused.tunnel_limit);
  add("address limit", refused.address_limit);
  add("rate", refused.rate);
  add("server limit", refused.server_limit);
  add("memory", refused.memory);
  return text;
}

// ---- a server that runs -------------------------------------------------------------------------------------------

// A client's control socket, where one is asked for.
Result<std::optional<std::string>> socket_of(const Arguments& arguments) {
  if (const auto socket = arguments.value("socket")) return socket->text;
  if (!arguments.value("client")) return std::nullopt;
  auto socket = default_client_socket();
  if (socket.empty())
    return std::unexpected(wrong("this user has no directory for sockets ($XDG_RUNTIME_DIR): name one with --socket"));
  return socket;
}

// Nobody answers at the socket of this user's: which others there may be.
Error client_missing(const Arguments& arguments, Error error) {
  if (error.code == ErrorCode::Unreachable && !arguments.value("socket"))
    error.context +=
        ". The commands http and tcp answer only where they are told: start them with --control-socket PATH, and ask "
        "with --socket PATH";
  return error;
}

// Who it is that is asked to do something; "": it does not say.
std::string asked_client(const std::string& socket) {
  const auto client = running_client(socket);
  return client ? name_of(*client) : std::string();
}

int client_status(const Arguments& arguments, const std::string& socket) {
  const auto client = running_client(socket);
  if (!client) return complain_of(client_missing(arguments, client.error()));
  if (arguments.value("json")) return print(client->json + "\n");
  const ClientStatus& now = client->status;
  std::string out =
      now.connected ? "connected to " + shown(now.address) + " as " + shown(now.session) + ", " + shown(now.transport)
                    : "not connected";
  if (now.rtt.count() > 0) out += ", " + duration_text(now.rtt);
  out += "   connections " + std::to_string(now.visitors_now) + ", " + std::to_string(now.visitors) + " in all   in " +
         amount_text(now.bytes_in) + "   out " + amount_text(now.bytes_out) + "\n";
  std::vector<std::vector<std::string>> rows{{"TUNNEL", "STATE", "TO", "ADDRESS"}};
  for (const ClientStatus::Tunnel& one : now.tunnels)
    rows.push_back({shown(one.name), one.up ? "up" : "down", shown(one.to), shown(one.public_url)});
  return print(out + "\n" + table(rows));
}

int status(const Arguments& arguments) {
  const auto socket = socket_of(arguments);
  if (!socket) return complain_of(socket.error());
  if (*socket) return client_status(arguments, **socket);
  const auto server = running_server(state_of(arguments));
  if (!server) return complain_of(server.error());
  if (arguments.value("json")) return print(server->json + "\n");
  const ServerStatus& now = server->status;
  std::string out = "up " + duration_text(now.up) + "   clients " + std::to_string(now.sessions.size()) +
                    "   tunnels " + std::to_string(now.tunnels.size()) + "   sign-ins " + std::to_string(now.sign_ins) +
                    ", refused " + std::to_string(now.sign_ins_refused) + (now.draining ? "   draining" : "") + "\n";
  out += "visitors " + std::to_string(now.visitors) +
         (now.max_visitors < UINT32_MAX ? " of " + std::to_string(now.max_visitors) : "") + "   refused " +
         std::to_string(now.refused.total());
  if (now.refused.total() != 0) out += " (" + reasons_text(now.refused) + ")";
  out += "   idle ended " + std::to_string(now.idle_ended) + "\n";
  if (!now.sessions.empty()) {
    std::vector<std::vector<std::string>> rows{
        {"CLIENT", "GRANT", "ADDRESS", "TRANSPORT", "RTT", "LINKS", "STREAMS", "DIRECT", "IN", "OUT", "UP"}};
    for (const SessionStatus& one : now.sessions) {
      rows.push_back({shown(one.id), shown(one.grant), shown(one.address), shown(one.transport),
                      one.rtt.count() > 0 ? duration_text(one.rtt) : "-", std::to_string(one.links),
                      std::to_string(one.streams), std::to_string(one.direct) + "+" + std::to_string(one.direct_warm),
                      amount_text(one.bytes_in), amount_text(one.bytes_out), duration_text(one.up)});
    }
    out += "\n" + table(rows);
  }
  if (!now.tunnels.empty()) {
    std::vector<std::vector<std::string>> rows{{"TUNNEL", "CLIENT", "NOW", "IN ALL", "REFUSED", "ADDRESS"}};
    for (const TunnelStatus& one : now.tunnels) {
      rows.push_back({shown(one.name), shown(one.session), std::to_string(one.visitors_now),
                      std::to_string(one.visitors), std::to_string(one.refused.total()), shown(one.url)});
    }
    out += "\n" + table(rows);
  }
  return print(out);
}

int kick(const Arguments& arguments) {
  if (arguments.target().empty())
    return complain_of(wrong("which client? ferrotunnel kick NAME (see ferrotunnel status)"));
  const auto kicked = kick_clients(state_of(arguments), arguments.target());
  if (!kicked) return complain_of(kicked.error());
  return print(std::to_string(*kicked) + (*kicked == 1 ? " session ended\n" : " sessions ended\n"));
}

int drain(const Arguments& arguments) {
  std::optional<std::chrono::milliseconds> patience;
  if (auto read = read_seconds(arguments, "drain-timeout", patience); !read) return complain_of(read.error());
  const auto socket = socket_of(arguments);
  if (!socket) return complain_of(socket.error());
  const std::string who = *socket ? asked_client(**socket) : std::string();
  const auto drained = *socket ? drain_client(**socket, patience) : drain_server(state_of(arguments), patience);
  return drained ? print(*socket ? (who.empty() ? "the client" : who) + " has ended\n" : "the server has ended\n")
                 : complain_of(*socket ? client_missing(arguments, drained.error()) : drained.error());
}

int reload(const Arguments& arguments) {
  const auto socket = socket_of(arguments);
  if (!socket) return complain_of(socket.error());
  const std::string who = *socket ? asked_client(**socket) : std::string();
  const auto reloaded = *socket ? reload_client(**socket) : reload_server(state_of(arguments));
  if (!reloaded) return complain_of(*socket ? client_missing(arguments, reloaded.error()) : reloaded.error());
  std::string out = "reloaded" + (who.empty() ? "" : ": " + who) + "\n";
  for (const std::string& key : reloaded->needs_restart) out += "after a restart only: " + shown(key) + "\n";
  return print(out);
}

// ---- files --------------------------------------------------------------------------------------------------------

// Of hashes that a visitor may have tried on one tunnel: how slow one is tells whose it is.
std::string cost_of(const std::string& user) {
  const std::size_t hash = user.find(':') + 1;  // 0: none, which is no user
  const std::size_t end = user.find('$', user.find('$', hash + 1) + 1);
  if (hash == 0 || end == std::string::npos) return {};
  const std::string cost = user.substr(hash, end - hash);
  return cost.starts_with("$2") ? "bcrypt " + cost.substr(cost.rfind('$') + 1) : "yescrypt " + cost;
}

std::string costs_that_differ(const TunnelConfig& tunnel) {
  std::set<std::string> costs;
  for (const TunnelRule& rule : tunnel.rules)
    for (const auto& [name, value] : rule.settings)
      if (rule.name == "basic_auth" && name == "user") costs.insert(cost_of(value));
  costs.erase("");
  if (costs.size() < 2) return {};
  std::string all;
  for (const std::string& one : costs) all += (all.empty() ? "" : ", ") + one;
  return "but: the passwords of tunnel " + shown(tunnel.name) + " differ in cost (" + all +
         "): how long a wrong one takes tells whether there is a user of that name\n";
}

int check(const Arguments& arguments) {
  if (arguments.value("schema")) return print(config_schema());
  const std::string& file = arguments.target();
  if (file.empty()) return complain_of(wrong("which file? ferrotunnel check FILE"));
  if (const auto failed = check_config(file)) return complain_of(wrong(to_text(*failed)));
  std::string out = shown(file, 400) + ": right\n";
  // What is allowed and hardly meant.
  if (const auto server = load_server_config(file)) {
    for (const GrantOptions& grant : server->grants)
      if (grant.expires && *grant.expires <= SystemClock::now())
        out += "but: the grant " + shown(grant.name) + " expired on " + rfc3339(*grant.expires) + "\n";
  } else if (const auto client = load_client_config(file)) {
    for (const TunnelConfig& tunnel : client->tunnels) out += costs_that_differ(tunnel);
  }
  return print(out);
}

}  // namespace

std::string name_of(const RunningClient& client) {
  std::string text = client.pid == 0 ? "the client" : "the client of process " + std::to_string(client.pid);
  for (const ClientStatus::Tunnel& one : client.status.tunnels)
    text += (&one == &client.status.tunnels.front() ? " (" : ", ") + shown(one.name);
  return text + (client.status.tunnels.empty() ? "" : ")");
}

std::optional<int> run_administration(const Arguments& arguments) {
  const std::string_view name = arguments.command().name;
  if (name == "token new") return token_new(arguments);
  if (name == "token list") return token_list(arguments);
  if (name == "token show") return token_show(arguments);
  if (name == "token revoke") return token_revoke(arguments);
  if (name == "status") return status(arguments);
  if (name == "kick") return kick(arguments);
  if (name == "drain") return drain(arguments);
  if (name == "reload") return reload(arguments);
  if (name == "check") return check(arguments);
  return {};
}

}  // namespace ferrotunnel::cli
