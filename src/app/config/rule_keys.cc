// The keys of rules: [tunnels.NAME] and [[tunnels.NAME.rules]]. What a rule has to be is asked of those who run it: plugin/builtin.
#include <algorithm>
#include <array>

#include "app/client/plan.h"
#include "app/config/checks.h"
#include "app/config/errors.h"
#include "app/config/keys.h"
#include "app/rules.h"

namespace ferrotunnel::app::config {

TunnelRule& RuleDraft::of(std::string_view name) {
  const auto found = std::ranges::find(rules_, name, &TunnelRule::name);
  if (found != rules_.end()) return *found;
  return rules_.emplace_back(TunnelRule{std::string(name)});
}

// What is wrong is said without "rule 1 (…): ", since a place and a key are.
Result<> check_rule(const TunnelRule& rule) {
  auto wire = to_wire({rule}, "localhost");
  if (wire) return {};
  std::string& text = wire.error().context;
  if (const auto at = text.find(" ("); text.starts_with("rule 1 (")) text = text.substr(at + 2);
  if (const auto at = text.find("): "); at != std::string::npos) text.erase(at, 1);
  return std::unexpected(std::move(wire.error()));
}

namespace {

Result<> bad(std::string text) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(text)));
}
Result<> host(const std::string& text) {
  TunnelConfig probe;
  probe.name = "probe";
  probe.hosts = {text};
  return check_tunnel(probe);
}
Result<> path(const std::string& text) {
  TunnelConfig probe;
  probe.name = "probe";
  probe.paths = {"/", text};  // the first one is looked at with its host, too: not here
  return check_tunnel(probe);
}
Result<> route_method(const std::string& text) {
  TunnelConfig probe;
  probe.name = "probe";
  probe.methods = {text};
  return check_tunnel(probe);
}
Result<> route_header(const std::string& text) {
  TunnelConfig probe;
  probe.name = "probe";
  probe.headers = {text};
  return check_tunnel(probe);
}
// Of one key, which is named already: without the rule's name in front.
Result<> check_bare(const TunnelRule& rule) {
  auto checked = check_rule(rule);
  if (!checked && checked.error().context.starts_with(rule.name + ": "))
    checked.error().context.erase(0, rule.name.size() + 2);
  return checked;
}
Result<> request_line(const std::string& text) { return check_bare(rules::add_request_headers({text})); }
Result<> response_line(const std::string& text) { return check_bare(rules::add_response_headers({text})); }
Result<> cors_origin(const std::string& text) {
  return text.empty() ? bad("an origin is missing") : check_bare(rules::cors({text}));
}

Result<> coding(const std::string& text) {
  auto checked = check_bare(rules::compress({text}));
  if (checked) return checked;
  NearestName nearest(text);
  for (const std::string_view known : {"gzip", "zstd", "br"}) nearest.offer(known);
  if (!nearest.best().empty()) checked.error().context += "; did you mean \"" + std::string(nearest.best()) + "\"?";
  return checked;
}
void compress(Target& t, Read&& r) {
  if (r.flag || !r.texts.empty()) t.rules->of("compress").with("coding", r.texts);
}

template <auto Rule, auto Setting>
void put(Target& t, Read&& r) {
  TunnelRule& rule = t.rules->of(Rule());
  rule.with(Setting(), r.texts);
  rule.with(Setting(), std::move(r.text));
}
// Names as types: the rows' functions are plain pointers.
#define FT_PUT(rule, setting) put<[] { return std::string_view(rule); }, [] { return std::string(setting); }>

