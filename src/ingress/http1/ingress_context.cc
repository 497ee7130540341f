#include "ingress/http1/ingress_context.h"

#include <algorithm>

#include "ingress/http1/exchange.h"
#include "ingress/http2/http2_exchange.h"

namespace ferrotunnel::ingress {
namespace {

// A head has to fit into the largest buffer, with a little of what follows it.
constexpr std::uint32_t kMaxHead = 96 * 1024;

HttpIngressOptions checked(HttpIngressOptions options) {
  options.limits.head_bytes = std::min(options.limits.head_bytes, kMaxHead);
  return options;
}

}  // namespace

RequestId::RequestId(std::uint64_t value) {
  for (char& digit : text_) {
    digit = "0123456789abcdef"[value >> 60];
    value <<= 4;
  }
}

IngressContext::IngressContext(transport::Shard& on, route::RouterCache& routing, route::LinkDirectory& directory,
                               const HttpIngressOptions& wanted, HttpIngressHost& around)
    : shard(on),
      routes(routing),
      links(directory),
      options(checked(wanted)),
      host(around),
      pool(on, wanted.pool, wanted.limits),
      ids(JitterRng::from_system()) {}

IngressContext::~IngressContext() = default;

std::unique_ptr<Exchange> IngressContext::take_exchange() {
  if (spare_.empty()) return std::make_unique<Exchange>(*this);
  std::unique_ptr<Exchange> exchange = std::move(spare_.back());
  spare_.pop_back();
  return exchange;
}

void IngressContext::give_back(std::unique_ptr<Exchange> exchange) {
  exchange->reset();
  if (spare_.size() < kSpareExchanges) spare_.push_back(std::move(exchange));
}

std::unique_ptr<Http2Exchange> IngressContext::take_http2_exchange() {
  if (http2_spare_.empty()) return std::make_unique<Http2Exchange>(*this);
  std::unique_ptr<Http2Exchange> exchange = std::move(http2_spare_.back());
  http2_spare_.pop_back();
  return exchange;
}

void IngressContext::give_back(std::unique_ptr<Http2Exchange> exchange) {
  exchange->reset();
  if (http2_spare_.size() < kSpareHttp2Exchanges) http2_spare_.push_back(std::move(exchange));
}

}  // namespace ferrotunnel::ingress
