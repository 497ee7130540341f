// What is reported, bytes in and out, and time. How exchanges are settled with the visitor is in http2_settle.cc.
#include "ingress/http2/http2_connection.h"

#include <algorithm>
#include <utility>

#include "http/h1_head.h"
#include "http/h2/h2_upgrade.h"
#include "transport/tcp/delivery.h"
#include "wire/base64.h"

namespace ferrotunnel::ingress {

using Read = VisitorSocket::Read;

Http2Connection::Http2Connection(IngressContext& context, Http2Owner& owner, transport::ByteStreamPtr stream,
                                 const transport::PeerAddress& peer, const VisitorTls& tls, VisitorSlot slot)
    : SpareVisitor(context.spares, peer),
      context_(context),
      owner_(owner),
      socket_(context.shard, std::move(stream), *this),
      peer_(peer),
      tls_(tls),
      slot_(std::move(slot)),
      server_(std::make_unique<http::H2Server>(context.options.h2, context.options.limits, context.h2,
                                               static_cast<http::H2Handler&>(*this))),
      born_(context.shard.now()),
      written_at_(born_) {
  ++context_.stats.h2_visitors;
}

Http2Connection::~Http2Connection() {
  --context_.stats.h2_visitors;
  context_.charge_heads(charged_, 0);
  while (!exchanges_.empty()) {
    Http2Exchange& exchange = exchanges_.front();
    server_->detach(exchange.id());
    if (exchange.upgraded()) --context_.stats.upgraded;
    exchange.detail::ExchangeHook<detail::OfConnection>::unlink();
    context_.give_back(std::unique_ptr<Http2Exchange>(&exchange));
  }
}

Result<> Http2Connection::go_on(std::unique_ptr<http::H2Server> server) {
  if (auto watched = socket_.watch(); !watched) return watched;
  server_ = std::move(server);
  feeding_ = true;
  server_->unpark(context_.options.h2, context_.options.limits, context_.h2, static_cast<http::H2Handler&>(*this));
  feeding_ = false;
  context_.charge_heads(charged_, server_->held());
  wait();
  context_.shard.at_turn_end(*this);
  return {};
}

Result<> Http2Connection::start(std::string_view early_bytes) {
  if (auto watched = socket_.watch(); !watched) return watched;
  early_.assign(early_bytes);
  wait();
  // Our SETTINGS wait for nothing.
  context_.shard.at_turn_end(*this);
  return {};
}

bool Http2Connection::take_over(std::string_view head) {
  http::RequestHead& request = context_.request;
  std::string_view settings;
  if (!socket_.watch() || !http::parse_request_head(head, context_.options.limits, request).done() ||
      !http::asks_h2c(request, settings))
    return false;
  feeding_ = true;
  const std::string payload = settings_of(settings, context_.options.h2.max_settings);
  const bool good = server_->upgrade(as_bytes(payload), request, context_.shard.now());
  feeding_ = false;
  if (!good) return false;
  ++context_.stats.h2_upgrades;
  socket_.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", {});
  wait();
  context_.shard.at_turn_end(*this);
  return true;
}

std::string Http2Connection::settings_of(std::string_view text, std::uint32_t most) {
  constexpr std::size_t kEntry = 6;
  const std::size_t most_bytes = most * kEntry;
  if (text.size() > (most_bytes + 2) / 3 * 4) return {};
  const auto bytes = wire::base64url_decode(text);
  if (!bytes || bytes->size() > most_bytes || bytes->size() % kEntry != 0) return {};
  return std::string(as_text(*bytes));
}

void Http2Connection::drain() {
  if (state_ != State::Open || noticed_) return;
  noticed_ = true;
  server_->notice_shutdown();
  step();
}

bool Http2Connection::end_spare() {
  const bool asks = !exchanges_.empty() || socket_.pending() || server_->parked();
  if (state_ != State::Open || asks || !early_.empty() || socket_.readable() || socket_.arrived()) return false;
  server_->end(http::H2Code::NoError);
  pump();
  die();
  return true;
}

// ---- what is reported ---------------------------------------------------------------------------------------------

void Http2Connection::on_ready(std::uint32_t what) {
  (void)socket_.note(what);
  (void)socket_.reset_by_peer(what);
  step();
}

void Http2Connection::on_exchange_news(Http2Exchange& exchange) {
  if (!exchange.detail::ExchangeHook<detail::WithNews>::is_linked()) news_.push_back(exchange);
  context_.shard.at_turn_end(*this);
}

void Http2Connection::on_hungry(Http2Exchange& exchange) {
  if (!exchange.detail::ExchangeHook<detail::Hungry>::is_linked()) hungry_.push_back(exchange);
}

// Not from inside the server: who asks then is asked again by the pump that goes on.
void Http2Connection::push_output() {
  if (!feeding_ && !pumping_ && state_ == State::Open) pump();
}

// ---- steps --------------------------------------------------------------------------------------------------------

void Http2Connection::step() {
  if (state_ == State::Open) {
    if (!server_->parked()) read();
    if (server_->parked()) return move();
    settle();
    pump();
    settle();  // what was sent may have ended some
    age();
    if (socket_.failed() || socket_.eof()) return die();
    count_faults();
    if (server_->over()) close();
  }
  if (state_ != State::Open && !close_further()) return;
  wait();
}

void Http2Connection::age() {
  if (noticed_ || context_.options.h2_max_age == Duration::zero()) return;
  if (context_.shard.now() - born_ < context_.options.h2_max_age) return;
  noticed_ = true;
  server_->notice_shutdown();
  context_.shard.at_turn_end(*this);
}

void Http2Connection::read() {
  if (!early_.empty()) {
    const std::string early = std::move(early_);
    early_.clear();
    feed(as_bytes(early));
  }
  // Requests cost more than bodies do: of those no more than a few at a time, so that others have their turn in between.
  const bool bodies = server_->data_in() != std::exchange(data_seen_, server_->data_in());
  const int reads = bodies ? kReadsPerTurn : 1;
  const std::size_t size = bodies ? kReadSize : kReadOfHeads;
  for (int i = 0; i < reads && !server_->ended() && !server_->parked(); ++i) {
    const MutBytes room = context_.shard.read_buffer().first(size);
    std::size_t n = 0;
    if (socket_.read_into(room, n) != Read::Some) return;
    feed(room.first(n));
  }
  if (socket_.readable() && !server_->ended() && !server_->parked()) context_.shard.next_turn(*this);
}

// Whole, with what the session knows, to where the link of its request is.
void Http2Connection::move() {
  ++context_.stats.moved;
  Http2Parcel parcel{socket_.release(), peer_, tls_, std::move(server_), std::move(slot_)};
  context_.host.move_http2(move_to_, std::move(parcel));
  owner_.on_http2_over(*this);
}

void Http2Connection::feed(ConstBytes bytes) {
  feeding_ = true;
  const bool in_block = server_->in_block();
  server_->feed(bytes, context_.shard.now());
  if (!in_block) block_since_ = context_.shard.now();
  feeding_ = false;
  // A block that is not whole is no buffer of the pool's, but it is as large as the visitor likes, and he may never end it.
  context_.charge_heads(charged_, server_->held());
  if (charged_ <= kAlwaysServed || !context_.heads_full()) return;
  ++context_.stats.no_memory;
  server_->end(http::H2Code::Calm);
}

// As much as the socket takes; what a stream sent makes room for more of it.
void Http2Connection::pump() {
  pumping_ = true;
  const bool free = socket_.flush();
  for (int i = 0; free && socket_.can_write() && server_->wants_write(); ++i) {
    if (i == kWritesPerTurn) {
      context_.shard.next_turn(*this);
      break;
    }
    std::size_t n = 0;
    {
      const Buffer block = context_.shard.buffers().borrow(BufferPool::kSizes.back());
      n = server_->produce(block.bytes().first(kWriteSize + http::H2Server::kFrameRoom));
      if (n > 0) socket_.send(as_text(block.bytes().first(n)), {});
    }
    if (n == 0) break;
    written_at_ = context_.shard.now();
    while (!hungry_.empty()) {
      Http2Exchange& exchange = hungry_.front();
      hungry_.pop_front();
      exchange.refill();
    }
  }
  pumping_ = false;
}

// ---- time ---------------------------------------------------------------------------------------------------------

void Http2Connection::wait() {
  const HttpIngressOptions& options = context_.options;
  Timer timer = asked_ ? Timer::Idle : Timer::FirstByte;
  Duration after = asked_ ? options.keep_alive_timeout : options.first_byte_timeout;
  if (state_ == State::Lingering) {
    timer = Timer::Linger;
    after = options.linger_timeout;
  } else if (state_ == State::Open && noticed_ && !shut_) {
    timer = Timer::Drain;
    after = options.h2_drain_gap;
  } else if (!exchanges_.empty()) {
    timer = Timer::Exchange;
    after = patience();
  } else if (socket_.pending()) {
    timer = Timer::Stall;
    after = patience();
  } else if (server_->in_block()) {
    timer = Timer::Block;
    after = options.head_timeout;
  } else if (asked_ && after > kRest) {
    if (!rested_) timer = Timer::Rest;
    after = rested_ ? after - kRest : kRest;
  }
  be_spare(timer == Timer::FirstByte || timer == Timer::Rest || timer == Timer::Idle || timer == Timer::Block);
  if (timer_ == timer) return;
  timer_ = timer;
  context_.shard.arm(*this, after);
}

void Http2Connection::on_deadline() {
  const HttpIngressOptions& options = context_.options;
  const TimePoint now = context_.shard.now();
  const auto fired = std::exchange(timer_, Timer::None);
  switch (fired) {
    case Timer::None: break;
    case Timer::Linger:
      if (!lingers_on()) return die();
      break;
    case Timer::Stall:
    case Timer::Exchange: {
      Duration left = patience();
      if (const Failure* why = check_socket(now, left); why != nullptr) return cut_off(*why);
      left = std::min(left, check_exchanges(now));
      if (server_->in_block() && now - block_since_ >= options.head_timeout) {
        ++context_.stats.timeouts;
        server_->end(http::H2Code::Calm);
      }
      timer_ = exchanges_.empty() ? Timer::Stall : Timer::Exchange;
      context_.shard.arm(*this, left);
      break;
    }
    case Timer::Drain:
      shut_ = true;
      server_->shutdown();
      break;
    case Timer::Block:
      ++context_.stats.timeouts;
      server_->end(http::H2Code::Calm);
      break;
    case Timer::Rest:
      rested_ = true;
      server_->rest();
      break;
    case Timer::FirstByte:
    case Timer::Idle: server_->end(http::H2Code::NoError); break;
  }
  step();
}

// The longest that nothing has to be looked at.
Duration Http2Connection::patience() const {
  const HttpIngressOptions& options = context_.options;
  const Duration after = std::min(options.response_timeout, options.stall_timeout);
  return options.min_visitor_rate == 0 ? after : std::min(after, options.rate_window);
}

// Bytes that the socket does not take. Why it has to end, or none; `left`: until it is to be asked again.
const Failure* Http2Connection::check_socket(TimePoint now, Duration& left) {
  const HttpIngressOptions& options = context_.options;
  if (!socket_.pending()) {
    reads_.go();
    return nullptr;
  }
  const bool floor = options.least_in_window() != 0;
  if (!reads_.waiting()) reads_.wait(now, socket_.delivered());
  bool stalled = false;
  if (reads_.left(now, options.reader_window()) <= Duration::zero()) {
    const bool slow = reads_.too_slow(now, socket_.delivered(), options.least_read());
    if (slow && floor) {
      ++context_.stats.too_slow;
      return &failures::kVisitorSlow;
    }
    stalled = slow;
    written_at_ = now;  // what the kernel holds goes on to him, though the socket takes no more yet
  }
  const Duration stall = written_at_ + options.stall_timeout - now;
  if (stalled || (floor && stall <= Duration::zero())) {
    ++context_.stats.h2_stalled;
    return &failures::kVisitorStalled;
  }
  if (floor) left = std::min(left, stall);
  left = std::min(left, reads_.left(now, options.reader_window()));
  return nullptr;
}

void Http2Connection::cut_off(const Failure& failure) {
  ++context_.stats.timeouts;
  for (Http2Exchange& exchange : exchanges_) exchange.on_connection_cut(failure);
  socket_.abort();
  die();
}

Duration Http2Connection::check_exchanges(TimePoint now) {
  Duration least = patience();
  const bool full = !socket_.can_write();
  const auto owing = static_cast<std::size_t>(std::ranges::count_if(exchanges_, &Http2Exchange::visitor_owes_body));
  for (Http2Exchange& exchange : exchanges_) {
    const Duration left = exchange.time_left(now, owing, full);
    if (left > Duration::zero()) {
      least = std::min(least, left);
      continue;
    }
    ++context_.stats.timeouts;
    const bool shut = exchange.waits_for_visitor() && (full || server_->window_shut(exchange.id()));
    if (shut) ++context_.stats.h2_stalled;
    exchange.on_timeout(shut);
  }
  return least;
}

// ---- the end ------------------------------------------------------------------------------------------------------

void Http2Connection::count_faults() {
  context_.stats.h2_malformed += server_->malformed() - std::exchange(malformed_counted_, server_->malformed());
  if (abuse_counted_ || !server_->abuse()) return;
  abuse_counted_ = true;
  ++context_.stats.h2_abuse[static_cast<std::size_t>(*server_->abuse())];
}

// Nothing more is read or said: what is kept goes out.
void Http2Connection::close() {
  state_ = State::Closing;
  timer_ = Timer::None;
  hungry_.clear();
  while (!exchanges_.empty()) {
    Http2Exchange& exchange = exchanges_.front();
    if (!exchange.closed()) exchange.on_visitor_gone();
    finish(exchange);
  }
}

bool Http2Connection::close_further() {
  if (state_ == State::Closing) {
    if (!socket_.flush() && !socket_.failed()) return true;
    if (socket_.failed() || socket_.eof()) return die(), false;
    socket_.shutdown_write();
    state_ = State::Lingering;
  }
  // A close with unread bytes in the socket sends an RST, which may reach the visitor before it has read the GOAWAY.
  while (lingered_ < context_.options.linger_bytes) {
    switch (socket_.discard(lingered_)) {
      case Read::Some: break;
      case Read::Nothing: return true;
      case Read::Eof:
      case Read::Failed: return die(), false;
    }
  }
  return die(), false;
}

// Its last answers may still be on their way, or unread: bytes of it that meet a closed socket (it goes on opening windows while it reads)
// would be answered by an RST, which takes them away. Whoever was told to go closes by himself.
bool Http2Connection::lingers_on() {
  if (server_->abuse()) return false;
  const auto delivery = transport::delivery_of(socket_.fd());
  const bool moves = delivery && delivery->waiting && delivery->acknowledged != acknowledged_;
  if (delivery) acknowledged_ = delivery->acknowledged;
  lingers_ = moves ? 0 : lingers_ + 1;
  return lingers_ < kLingers;
}

void Http2Connection::die() {
  while (!exchanges_.empty()) {
    Http2Exchange& exchange = exchanges_.front();
    if (!exchange.closed()) exchange.on_visitor_gone();
    finish(exchange);
  }
  owner_.on_http2_over(*this);
}

}  // namespace ferrotunnel::ingress