constexpr std::array kRouteKeys = {
    Key{.name = "hosts",
        .type = Type::Texts,
        .fallback = "none",
        .text = "More hosts of an HTTP tunnel, beside that of `url`; at most 64.",
        .example = "[\"www.example.com\", \"*.example.org\"]",
        .set = [](Target& t, Read&& r) { t.tunnel->config.hosts = std::move(r.texts); },
        .check = host},
    Key{.name = "paths",
        .type = Type::Texts,
        .fallback = "all",
        .text = "Of each host the requests below one of these paths, and no others; other tunnels may have the rest. "
                "The longest path wins. At most 64, of 1,024 bytes each; the first one with its host, as a URL, too.",
        .example = "[\"/api\"]",
        .flag = "path",
        .set = [](Target& t, Read&& r) { t.tunnel->config.paths = std::move(r.texts); },
        .check = path},
    Key{.name = "methods",
        .type = Type::Texts,
        .fallback = "all",
        .text = "Of these the requests with one of these methods, and no others; other tunnels may have the rest. At "
                "most 64.",
        .example = "[\"POST\", \"PUT\"]",
        .flag = "method",
        .set = [](Target& t, Read&& r) { t.tunnel->config.methods = std::move(r.texts); },
        .check = route_method},
    Key{.name = "headers",
        .type = Type::Texts,
        .fallback = "all",
        .text = "Of these the requests with all of these headers, `Name` or `Name: value`, and no others. Of tunnels "
                "of one host and path "
                "that which asks for most has the request. At most 64, and 4 KiB with the methods.",
        .example = "[\"X-Beta: yes\"]",
        .flag = "with-header",
        .set = [](Target& t, Read&& r) { t.tunnel->config.headers = std::move(r.texts); },
        .check = route_header},
    Key{.name = "client_ca",
        .type = Type::Path,
        .fallback = "none",
        .text = "Visitors come over TLS and show a certificate that one of these authorities (PEM, at most 16 KiB) "
                "signed; the service "
                "hears which in `X-Forwarded-Client-Cert`. The file is the client's, and the server gets the "
                "certificates in it, "
                "nothing else; it needs `https_listen`.",
        .example = "\"/etc/ferrotunnel/visitors-ca.pem\"",
        .flag = "client-ca",
        .set = [](Target& t, Read&& r) { t.tunnel->config.client_ca = std::move(r.text); },
        .files = FilesFor::VisitorAuthority},
    Key{.name = "connect",
        .type = Type::Bool,
        .fallback = "`false`",
        .text = "CONNECT to the tunnel's hosts is passed to the service, which is a proxy then; without it CONNECT is "
                "refused with 501.",
        .example = "true",
        .flag = "connect",
        .set = [](Target& t, Read&& r) { t.tunnel->config.connect = r.flag; }},
    Key{.name = "rules",
        .type = Type::Tables,
        .fallback = "none",
        .text = "Rules for a part of the requests: written as tables of their own: see [[tunnels.NAME.rules]] below.",
        .example = "[{ paths = [\"/old\"], redirect = \"/new\" }]",
        .set = [](Target&, Read&&) {}},
};

constexpr std::array kMatchKeys = {
    Key{.name = "paths",
        .type = Type::Texts,
        .fallback = "all",
        .text = "Requests below one of these paths; at most 64, of 1,024 bytes each.",
        .example = "[\"/admin\"]",
        .set = [](Target& t, Read&& r) { t.rules->paths = std::move(r.texts); },
        .check = path},
    Key{.name = "methods",
        .type = Type::Texts,
        .fallback = "all",
        .text = "Requests with one of these methods; at most 64.",
        .example = "[\"POST\", \"PUT\"]",
        .set = [](Target& t, Read&& r) { t.rules->methods = std::move(r.texts); }},
    Key{.name = "headers",
        .type = Type::Texts,
        .fallback = "all",
        .text = "Requests with all of these headers: `Name`, or `Name: value` for that value; at most 64, of 1,024 "
                "bytes each.",
        .example = "[\"X-Beta: yes\"]",
        .set = [](Target& t, Read&& r) { t.rules->headers = std::move(r.texts); }},
};

