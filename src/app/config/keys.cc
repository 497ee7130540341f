#include "app/config/keys.h"

#include <algorithm>
#include <array>
#include <limits>

#include "transport/tcp/ip_set.h"

namespace ferrotunnel::app::config {
namespace {

constexpr std::uint64_t kMostCount = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kMostRate = std::uint64_t{1} << 40;
constexpr std::uint64_t kMostIdle = 30ull * 24 * 3'600'000;

Result<> network(const std::string& text) {
  auto set = transport::IpSet::parse(std::span(&text, 1));
  if (!set) return std::unexpected(std::move(set.error()));
  return {};
}

constexpr std::array kLimitKeys = {
    Key{.name = "max_visitors",
        .type = Type::Number,
        .fallback = "0: no limit",
        .text = "Visitors of a tunnel at once: connections of a TCP tunnel, requests of an HTTP one.",
        .example = "500",
        .flag = "max-visitors",
        .set = [](Target& t, Read&& r) { t.limits->max_visitors = static_cast<std::uint32_t>(r.number); },
        .most = kMostCount},
    Key{.name = "max_visitors_per_address",
        .type = Type::Number,
        .fallback = "0: no limit",
        .text = "Of those, from one address (of IPv6: from one /64).",
        .example = "20",
        .flag = "max-visitors-per-address",
        .set = [](Target& t, Read&& r) { t.limits->max_visitors_per_address = static_cast<std::uint32_t>(r.number); },
        .most = kMostCount},
    Key{.name = "max_new_visitors_per_second",
        .type = Type::Number,
        .fallback = "0: no limit",
        .text = "How many may come in a second, and in one burst.",
        .example = "100",
        .flag = "max-new-visitors-per-second",
        .set = [](Target& t,
                  Read&& r) { t.limits->max_new_visitors_per_second = static_cast<std::uint32_t>(r.number); },
        .most = kMostCount},
    Key{.name = "bandwidth",
        .type = Type::Size,
        .fallback = "0: no limit",
        .text = "Bytes a second, each way, of all visitors of a tunnel together.",
        .example = "\"10M\"",
        .flag = "bandwidth",
        .set = [](Target& t, Read&& r) { t.limits->bandwidth = r.number; },
        .most = kMostRate},
    Key{.name = "visitor_bandwidth",
        .type = Type::Size,
        .fallback = "0: no limit",
        .text = "Bytes a second, each way, of one visitor.",
        .example = "\"1M\"",
        .flag = "visitor-bandwidth",
        .set = [](Target& t, Read&& r) { t.limits->visitor_bandwidth = r.number; },
        .most = kMostRate},
    Key{.name = "idle_timeout",
        .type = Type::Duration,
        .fallback = "0: never",
        .text = "A visitor's connection without a byte either way ends after this. TCP tunnels.",
        .example = "\"10m\"",
        .flag = "idle-timeout",
        .set = [](Target& t, Read&& r) { t.limits->idle_timeout = r.time; },
        .most = kMostIdle},
    Key{.name = "allow",
        .type = Type::Texts,
        .fallback = "everybody",
        .text = "Networks that visitors may come from; whoever is in none of them is refused.",
        .example = "[\"192.0.2.0/24\", \"2001:db8::/32\"]",
        .flag = "allow",
        .set = [](Target& t, Read&& r) { t.limits->allow = std::move(r.texts); },
        .check = network},
    Key{.name = "deny",
        .type = Type::Texts,
        .fallback = "nobody",
        .text = "Networks whose visitors are refused, also where `allow` has them.",
        .example = "[\"198.51.100.7\"]",
        .flag = "deny",
        .set = [](Target& t, Read&& r) { t.limits->deny = std::move(r.texts); },
        .check = network},
};

constexpr std::array kLogKeys = {
    Key{.name = "format",
        .type = Type::Choice,
        .fallback = "`\"auto\"`",
        .text =
            "`human`: lines for a person. `json`: one JSON object a line. `auto`: human on a terminal, json elsewhere.",
        .example = "\"json\"",
        .flag = "log-format",
        .set = [](Target& t, Read&& r) { t.program->log_format = std::move(r.text); },
        .choices = "auto human json"},
    Key{.name = "level",
        .type = Type::Choice,
        .fallback = "`\"info\"`",
        .text = "The least important kind of line to print.",
        .example = "\"warn\"",
        .flag = "log-level",
        .set = [](Target& t, Read&& r) { t.program->log_level = std::move(r.text); },
        .choices = "error warn info debug"},
};

std::vector<Section> make_sections() {
  return {
      {"server", false, FileKind::Server, false, "The server itself.", {server_keys()}},
      {"limits",
       false,
       FileKind::Server,
       false,
       "What no tunnel of this server exceeds, whatever its client asks for: of two limits the lower one holds. Of "
       "`allow`, a visitor has to be in both; of `deny`, in neither.",
       {limit_keys()}},
      {"certificates",
       true,
       FileKind::Server,
       false,
       "A certificate of the HTTPS port, for visitors who ask for a name of its subjectAltNames: that name, or one "
       "label in "
       "place of the `*`. Two may have a name in common if their keys are of different kinds (RSA and ECDSA). Files "
       "are "
       "read anew by a reload; connections that are there go on.",
       {certificate_keys()}},
      {"grants",
       true,
       FileKind::Server,
       false,
       "Who may sign in, and what for. NAME is 1 to 64 of `A-Z a-z 0-9 . _ -`. The limits count all sessions of the "
       "grant together. Grants that `ferrotunnel token new` made are kept in the state directory, and count beside "
       "these.",
       {grant_keys()}},
      {"client", false, FileKind::Client, false, "Where to sign in, and with what.", {client_keys()}},
      {"tunnels",
       true,
       FileKind::Client,
       false,
       "One service to share. NAME is 1 to 64 of `A-Z a-z 0-9 . _ -`. The limits are what the client asks for; the "
       "server may allow less. The rules, from `strip_prefix` on, are those of HTTP tunnels and hold for all requests "
       "of "
       "the tunnel: see [Rules](#rules).",
       {tunnel_keys(), limit_keys(), route_keys(), rule_keys()}},
      {"rules",
       false,
       FileKind::Client,
       false,
       "Rules of a tunnel for a part of its requests; as many such tables as there are parts. What they have in common "
       "with [tunnels.NAME] means the same there.",
       {match_keys(), rule_keys()},
       "tunnels"},
      {"log", false, FileKind::Server, true, "What the program prints.", {log_keys()}},
  };
}

}  // namespace

std::span<const Key> limit_keys() { return kLimitKeys; }
std::span<const Key> log_keys() { return kLogKeys; }

const Key* Section::find(std::string_view key) const {
  for (const std::span<const Key> rows : keys) {
    const auto at = std::ranges::find(rows, key, &Key::name);
    if (at != rows.end()) return &*at;
  }
  return nullptr;
}

std::span<const Section> sections() {
  static const std::vector<Section> all = make_sections();
  return all;
}

const Section* find_section(std::string_view name) {
  const auto at = std::ranges::find(sections(), name, &Section::name);
  return at == sections().end() ? nullptr : &*at;
}

std::vector<std::string_view> words(std::string_view choices) {
  std::vector<std::string_view> all;
  while (!choices.empty()) {
    const auto end = std::min(choices.find(' '), choices.size());
    all.push_back(choices.substr(0, end));
    choices.remove_prefix(std::min(end + 1, choices.size()));
  }
  return all;
}

}  // namespace ferrotunnel::app::config
