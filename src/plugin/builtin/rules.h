// Rules as text, the way they cross the wire, and the chain that they make: where a mistake in a rule is found.
//
// In a chain filters stand by what they do, whatever the order of the rules: cors, basic_auth, max_body, then redirect and answer, then what
// changes the request (strip_prefix, add_prefix, host, request headers) and the response (its headers, compress). So nothing is ever answered, or sent on, before
// who asks is known. Two of one kind stand in the order of the rules. README.md has each rule and its settings. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "plugin/chain.h"
#include "plugin/worker.h"

namespace ferrotunnel::plugin {

inline constexpr std::size_t kMaxRules = Chain::kMaxFilters;
inline constexpr std::size_t kMaxRulesBytes = 32 * 1024;  // names, values and matches of all rules of a tunnel

struct RuleText {
  std::string name;                                           // "strip_prefix"
  std::vector<std::pair<std::string, std::string>> settings;  // a name may stand there more than once
  std::vector<std::string> paths;                             // which requests: prefixes; none: all
  std::vector<std::string> methods;
  std::vector<std::string> headers;  // "Name" or "Name: value"; all of them
};

// What filters use beside the request. A chain that is only checked needs none.
struct Tools {
  WorkerPtr worker;
  std::string grant{};       // whose tunnel's rules they are; who pays for the worker's time
  std::uint64_t tunnel = 0;  // make_chain() gives one, another for each chain
};

// Nothing (null) for no rules. Errors: BadInput, naming the rule.
[[nodiscard]] Result<ChainPtr> make_chain(std::span<const RuleText> rules, const Tools& tools);

}  // namespace ferrotunnel::plugin
