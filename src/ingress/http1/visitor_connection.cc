#include "ingress/http1/visitor_connection.h"

#include <algorithm>

#include "http/h2/h2_server.h"
#include "http/h2/h2_upgrade.h"
#include "ingress/http2/http2_connection.h"

namespace ferrotunnel::ingress {

using Read = VisitorSocket::Read;

namespace {

// One line without "HTTP/" and nothing else: whoever sends that, a wrong preface of HTTP/2 for one, does not read pages of HTTP/1.
bool names_no_version(std::string_view head) {
  const std::size_t end = head.find("\r\n");
  return end != std::string_view::npos && end != 0 && head.substr(end).starts_with("\r\n\r\n") &&
         !head.substr(0, end).contains("HTTP/");
}

// What is kept of an answer that is over is as much a thing to be read as one under way: so much in each stall_timeout.
std::uint64_t least_of_last(const HttpIngressOptions& options) {
  return std::max<std::uint64_t>(1, options.least_in(options.stall_timeout));
}

}  // namespace

VisitorConnection::VisitorConnection(IngressContext& context, VisitorOwner& owner, transport::ByteStreamPtr stream,
                                     const transport::PeerAddress& peer, VisitorSlot slot, const VisitorTls& tls)
    : SpareVisitor(context.spares, peer),
      context_(context),
      owner_(owner),
      socket_(context.shard, std::move(stream), *this),
      peer_(peer),
      slot_(std::move(slot)),
      tls_(tls.on ? std::make_unique<const VisitorTls>(tls) : nullptr) {}

VisitorConnection::~VisitorConnection() {
  if (state_ == State::Relaying) --context_.stats.upgraded;
  charge_head(0);
}

Result<> VisitorConnection::start(std::string_view early_bytes) {
  if (auto watched = socket_.watch(); !watched) return watched;
  socket_.preload(early_bytes);
  (void)wait(Timer::FirstByte);
  // The poller reports what the socket holds; nobody else does what came along, or what TLS has read already.
  if (!early_bytes.empty() || socket_.readable()) context_.shard.at_turn_end(*this);
  return {};
}

bool VisitorConnection::idle() const {
  return state_ == State::Reading && socket_.input().empty() && !socket_.readable() && !socket_.pending();
}

void VisitorConnection::drain(bool fresh) {
  if (!idle() || (!asked_ && !fresh)) return;
  // A request may be on its way: an RST would tell its sender less than a FIN.
  (void)close(true);
  step();
}

bool VisitorConnection::end_spare() {
  if (state_ == State::Exchanging) {
    // Once the answer has begun, a write tells whether he is there.
    if (!left_ || exchange_->over() || exchange_->record().status != 0) return false;
    exchange_->on_visitor_failed();
    step();
    return true;
  }
  // Part of a head is here, and it is waited for the rest.
  const bool part = state_ == State::Reading && timer_ == Timer::Head && !socket_.readable() && !socket_.pending();
  if (!(part || idle()) || socket_.arrived()) return false;
  (void)die();
  return true;
}

// A FIN alone is no end: he may wait for his answer. But most who send one do not.
void VisitorConnection::look_for_visitor() {
  if (left_ || !socket_.peer_closed() || !exchange_->request_read() || !socket_.left()) return;
  left_ = true;
  exchange_->on_visitor_left();
  timer_ = Timer::None;
}

// ---- what is reported ---------------------------------------------------------------------------------------------

void VisitorConnection::on_ready(std::uint32_t what) {
  const std::uint32_t news = socket_.note(what);
  // Not read from meanwhile. What a rule does for a visitor who has gone is for nobody, and a FIN is all that most leave behind.
  if (state_ == State::Deciding && (what & (transport::kPeerClosed | transport::kFailed)) != 0 && socket_.left()) {
    (void)die();
    return;
  }
  if (state_ == State::Exchanging && !exchange_->over()) {
    if (socket_.reset_by_peer(what)) {
      exchange_->on_visitor_failed();
    } else if (news != 0) {
      exchange_->on_visitor_ready(news);
    }
  }
  step();
}

void VisitorConnection::on_exchange_over() { context_.shard.at_turn_end(*this); }

void VisitorConnection::on_deadline() {
  const Timer fired = std::exchange(timer_, Timer::None);
  if (fired == Timer::Exchange && state_ == State::Exchanging && !exchange_->over()) {
    look_for_visitor();
    if (const Duration left = exchange_->time_left(context_.shard.now()); left > Duration::zero()) {
      timer_ = Timer::Exchange;
      return context_.shard.arm(*this, left);
    }
    exchange_->on_timeout();
    ++context_.stats.timeouts;
    return step();
  }
  if (fired == Timer::Exchange || fired == Timer::None) return;  // it ended just now; its step comes
  // He reads, though not all of what is kept here went out yet.
  if (fired == Timer::Stall && socket_.delivered() >= lingered_ + least_of_last(context_.options)) {
    (void)wait(Timer::Stall);
    return;
  }
  if (fired != Timer::FirstByte && fired != Timer::Idle && fired != Timer::Linger) ++context_.stats.timeouts;
  if (fired == Timer::Head) {
    (void)answer(failures::kRequestTimeout, 0, false);
    return step();
  }
  if (fired == Timer::Verdict) {
    if (state_ != State::Deciding) return;
    (void)settle_undecided();
    return step();
  }
  if (fired == Timer::Stall && state_ == State::Exchanging) {
    (void)settle_unread();
    return;
  }
  if (fired == Timer::Stall) socket_.abort();
  (void)die();
}

void VisitorConnection::on_relay_end(transport::Relay& relay, transport::StreamEnd end) {
  RequestRecord record = exchange_->record();
  record.bytes_in += relay.bytes().from_socket;
  record.bytes_out += relay.bytes().to_socket;
  if (!end.clean && end.reason == transport::ResetReason::LinkLost) {
    record.slug = failures::kLinkLost.slug;
    record.side = failures::kLinkLost.side;
  }
  exchange_->tell(record);
  (void)die();
}

// ---- steps --------------------------------------------------------------------------------------------------------

void VisitorConnection::step() {
  for (int i = 0; i < kStepsPerTurn; ++i) {
    if (advance() == Next::Wait) return;
  }
  context_.shard.next_turn(*this);
}

VisitorConnection::Next VisitorConnection::advance() {
  switch (state_) {
    case State::Reading: return read_request();
    case State::Deciding: return Next::Wait;
    case State::Exchanging: return settle();
    case State::Relaying: return Next::Wait;
    case State::Closing: return finish_close();
    case State::Lingering: return linger();
  }
  return Next::Wait;
}

VisitorConnection::Next VisitorConnection::wait(Timer timer) {
  be_spare(timer == Timer::FirstByte || timer == Timer::Idle || timer == Timer::Head ||
           (timer == Timer::Exchange && left_));
  if (timer == Timer::Head || head_charge_ > 0) charge_head(timer == Timer::Head ? socket_.input_room() : 0);
  if (timer_ == timer) return Next::Wait;
  timer_ = timer;
  const HttpIngressOptions& options = context_.options;
  Duration after = options.stall_timeout;
  if (timer == Timer::FirstByte) after = options.first_byte_timeout;
  if (timer == Timer::Idle) after = options.keep_alive_timeout;
  if (timer == Timer::Head) after = options.head_timeout;
  if (timer == Timer::Verdict) after = options.response_timeout;
  if (timer == Timer::Exchange) {
    after = std::min(options.response_timeout, options.stall_timeout);
    if (options.min_visitor_rate != 0) after = std::min(after, options.rate_window);
    if (left_) after = std::min(after, options.half_closed_timeout);
  }
  if (timer == Timer::Linger) after = options.linger_timeout;
  if (timer == Timer::Stall) lingered_ = socket_.delivered();
  context_.shard.arm(*this, after);
  return Next::Wait;
}

VisitorConnection::Next VisitorConnection::read_request() {
  // The end of the last response goes first.
  if (!socket_.flush() && !socket_.failed()) return wait(Timer::Stall);
  if (socket_.failed()) return die();  // whatever it asked before, nobody is there for the answer
  while (true) {
    const std::string_view input = socket_.input();
    // Nothing of HTTP/1 begins like the preface of HTTP/2 (RFC 9113 section 3.4). Over TLS it is ALPN that says so, and nothing else (section 3.2).
    const bool maybe_http2 = !asked_ && tls_ == nullptr && context_.options.h2c != H2c::Off &&
                             http::kH2Preface.starts_with(input.substr(0, http::kH2Preface.size()));
    if (maybe_http2 && input.size() >= http::kH2Preface.size()) {
      owner_.on_http2(*this);
      return Next::Wait;
    }
    if (!input.empty() && !maybe_http2) {
      const http::Parse parsed = http::parse_request_head(input, context_.options.limits, scanner_, context_.request);
      if (parsed.done()) return begin_request(parsed.consumed);
      if (parsed.bad() && !asked_ && names_no_version(input)) return close(true);
      if (parsed.bad()) {
        const Failure refused{parsed.refusal->status, http::FaultSide::Visitor, parsed.refusal->slug,
                              parsed.refusal->sentence};
        return answer(refused, 0, false);
      }
    }
    switch (socket_.read_more()) {
      case Read::Some: break;
      case Read::Nothing:
        if (!socket_.input().empty()) return context_.heads_full() ? refuse_for_memory() : wait(Timer::Head);
        if (context_.draining && asked_) return close(true);
        return wait(asked_ ? Timer::Idle : Timer::FirstByte);
      // Between requests, or inside one that nobody waits for any more.
      case Read::Eof:
      case Read::Failed: return die();
    }
  }
}

// Blocks are lent without asking while a step lasts; what would be held beyond it asks the budget.
VisitorConnection::Next VisitorConnection::refuse_for_memory() {
  ++context_.stats.no_memory;
  return answer(failures::kServerMemory, 0, false, {}, Refusal::Memory);
}

VisitorConnection::Next VisitorConnection::begin_request(std::size_t head_bytes) {
  http::RequestHead& head = context_.request;
  if (head_charge_ > 0) charge_head(0);  // it is whole
  if (asks_http2(head, head_bytes)) {
    asked_ = true;
    owner_.on_http2(*this);
    return Next::Wait;
  }
  asked_ = true;
  const bool holds = head_bytes > kAlwaysServed || socket_.input().size() > head_bytes;
  Placement place = place_request(context_, head, tls_.get(), peer_, holds, rules_.get());
  if (!place.resumed) rules_.reset();
  if (place.to_https) return redirect(head_bytes);
  if (place.own_options) return answer_options(head_bytes, place.tunnel);
  if (place.shard) {
    context_.host.on_move(*place.target);
    return move_to(*place.shard);
  }
  if (place.failure != nullptr) return answer(*place.failure, head_bytes, true, place.tunnel, place.refused);
  if (!place.resumed) ++context_.stats.requests;
  if (place.target->chain != nullptr) {
    if (const auto next = run_rules(place, head_bytes)) return *next;
  }
  exchange_ = context_.take_exchange();
  exchange_->begin(head, context_.host_name, place, peer_, head_bytes, socket_, *this, tls_ != nullptr,
                   std::move(rules_));
  exchange_->limit(std::move(place.admission));
  exchange_->single_use(place.target->single_use);
  exchange_->speak(place.target->speech);
  socket_.consume(head_bytes);
  state_ = State::Exchanging;
  if (left_) exchange_->on_visitor_left();
  exchange_->connect(place.link);
  return Next::Again;
}

// Nothing follows it before our 101, and nothing is under way.
bool VisitorConnection::asks_http2(const http::RequestHead& head, std::size_t head_bytes) const {
  std::string_view settings;
  return context_.options.h2c == H2c::Upgrade && tls_ == nullptr && rules_ == nullptr && !context_.draining &&
         socket_.input().size() == head_bytes && http::asks_h2c(head, settings) &&
         !Http2Connection::settings_of(settings, context_.options.h2.max_settings).empty();
}

VisitorConnection::Parts VisitorConnection::release() {
  std::string early(socket_.input());
  socket_.consume(early.size());
  return {socket_.release(), peer_, std::move(early), tls_ ? *tls_ : VisitorTls{}, std::move(slot_), asked_};
}

VisitorConnection::Next VisitorConnection::move_to(unsigned shard) {
  ++context_.stats.moved;
  std::string early(socket_.input());
  context_.host.move_visitor(shard, socket_.release(), peer_, std::move(early), tls_ ? *tls_ : VisitorTls{},
                             std::move(slot_));
  return die();
}

VisitorConnection::Next VisitorConnection::close(bool linger) {
  state_ = State::Closing;
  linger_ = linger;
  return Next::Again;
}

VisitorConnection::Next VisitorConnection::finish_close() {
  if (!socket_.flush()) return socket_.failed() ? die() : wait(Timer::Stall);
  socket_.consume(socket_.input().size());
  if (!linger_ || socket_.eof() || socket_.failed()) return die();
  socket_.shutdown_write();
  lingered_ = 0;
  state_ = State::Lingering;
  return Next::Again;
}

// A close with unread bytes in the socket sends an RST, which may reach the visitor before it has read the response.
VisitorConnection::Next VisitorConnection::linger() {
  while (lingered_ < context_.options.linger_bytes) {
    switch (socket_.discard(lingered_)) {
      case Read::Some: break;
      case Read::Nothing: return wait(Timer::Linger);
      case Read::Eof:
      case Read::Failed: return die();
    }
  }
  return die();
}

VisitorConnection::Next VisitorConnection::die() {
  owner_.on_visitor_over(*this);
  return Next::Wait;
}

}  // namespace ferrotunnel::ingress
