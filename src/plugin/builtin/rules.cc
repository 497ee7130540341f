#include "plugin/builtin/rules.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <iterator>

#include "http/chars.h"
#include "http/path.h"
#include "plugin/builtin/filters.h"

namespace ferrotunnel::plugin {
namespace {

struct Kind {
  std::string_view name;
  Result<FilterPtr> (*make)(Settings&, const Tools&);
};
// In the order of a chain.
constexpr std::array kKinds = {
    Kind{"cors", make_cors},
    Kind{"basic_auth", make_basic_auth},
    Kind{"max_body", make_max_body},
    Kind{"redirect", make_redirect},
    Kind{"answer", make_answer},
    Kind{"strip_prefix", make_strip_prefix},
    Kind{"add_prefix", make_add_prefix},
    Kind{"host", make_host},
    Kind{"request_headers", make_request_headers},
    Kind{"response_headers", make_response_headers},
    Kind{"compress", make_compress},
};

std::size_t bytes_of(const RuleText& rule) {
  std::size_t bytes = rule.name.size();
  for (const auto& [name, value] : rule.settings) bytes += name.size() + value.size();
  for (const auto* list : {&rule.paths, &rule.methods, &rule.headers})
    for (const std::string& one : *list) bytes += one.size();
  return bytes;
}

Result<Match> match_of(const RuleText& rule) {
  Match match;
  for (const std::string& path : rule.paths) {
    auto prefix = http::normalise_prefix(path);
    if (!prefix) return bad_rule("'" + path + "' is no path: write it as /api, without %2F, ';' and '?'");
    match.paths.push_back(std::move(*prefix));
  }
  auto head = http::HeadMatch::parse(rule.methods, rule.headers);
  if (!head) return std::unexpected(head.error());
  match.head = std::move(*head);
  return match;
}

Result<Chain::Link> link_of(const RuleText& rule, const Kind& kind, const Tools& tools) {
  auto match = match_of(rule);
  if (!match) return std::unexpected(match.error());
  Settings settings(rule);
  auto filter = kind.make(settings, tools);
  if (!filter) return std::unexpected(filter.error());
  if (auto taken = settings.all_taken(); !taken) return std::unexpected(taken.error());
  return Chain::Link{std::move(*filter), std::move(*match)};
}

// For a message: whatever a peer calls a rule.
std::string shown(std::string_view name) {
  std::string out;
  for (const char c : name.substr(0, 40)) out += http::is(c, http::kTokenByte) ? c : '?';
  return out;
}

}  // namespace

Result<ChainPtr> make_chain(std::span<const RuleText> rules, const Tools& tools) {
  if (rules.empty()) return nullptr;
  if (rules.size() > kMaxRules)
    return bad_rule("a tunnel has at most " + std::to_string(kMaxRules) + " rules, not " +
                    std::to_string(rules.size()));
  static std::atomic<std::uint64_t> last{0};
  Tools own = tools;
  own.tunnel = ++last;
  std::size_t bytes = 0;
  std::array<std::vector<Chain::Link>, kKinds.size()> links;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const RuleText& rule = rules[i];
    const auto named = [&](const std::string& why) {
      return bad_rule("rule " + std::to_string(i + 1) + " (" + shown(rule.name) + "): " + why);
    };
    bytes += bytes_of(rule);
    if (bytes > kMaxRulesBytes)
      return bad_rule("the rules of a tunnel have more than " + std::to_string(kMaxRulesBytes) + " bytes");
    const auto* kind = std::ranges::find(kKinds, rule.name, &Kind::name);
    if (kind == kKinds.end()) return named("there is no such rule here");
    auto link = link_of(rule, *kind, own);
    if (!link) return named(link.error().context);
    links[static_cast<std::size_t>(kind - kKinds.begin())].push_back(std::move(*link));
  }
  std::vector<Chain::Link> in_order;
  for (auto& of_kind : links) std::ranges::move(of_kind, std::back_inserter(in_order));
  return std::make_shared<const Chain>(std::move(in_order));
}

}  // namespace ferrotunnel::plugin