constexpr std::array kRuleKeys = {
    Key{.name = "strip_prefix",
        .fallback = "none",
        .text = "A prefix that the local service does not see: with `/api`, `/api/x` is `/x` there.",
        .example = "\"/api\"",
        .flag = "strip-prefix",
        .set = FT_PUT("strip_prefix", "prefix")},
    Key{.name = "add_prefix",
        .fallback = "none",
        .text = "What comes before the path at the local service, after `strip_prefix`.",
        .example = "\"/app\"",
        .flag = "add-prefix",
        .set = FT_PUT("add_prefix", "prefix")},
    Key{.name = "host_rewrite",
        .fallback = "the visitor's",
        .text = "The Host that the local service gets; `origin` is that of `to`. X-Forwarded-Host has the visitor's.",
        .example = "\"origin\"",
        .flag = "host-rewrite",
        .set = FT_PUT("host", "host")},
    Key{.name = "set_request_headers",
        .type = Type::Texts,
        .fallback = "none",
        .text = "Header lines in place of those that the visitor sent.",
        .example = "[\"X-Visitor: ${visitor.address}\"]",
        .flag = "header",
        .set = FT_PUT("request_headers", "set"),
        .check = request_line},
    Key{.name = "add_request_headers",
        .type = Type::Texts,
        .fallback = "none",
        .text = "Header lines beside those.",
        .example = "[\"X-Via-Tunnel: yes\"]",
        .set = FT_PUT("request_headers", "add"),
        .check = request_line},
    Key{.name = "remove_request_headers",
        .type = Type::Texts,
        .fallback = "none",
        .text = "Names of headers that the local service does not get.",
        .example = "[\"Cookie\"]",
        .set = FT_PUT("request_headers", "remove")},
    Key{.name = "set_response_headers",
        .type = Type::Texts,
        .fallback = "none",
        .text = "Header lines in place of those that the local service sent.",
        .example = "[\"X-Frame-Options: DENY\"]",
        .flag = "response-header",
        .set = FT_PUT("response_headers", "set"),
        .check = response_line},
    Key{.name = "add_response_headers",
        .type = Type::Texts,
        .fallback = "none",
        .text = "Header lines beside those.",
        .example = "[\"Link: </style.css>; rel=preload\"]",
        .set = FT_PUT("response_headers", "add"),
        .check = response_line},
    Key{.name = "remove_response_headers",
        .type = Type::Texts,
        .fallback = "none",
        .text = "Names of headers that visitors do not get.",
        .example = "[\"Server\"]",
        .set = FT_PUT("response_headers", "remove")},
    Key{.name = "compress",
        .type = Type::TextsOrTrue,
        .fallback = "`false`",
        .text =
            "Text that the local service sends plain goes to visitors in a coding that they take: of `zstd`, `br` and "
            "`gzip` those that are named here, the first liked best; `true`: these three. Not for pages that show a "
            "secret "
            "beside what a stranger may choose (BREACH).",
        .example = "[\"br\", \"gzip\"]",
        .flag = "compress",
        .set = compress,
        .check = coding},
    Key{.name = "compress_min",
        .type = Type::Size,
        .fallback = "`\"1K\"`",
        .text = "Bodies that say they are smaller go on as they are. Alone it means `compress = true`.",
        .example = "\"4K\"",
        .set = [](Target& t, Read&& r) { t.rules->of("compress").with("min", std::to_string(r.number)); },
        .most = std::uint64_t{1} << 40},
    Key{.name = "basic_auth",
        .type = Type::Texts,
        .fallback = "none",
        .text = "Users, `NAME:HASH`, one of whom a visitor has to be. The flag takes `NAME:PASSWORD` too.",
        .example = "[\"ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\"]",
        .flag = "basic-auth",
        .set = FT_PUT("basic_auth", "user"),
        .check = check_hashed_user},
    Key{.name = "basic_auth_realm",
        .fallback = "`\"tunnel\"`",
        .text = "What browsers show when they ask for the password.",
        .example = "\"staging\"",
        .set = FT_PUT("basic_auth", "realm")},
    Key{.name = "redirect",
        .fallback = "none",
        .text = "Where visitors are sent instead: a URL, or a path.",
        .example = "\"https://new.example.com${request.uri}\"",
        .set = FT_PUT("redirect", "to")},
    Key{.name = "redirect_status",
        .type = Type::Number,
        .fallback = "302",
        .text = "301, 302, 303, 307 or 308.",
        .example = "308",
        .set = [](Target& t, Read&& r) { t.rules->of("redirect").with("status", std::to_string(r.number)); },
        .least = 301,
        .most = 308},
    Key{.name = "answer",
        .fallback = "none",
        .text = "A body that every visitor gets; the local service is not asked.",
        .example = "\"Back at noon.\"",
        .set = FT_PUT("answer", "body")},
    Key{.name = "answer_status",
        .type = Type::Number,
        .fallback = "200",
        .text = "The status of `answer`; alone, an answer without a body. 204, 205 and 304 have none.",
        .example = "503",
        .set = [](Target& t, Read&& r) { t.rules->of("answer").with("status", std::to_string(r.number)); },
        .least = 200,
        .most = 599},
    Key{.name = "answer_type",
        .fallback = "`\"text/plain; charset=utf-8\"`",
        .text = "The Content-Type of `answer`.",
        .example = "\"text/html; charset=utf-8\"",
        .set = FT_PUT("answer", "type")},
    Key{.name = "max_body",
        .type = Type::Size,
        .fallback = "no limit",
        .text = "Requests with a larger body get 413, chunked ones once so much has come.",
        .example = "\"10M\"",
        .flag = "max-body",
        .set = [](Target& t, Read&& r) { t.rules->of("max_body").with("bytes", std::to_string(r.number)); },
        .most = std::uint64_t{1} << 40},
    Key{.name = "cors",
        .type = Type::Texts,
        .fallback = "none",
        .text = "Sites whose pages may ask this tunnel, as `https://HOST`; `*` for all. Preflights are answered by the "
                "server.",
        .example = "[\"https://app.example.com\"]",
        .flag = "cors",
        .set = FT_PUT("cors", "origin"),
        .check = cors_origin},
    Key{.name = "cors_methods",
        .type = Type::Texts,
        .fallback = "GET, HEAD, POST, PUT, PATCH, DELETE",
        .text = "Methods that they may use.",
        .example = "[\"GET\", \"POST\"]",
        .set = FT_PUT("cors", "method")},
    Key{.name = "cors_headers",
        .type = Type::Texts,
        .fallback = "those they ask for",
        .text = "Request headers that they may send.",
        .example = "[\"Content-Type\"]",
        .set = FT_PUT("cors", "header")},
    Key{.name = "cors_expose",
        .type = Type::Texts,
        .fallback = "none",
        .text = "Response headers that they may read.",
        .example = "[\"X-Total\"]",
        .set = FT_PUT("cors", "expose")},
    Key{.name = "cors_credentials",
        .type = Type::Bool,
        .fallback = "`false`",
        .text = "Whether they may send cookies. Not with `*`.",
        .example = "true",
        .set = [](Target& t, Read&& r) { t.rules->of("cors").with("credentials", r.flag ? "true" : "false"); }},
    Key{.name = "cors_max_age",
        .type = Type::Duration,
        .fallback = "the browser's",
        .text = "How long they may remember what they were told.",
        .example = "\"1h\"",
        .set = [](Target& t, Read&& r) { t.rules->of("cors").with("max_age", std::to_string(r.time.count() / 1000)); },
        .most = 86'400'000},
};
#undef FT_PUT

}  // namespace

std::span<const Key> route_keys() { return kRouteKeys; }
std::span<const Key> rule_keys() { return kRuleKeys; }
std::span<const Key> match_keys() { return kMatchKeys; }

}  // namespace ferrotunnel::app::config
