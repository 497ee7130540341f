#include "ingress/http1/exchange_base.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "http/forward.h"
#include "http/grpc.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::ingress {

using transport::StreamHandler;

void ExchangeBase::begin(const http::RequestHead& head, std::string_view host, const TunnelKey& tunnel,
                         const transport::PeerAddress& peer, std::uint64_t head_bytes, bool secure) {
  failure_ = slow_ = nullptr;
  host_.assign(host);
  upgrade_.assign(head.upgrade ? head.upgrade_protocol : std::string_view{});
  tunnel_ = tunnel;
  peer_ = peer;
  method_ = head.method;
  head_sent_ = 0;
  head_bytes_ = head_bytes;
  body_sent_ = 0;
  scanner_.reset();
  gathered_size_ = 0;
  status_ = 0;
  interim_ = 0;
  started_ = progress_ = context_.shard.now();
  sends_.go();
  reads_.go();
  body_asked_ = !head.expect_continue;
  const std::string_view type = head.fields.value("content-type");
  streams_ = false;  // speak()
  grpc_ = !connects() && http::is_grpc(type);
  grpc_web_ = !connects() && http::is_grpc_web(type);
  secure_ = secure;
  origin_keeps_ = answered_ = fin_ = reused_ = retried_ = false;
}

void ExchangeBase::release() {
  origin_.reset();
  throttle_.reset();
  admission_.reset();
  rules_.reset();
  changed_.reset();
  gathered_.reset();
  charge(0);
}

void ExchangeBase::write_origin_head(const http::RequestHead& head, std::string_view version,
                                     const transport::VisitorCertificate* certificate) {
  head_.clear();
  const std::string address = transport::to_string(peer_);
  std::array<char, 64> via;
  http::ForwardContext forward;
  forward.visitor = address;
  forward.proto = secure_ ? "https" : "http";
  forward.request_id = request_id_.text();
  forward.forwarded = true;
  if (!context_.options.via.empty()) forward.via = http::via_value(version, context_.options.via, via);
  forward.trust_forwarded = context_.options.trust_forwarded;
  if (rules_) forward.host_rewrite = rules_->host_for_origin();
  if (certificate != nullptr) forward.certificate = certificate->told;
  http::append_request_head(head_, head, forward);
}

void ExchangeBase::charge(std::size_t bytes) {
  if (bytes <= BufferPool::kSizes.front()) bytes = 0;  // small change
  context_.charge_heads(charged_, bytes);
}

std::string_view ExchangeBase::gather(ConstBytes bytes) {
  const std::size_t room = std::size_t{context_.options.limits.head_bytes} + 1 - gathered_size_;
  const std::size_t n = std::min(room, bytes.size());
  if (gathered_.size() - gathered_size_ < n) {
    Buffer larger = context_.shard.buffers().borrow(gathered_size_ + n);
    assert(larger.size() >= gathered_size_ + n);
    if (gathered_size_ > 0) std::memcpy(larger.data(), gathered_.data(), gathered_size_);
    gathered_ = std::move(larger);
  }
  std::memcpy(gathered_.data() + gathered_size_, bytes.data(), n);
  gathered_size_ += n;
  return as_text(gathered_.bytes().first(gathered_size_));
}

void ExchangeBase::limit(Admission admission) {
  admission_ = std::move(admission);
  if (const VisitorGatePtr& gate = admission_.gate(); gate != nullptr && gate->throttles())
    throttle_ =
        std::make_unique<Throttle>(gate, static_cast<StreamHandler&>(*this), static_cast<ThrottleOwner&>(*this));
}

// The word for it alone is no leave to be slow: only what goes on as such may be.
void ExchangeBase::speak(route::OriginSpeech speech) {
  speech_ = speech;
  if ((grpc_ || grpc_web_) && speech != route::OriginSpeech::Http1) streams_ = true;
}

StreamHandler& ExchangeBase::handler() {
  return throttle_ ? static_cast<StreamHandler&>(*throttle_) : static_cast<StreamHandler&>(*this);
}

const Failure* ExchangeBase::reach(transport::Link* link) {
  // A second dead one would not be retried: it gets a new one.
  // CONNECT may not be said twice, as it would have to be where a warm connection turns out dead.
  const bool once = connects() && speech_ == route::OriginSpeech::Http1;
  auto reached = context_.pool.reach(link, tunnel_, peer_, handler(), speech_, retried_ || alone_ || once);
  if (!reached) return &failure_of(reached.error());
  if (*reached == nullptr) return &(retried_ ? failures::kLinkLost : failures::kClientAway);
  origin_ = std::move(*reached);
  if (alone_) origin_->spend();
  reused_ = reused_ || origin_->reused();
  origin_->stream().want_write();
  return nullptr;
}

const Failure& ExchangeBase::rules_failure() {
  const plugin::Reply& reply = rules_->reply();
  own_failure_ = {reply.status, http::FaultSide::Visitor, reply.slug, reply.sentence, reply.retry_after};
  return own_failure_;
}

void ExchangeBase::tell(const RequestRecord& record) const {
  context_.host.on_request(record);
  if (rules_want(plugin::Phase::Log)) rules_->on_log(record);
}

http::ErrorPage ExchangeBase::page(std::string_view sentence) const {
  http::ErrorPage page = page_of(failure(), sentence, host_);
  page.request_id = request_id_.text();
  page.date = context_.date();
  page.templates = context_.pages.get();
  page.head_request = head_request();
  // What the visitor likes to read is in the head for the origin; nothing else remembers it.
  if (!head_.empty() && http::parse_request_head(head_, context_.options.limits, context_.request).done()) {
    page.accept = context_.request.fields.value(http::FieldId::Accept);
    page.asked_type = context_.request.fields.value("content-type");
  }
  return page;
}

RequestRecord ExchangeBase::about() const {
  const std::string_view head = head_;
  const std::size_t space = head.find(' ');
  const std::string_view target = head.substr(space + 1);
  RequestRecord record;
  record.method = head.substr(0, space);
  record.path = target.substr(0, target.find_first_of("? "));
  if (rules_ && !rules_->asked_path().empty()) record.path = rules_->asked_path();
  record.host = host_;
  record.request_id = request_id_.text();
  record.status = status_;
  record.bytes_in = head_bytes_ + body_sent_;
  record.duration = context_.shard.now() - started_;
  if (failure_ != nullptr) {
    record.slug = failure_->slug;
    record.side = failure_->side;
  }
  record.session = tunnel_.session;
  record.tunnel = tunnel_.tunnel;
  record.visitor = peer_;
  record.reused_origin = reused_;
  record.retried = retried_;
  return record;
}

}  // namespace ferrotunnel::ingress
