// How an exchange that is over is settled with the visitor. The rest of the connection's life is in visitor_connection.cc.
#include "ingress/http1/visitor_connection.h"

namespace ferrotunnel::ingress {

VisitorConnection::Next VisitorConnection::settle() {
  switch (exchange_->outcome()) {
    case Exchange::Outcome::Running: look_for_visitor(); return wait(Timer::Exchange);
    case Exchange::Outcome::Complete: return settle_complete();
    case Exchange::Outcome::Failed: return settle_failed();
    case Exchange::Outcome::Upgrade: return settle_upgrade();
    case Exchange::Outcome::Cut:
    case Exchange::Outcome::VisitorGone: return settle_broken();
    case Exchange::Outcome::Retry:
      exchange_->connect(context_.links.find(exchange_->tunnel().session));
      return Next::Again;
  }
  return Next::Wait;
}

void VisitorConnection::end_exchange() {
  context_.give_back(std::move(exchange_));
  state_ = State::Reading;
}

VisitorConnection::Next VisitorConnection::settle_complete() {
  exchange_->tell(exchange_->record());
  const bool keep = exchange_->keep_alive();
  // A visitor that asked for the close, with nothing of it unread, sends nothing more.
  const bool more =
      exchange_->visitor_keeps() || !exchange_->request_read() || !socket_.input().empty() || socket_.readable();
  end_exchange();
  return keep ? Next::Again : close(more);
}

VisitorConnection::Next VisitorConnection::settle_failed() {
  const Failure& failure = exchange_->failure();
  const std::string sentence = sentence_of(failure, exchange_->host());
  http::ErrorPage page = exchange_->page(sentence);
  page.hsts = hsts();
  // What comes behind a request to switch may be of the other protocol already: nothing of it is read as a request.
  page.keep_alive =
      exchange_->visitor_keeps() && exchange_->request_read() && !exchange_->asks_to_switch() && !context_.draining;
  page.visitor_minor = exchange_->visitor_minor();
  socket_.send(http::make_error_response(page), {});
  ++context_.stats.errors;

  RequestRecord record = exchange_->record();
  record.status = failure.status;
  exchange_->tell(record);
  end_exchange();
  return page.keep_alive ? Next::Again : close(true);
}

VisitorConnection::Next VisitorConnection::settle_upgrade() {
  if (!socket_.flush()) return socket_.failed() ? settle_broken() : wait(Timer::Stall);
  transport::Stream* stream = exchange_->take_stream();
  if (stream == nullptr) return settle_broken();  // it ended before it could be joined
  std::string early(socket_.input());
  socket_.consume(early.size());
  transport::ByteStreamPtr socket = socket_.release();
  exchange_->compact();
  Deadline::disarm();
  be_spare(false);
  timer_ = Timer::None;
  state_ = State::Relaying;
  ++context_.stats.upgraded;
  relay_ = std::make_unique<transport::Relay>(context_.shard, std::move(socket),
                                              static_cast<transport::RelayOwner&>(*this), std::move(early));
  if (const VisitorGatePtr& gate = exchange_->gate(); gate != nullptr && gate->throttles())
    throttle_ = std::make_unique<Throttle>(gate, relay_->handler(), static_cast<ThrottleOwner&>(*this));
  relay_->start(*stream, throttle_.get());
  if (exchange_->origin_finished()) relay_->end_input();
  return Next::Wait;
}

// Of an exchange that is over, what goes out last is not read: a 101.
VisitorConnection::Next VisitorConnection::settle_unread() {
  RequestRecord record = exchange_->record();
  record.slug = failures::kVisitorStalled.slug;
  record.side = failures::kVisitorStalled.side;
  exchange_->tell(record);
  socket_.abort();
  return die();
}

// The response broke off, or nobody is there to read it. An RST never looks like an end.
VisitorConnection::Next VisitorConnection::settle_broken() {
  if (exchange_->outcome() == Exchange::Outcome::Cut) ++context_.stats.cut;
  exchange_->tell(exchange_->record());
  socket_.abort();
  return die();
}

}  // namespace ferrotunnel::ingress
