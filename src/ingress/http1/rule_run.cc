#include "ingress/http1/rule_run.h"

#include <utility>

#include "http/error_page.h"
#include "http/forward.h"
#include "ingress/http1/failure.h"
#include "transport/network.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::ingress {

// From whatever thread, to the shard's.
class RuleRun::Resume final : public plugin::Waiter {
 public:
  Resume(transport::Shard& shard, std::shared_ptr<RuleRunOwner*> owner) : shard_(shard), owner_(std::move(owner)) {}
  void resume() override {
    shard_.post([owner = owner_] {
      if (*owner != nullptr) (*owner)->on_verdict();
    });
  }

 private:
  transport::Shard& shard_;
  const std::shared_ptr<RuleRunOwner*> owner_;
};

RuleRun::RuleRun(IngressContext& context, RuleRunOwner& owner, plugin::ChainPtr chain, const TunnelKey& tunnel,
                 const transport::PeerAddress& peer, std::string_view scheme)
    : run_(std::move(chain)),
      tunnel_(tunnel),
      id_(context.next_id()),
      visitor_(transport::to_string(peer)),
      scheme_(scheme),
      port_(peer.port),
      network_(transport::network_of(peer)),
      owner_(std::make_shared<RuleRunOwner*>(&owner)),
      waiter_(std::make_shared<Resume>(context.shard, owner_)) {}

RuleRun::~RuleRun() { *owner_ = nullptr; }

plugin::RequestInfo RuleRun::info() const { return {visitor_, port_, scheme_, host_, id_.text(), network_}; }

plugin::Verdict RuleRun::on_request_head(http::RequestHead& head, std::string_view host) {
  host_.assign(host);
  asked_path_.clear();
  scratch_.clear();
  reply_ = {};
  const plugin::RequestInfo about = info();
  plugin::RequestView view{about, head, head.path_and_query, {}, {}, scratch_, waiter_};
  const std::string_view asked = head.path;
  const plugin::Verdict verdict = run_.on_request_head(view);
  if (head.path.data() != asked.data()) asked_path_.assign(asked);
  reply_ = std::move(view.reply);
  host_for_origin_ = view.host;
  settled_ = std::move(head.settled);
  head.settled.clear();
  return verdict;
}

void RuleRun::count_reply(HttpIngressStats& stats) const {
  if (reply_.slug == "auth-busy") ++stats.auth_busy;
  if (reply_.slug == "auth-limit") ++stats.auth_limited;
}

void RuleRun::release_head() {
  scratch_.clear();
  reply_ = {};
  host_for_origin_ = {};
}

bool RuleRun::on_response_head(http::ResponseHead& head, bool may_transform,
                               std::unique_ptr<plugin::Transform>& transform) {
  scratch_.clear();
  const plugin::RequestInfo about = info();
  plugin::ResponseView view{about, head, scratch_, may_transform, nullptr};
  if (!run_.on_response_head(view)) return false;
  transform = std::move(view.transform);
  return true;
}

void RuleRun::on_log(const RequestRecord& record) {
  const plugin::RequestInfo about = info();
  run_.on_log({about, record.status, record.bytes_in, record.bytes_out, record.slug});
}

namespace {

// A page of this server's, for a reply that has a slug.
std::string make_page(const plugin::Reply& reply, const ReplyContext& context) {
  std::string more;
  for (const http::Field& field : reply.fields) more.append(field.name).append(": ").append(field.value).append("\r\n");
  Failure failure{reply.status, http::FaultSide::Visitor, reply.slug, reply.sentence, reply.retry_after};
  if (reply.status >= 500) failure.side = http::FaultSide::Server;
  const std::string sentence = sentence_of(failure, context.host);
  http::ErrorPage page = page_of(failure, sentence, context.host);
  page.request_id = context.request_id;
  page.accept = context.accept;
  page.asked_type = context.asked_type;
  page.head_request = context.head_request;
  page.keep_alive = context.keep_alive;
  page.visitor_minor = context.visitor_minor;
  page.more = more;
  page.hsts = context.hsts;
  page.date = context.date;
  page.templates = context.templates;
  return http::make_error_response(page);
}

}  // namespace

std::string make_reply(const plugin::Reply& reply, const ReplyContext& context) {
  if (!reply.slug.empty()) return make_page(reply, context);
  http::ResponseHead head;
  head.status = reply.status;
  head.reason = http::reason_phrase(reply.status);
  for (const http::Field& field : reply.fields) head.fields.add(field);
  constexpr std::string_view kHsts = "strict-transport-security";
  if (!context.hsts.empty() && head.fields.find(kHsts) == nullptr)
    head.fields.add("Strict-Transport-Security", context.hsts);
  const bool bodiless = reply.status == 204 || reply.status == 304;
  if (!bodiless && !reply.body.empty()) head.fields.add("Content-Type", reply.content_type);
  if (!bodiless) head.framing = http::Framing::of_length(reply.body.size());
  std::string out;
  // A HEAD request hears the length all the same: append_response_head() leaves it to the origin's own field.
  http::ResponseContext how{context.visitor_minor, context.keep_alive, false, context.request_id, {}, context.date};
  (void)http::append_response_head(out, head, how);
  if (!bodiless && !context.head_request) out.append(reply.body);
  return out;
}

}  // namespace ferrotunnel::ingress
