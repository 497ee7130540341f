// The rules of a tunnel, before anything of a request is sent on.
#include "ingress/http1/visitor_connection.h"

namespace ferrotunnel::ingress {

std::optional<VisitorConnection::Next> VisitorConnection::run_rules(Placement& place, std::size_t head_bytes) {
  if (rules_ == nullptr)
    rules_ = std::make_unique<RuleRun>(context_, static_cast<RuleRunOwner&>(*this), place.target->chain, place.tunnel,
                                       peer_, tls_ ? "https" : "http");
  switch (rules_->on_request_head(context_.request, context_.host_name)) {
    case plugin::Verdict::Pass: return std::nullopt;
    case plugin::Verdict::Answer: return reply(head_bytes, place.tunnel);
    case plugin::Verdict::Wait: break;
  }
  // What it holds now it may hold for long.
  if (socket_.input().size() > kAlwaysServed && context_.heads_full()) {
    rules_.reset();
    ++context_.stats.no_memory;
    return answer(failures::kServerMemory, head_bytes, true, place.tunnel, Refusal::Memory);
  }
  if (socket_.left()) return die();
  socket_.await_end();
  rules_->hold(std::move(place.admission));
  state_ = State::Deciding;
  return wait(Timer::Verdict);
}

void VisitorConnection::on_verdict() {
  if (state_ != State::Deciding) return;
  state_ = State::Reading;
  context_.shard.at_turn_end(*this);
}

VisitorConnection::Next VisitorConnection::reply(std::size_t head_bytes, const TunnelKey& tunnel) {
  const http::RequestHead& head = context_.request;
  const std::unique_ptr<RuleRun> rules = std::move(rules_);
  const plugin::Reply& given = rules->reply();
  ReplyContext context;
  context.request_id = rules->id().text();
  context.accept = head.fields.value(http::FieldId::Accept);
  context.asked_type = head.fields.value("content-type");
  context.host = context_.host_name;
  context.head_request = head.method == http::Method::Head;
  context.keep_alive = head.keep_alive && head.framing.empty() && !context_.draining;
  context.visitor_minor = head.minor;
  context.hsts = hsts();
  context.date = context_.date();
  context.templates = context_.pages.get();

  RequestRecord record = record_of(rules->id(), head_bytes);
  if (!rules->asked_path().empty()) record.path = rules->asked_path();
  record.status = given.status;
  record.slug = given.slug;
  record.side = given.status >= 500 ? http::FaultSide::Server : http::FaultSide::Visitor;
  record.session = tunnel.session;
  record.tunnel = tunnel.tunnel;
  record.visitor = peer_;
  if (!given.slug.empty()) ++context_.stats.errors;
  rules->count_reply(context_.stats);
  const Next next = told(make_reply(given, context), record, head_bytes, context.keep_alive);
  if (rules->wants(plugin::Phase::Log)) rules->on_log(record);
  return next;
}

}  // namespace ferrotunnel::ingress
