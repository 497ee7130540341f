// Chain: the filters of one tunnel, in the order in which they see a request; ChainRun: one request on its way through them.
//
// A chain is made once, immutable, and shared by all shards; a request holds on to the one it began with. Which filters apply to a request
// (Match) is decided once, on the head as the visitor sent it. Response phases run in the same order. Any thread; a run belongs to its
// request's shard.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "http/head_match.h"
#include "http/message.h"
#include "plugin/phases.h"

namespace ferrotunnel::plugin {

// Which requests a filter is for. Empty lists match all.
struct Match {
  std::vector<std::string> paths;  // prefixes in the one spelling (http/path.h)
  http::HeadMatch head{};

  [[nodiscard]] bool all() const { return paths.empty() && head.all(); }
  // `path` in the one spelling, without query.
  [[nodiscard]] bool matches(const http::RequestHead& request, std::string_view path) const;
};

class Chain {
 public:
  static constexpr std::size_t kMaxFilters = 64;  // one bit each

  struct Link {
    FilterPtr filter;
    Match match;
  };
  // At most kMaxFilters.
  explicit Chain(std::vector<Link> links);

  [[nodiscard]] bool wants(Phase phase) const { return phases_.has(phase); }
  [[nodiscard]] bool looks_at_paths() const { return looks_at_paths_; }
  [[nodiscard]] bool may_wait() const { return may_wait_; }
  [[nodiscard]] std::size_t size() const { return links_.size(); }

 private:
  friend class ChainRun;
  std::vector<Link> links_;
  Phases phases_;
  bool looks_at_paths_ = false;
  bool may_wait_ = false;
};
using ChainPtr = std::shared_ptr<const Chain>;

class ChainRun {
 public:
  explicit ChainRun(ChainPtr chain);

  [[nodiscard]] const ChainPtr& chain() const { return chain_; }
  [[nodiscard]] bool wants(Phase phase) const { return chain_->wants(phase); }

  // Answer, too, where the rules made more text than the scratch takes.
  [[nodiscard]] Verdict on_request_head(RequestView& request);
  [[nodiscard]] Verdict on_request_body(ConstBytes payload, Reply& reply);
  // False: the rules made more text than the scratch takes, and the head is none any more.
  [[nodiscard]] bool on_response_head(ResponseView& response);
  void on_response_body(ConstBytes payload);
  void on_log(const Summary& summary);

 private:
  template <class Call>
  void each(Phase phase, const Call& call);

  ChainPtr chain_;
  std::uint64_t applies_ = 0;  // bit i: to filter i
  std::vector<Slot> slots_;
};

}  // namespace ferrotunnel::plugin
