// How requests begin on an HTTP/2 connection, and how those that are over are settled with the visitor.
#include "http/https_redirect.h"
#include "http/last_hop.h"
#include "ingress/http2/http2_connection.h"

namespace ferrotunnel::ingress {

namespace {
bool is_visitors(const Failure& failure) {
  return &failure == &failures::kVisitorStalled || &failure == &failures::kVisitorSlow;
}
}  // namespace

http::H2Stream* Http2Connection::on_request(const http::H2Request& request) {
  asked_ = true;
  rested_ = false;
  Placement place;
  if (request.refusal == nullptr) {
    place = place_request(context_, request.head, tls_.on ? &tls_ : nullptr, peer_, request.decoded > kAlwaysServed);
    if (place.shard) context_.host.on_move(*place.target);
    if (place.shard && may_move()) {
      move_to_ = *place.shard;
      server_->park();
      return nullptr;
    }
  }
  std::unique_ptr<Http2Exchange> lent = context_.take_http2_exchange();
  Http2Exchange& exchange = *lent;
  exchanges_.push_back(*lent.release());
  const std::string_view proto = tls_.on ? "https" : "http";
  if (request.refusal != nullptr) {
    exchange.begin(request, {}, {}, peer_, proto, *server_, *this);
    exchange.refuse(*request.refusal);
    return &exchange;
  }
  if (place.certificate != nullptr) exchange.shown(*place.certificate);
  const bool named = !request.head.host.empty();
  exchange.begin(request, named ? std::string_view(context_.host_name) : std::string_view{}, place.tunnel, peer_, proto,
                 *server_, *this);
  if (place.to_https) {
    redirect(exchange, request.head);
  } else if (place.own_options) {
    http::OwnOptions own;
    own.request_id = exchange.request_id().text();
    own.date = context_.date();
    own.keep_alive = true;
    exchange.answer_with(http::make_own_options(own));
  } else if (place.shard) {
    exchange.refuse(failures::kMisdirected);
  } else if (place.failure != nullptr) {
    exchange.refuse(*place.failure, place.refused);
  } else {
    ++context_.stats.requests;
    ++context_.stats.h2_requests;
    exchange.limit(std::move(place.admission));
    exchange.single_use(place.target->single_use);
    exchange.speak(place.target->speech);
    if (place.target->chain != nullptr) exchange.apply(place.target->chain, request.head);
    if (exchange.outcome() == Http2Exchange::Outcome::Running) exchange.connect(place.link);
  }
  return &exchange;
}

void Http2Connection::redirect(Http2Exchange& exchange, const http::RequestHead& head) {
  http::HttpsRedirect to;
  to.host = context_.host_name;
  to.port = context_.https.port;
  to.path_and_query = head.form == http::TargetForm::Asterisk ? std::string_view{} : head.path_and_query;
  to.request_id = exchange.request_id().text();
  to.date = context_.date();
  to.keep_alive = true;
  ++context_.stats.redirects;
  exchange.answer_with(http::make_https_redirect(to));
}

// Which has no exchange: nothing of it was understood.
void Http2Connection::on_malformed(std::int32_t, std::size_t decoded) {
  asked_ = true;
  const RequestId id = context_.next_id();
  RequestRecord record;
  record.request_id = id.text();
  record.bytes_in = decoded;
  record.slug = "malformed";
  record.side = http::FaultSide::Visitor;
  record.visitor = peer_;
  context_.host.on_request(record);
}

// With nothing under way, and nothing of it in a buffer of this shard.
bool Http2Connection::may_move() const {
  return exchanges_.empty() && !socket_.pending() && !noticed_ && !server_->ended();
}

void Http2Connection::settle() {
  while (!news_.empty()) {
    Http2Exchange& exchange = news_.front();
    news_.pop_front();
    settle(exchange);
  }
}

void Http2Connection::settle(Http2Exchange& exchange) {
  if (exchange.closed()) return finish(exchange);
  switch (exchange.outcome()) {
    case Http2Exchange::Outcome::Running:
    case Http2Exchange::Outcome::VisitorGone:
    case Http2Exchange::Outcome::Complete: return;  // until its stream is closed
    case Http2Exchange::Outcome::Deciding:
      exchange.decide();
      if (exchange.outcome() == Http2Exchange::Outcome::Running)
        exchange.connect(context_.links.find(exchange.tunnel().session));
      return;
    case Http2Exchange::Outcome::Answered: return exchange.reply();
    case Http2Exchange::Outcome::Failed: return answer(exchange);
    case Http2Exchange::Outcome::Retry: return exchange.connect(context_.links.find(exchange.tunnel().session));
    case Http2Exchange::Outcome::Cut:
      ++context_.stats.cut;
      return server_->reset(exchange.id(), is_visitors(exchange.failure()) ? http::H2Code::Cancel
                                           : exchange.connects()           ? http::H2Code::Connect
                                                                           : http::H2Code::Internal);
  }
}

void Http2Connection::answer(Http2Exchange& exchange) {
  const Failure& failure = exchange.failure();
  if (exchange.grpc()) {
    exchange.answer(exchange.grpc_answer(failure));
    ++context_.stats.errors;
    return;
  }
  const std::string sentence = sentence_of(failure, exchange.host());
  http::ErrorPage page = exchange.page(sentence);
  page.keep_alive = true;
  exchange.answer(http::make_error_response(page));
  ++context_.stats.errors;
}

void Http2Connection::finish(Http2Exchange& exchange) {
  server_->detach(exchange.id());
  if (exchange.upgraded()) --context_.stats.upgraded;
  exchange.tell(exchange.record());
  exchange.detail::ExchangeHook<detail::OfConnection>::unlink();
  context_.give_back(std::unique_ptr<Http2Exchange>(&exchange));
}

}  // namespace ferrotunnel::ingress
