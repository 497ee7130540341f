#include "plugin/chain.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "http/path.h"

namespace ferrotunnel::plugin {

void RequestView::set_path(std::string_view path) {
  std::string text(path);
  const std::size_t size = text.size();
  const bool asks = head.path_and_query.contains('?');
  if (asks) text.append("?").append(head.query);
  const std::string_view whole = scratch.keep(std::move(text));
  if (whole.empty()) return;  // too much: the request fails
  head.path_and_query = whole;
  head.path = whole.substr(0, size);
  head.query = asks ? whole.substr(size + 1) : std::string_view{};
}

bool Match::matches(const http::RequestHead& request, std::string_view path) const {
  const auto one = [&](const std::string& prefix) { return http::path_prefix(path, prefix).has_value(); };
  return (paths.empty() || std::ranges::any_of(paths, one)) && head.matches(request);
}

Chain::Chain(std::vector<Link> links) : links_(std::move(links)) {
  assert(links_.size() <= kMaxFilters);
  for (const Link& link : links_) {
    phases_.add(link.filter->phases());
    may_wait_ = may_wait_ || link.filter->may_wait();
    looks_at_paths_ = looks_at_paths_ || link.filter->looks_at_paths() || !link.match.paths.empty();
  }
}

ChainRun::ChainRun(ChainPtr chain) : chain_(std::move(chain)), slots_(chain_->links_.size()) {}

template <class Call>
void ChainRun::each(Phase phase, const Call& call) {
  if (!chain_->wants(phase)) return;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if ((applies_ >> i & 1) == 0) continue;
    const Filter& filter = *chain_->links_[i].filter;
    if (filter.phases().has(phase) && !call(filter, slots_[i])) return;
  }
}

Verdict ChainRun::on_request_head(RequestView& request) {
  applies_ = 0;
  const std::string_view path = request.asked.substr(0, request.asked.find('?'));
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (chain_->links_[i].match.matches(request.head, path)) applies_ |= std::uint64_t{1} << i;
  Verdict verdict = Verdict::Pass;
  each(Phase::RequestHead, [&](const Filter& filter, Slot& slot) {
    verdict = filter.on_request_head(request, slot);
    return verdict == Verdict::Pass && !request.scratch.over();
  });
  if (!request.scratch.over()) return verdict;
  request.reply = {};
  request.reply.status = 500;
  request.reply.slug = "rule-failed";
  request.reply.sentence = "The rules of this tunnel make more text of this request than 32 KiB.";
  static_assert(Scratch::kMost == 32 * 1024);
  return Verdict::Answer;
}

Verdict ChainRun::on_request_body(ConstBytes payload, Reply& reply) {
  Verdict verdict = Verdict::Pass;
  each(Phase::RequestBody, [&](const Filter& filter, Slot& slot) {
    verdict = filter.on_request_body(payload, slot, reply);
    return verdict == Verdict::Pass;
  });
  return verdict;
}

bool ChainRun::on_response_head(ResponseView& response) {
  each(Phase::ResponseHead, [&](const Filter& filter, Slot& slot) {
    filter.on_response_head(response, slot);
    return !response.scratch.over();
  });
  return !response.scratch.over();
}

void ChainRun::on_response_body(ConstBytes payload) {
  each(Phase::ResponseBody, [&](const Filter& filter, Slot& slot) {
    filter.on_response_body(payload, slot);
    return true;
  });
}

void ChainRun::on_log(const Summary& summary) {
  each(Phase::Log, [&](const Filter& filter, Slot& slot) {
    filter.on_log(summary, slot);
    return true;
  });
}

}  // namespace ferrotunnel::plugin
