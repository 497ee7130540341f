// IngressContext: what the connections of one HttpIngress share. Private to http1/; the shard's thread only.
#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "http/date.h"
#include "http/h2/h2_server.h"
#include "http/message.h"
#include "http/page_template.h"
#include "ingress/http1/http_ingress_host.h"
#include "ingress/http1/origin_pool.h"
#include "ingress/http1/spare_visitors.h"
#include "ingress/limits/visitor_gate.h"
#include "route/link_directory.h"
#include "route/router.h"
#include "transport/shard.h"

namespace ferrotunnel::ingress {

class Exchange;
class Http2Exchange;

// 16 hex digits; unique in the shard, and in practice everywhere.
class RequestId {
 public:
  RequestId() = default;
  explicit RequestId(std::uint64_t value);
  [[nodiscard]] std::string_view text() const { return {text_.data(), text_.size()}; }

 private:
  std::array<char, 16> text_{};
};

struct IngressContext {
  IngressContext(transport::Shard& on, route::RouterCache& routing, route::LinkDirectory& directory,
                 const HttpIngressOptions& wanted, HttpIngressHost& around);
  ~IngressContext();

  // None: nothing is limited.
  [[nodiscard]] VisitorGate* gate_of(const TunnelKey& tunnel) const {
    if (gates.empty()) return nullptr;
    const auto found = gates.find(tunnel);
    return found == gates.end() ? nullptr : found->second.get();
  }
  // Exchanges are lent like buffers: an idle visitor has none, and a busy shard allocates none.
  [[nodiscard]] std::unique_ptr<Exchange> take_exchange();
  void give_back(std::unique_ptr<Exchange> exchange);
  [[nodiscard]] std::unique_ptr<Http2Exchange> take_http2_exchange();
  void give_back(std::unique_ptr<Http2Exchange> exchange);
  // What a Date says now; good until the next call.
  [[nodiscard]] std::string_view date() { return date_.at(std::time(nullptr)); }
  // No head that would hold more than its connection does may stay. Where others have passed the limit, heads have a part of their own.
  [[nodiscard]] bool heads_full() const {
    const MemoryBudget& budget = shard.buffers().budget();
    return budget.full() && head_bytes >= budget.limit() / MemoryBudget::kHeadShare / options.shards;
  }
  // Of heads, or parts of them, that are no blocks of the pool: what held `charged` bytes of the memory budget holds `bytes` from now on.
  void charge_heads(std::size_t& charged, std::size_t bytes) {
    MemoryBudget& budget = shard.buffers().budget();
    if (bytes > charged) budget.add(bytes - charged);
    if (bytes < charged) budget.sub(charged - bytes);
    head_bytes += bytes;
    head_bytes -= charged;
    charged = bytes;
  }
  [[nodiscard]] RequestId next_id() { return RequestId(ids.next()); }
  // What came without TLS has to come with it: all requests, or those for hosts whose visitors show a certificate.
  [[nodiscard]] bool https_only(std::string_view at_host) const {
    return https.redirect || (https.book != nullptr && https.book->guards(at_host));
  }
  // RFC 9110 section 15.5.20: the connection was made for another name, whose certificates are not those of this host.
  [[nodiscard]] bool misdirected(const VisitorTls& tls, std::string_view at_host) const {
    return tls.on && https.book != nullptr && !https.book->serves(tls.name, at_host);
  }

  transport::Shard& shard;
  route::RouterCache& routes;
  route::LinkDirectory& links;
  const HttpIngressOptions options;
  HttpIngressHost& host;
  OriginPool pool;
  // Of the tunnels that have any limit.
  boost::unordered_flat_map<TunnelKey, VisitorGatePtr, TunnelKeyHash> gates;
  HttpsRules https;
  http::PageTemplatesPtr pages;  // of failures; none: those of ours
  HttpIngressStats stats;
  SpareVisitors spares;
  std::size_t head_bytes = 0;  // that heads hold, unfinished ones and those of requests
  bool draining = false;
  JitterRng ids;

  // Scratch, good for one synchronous step; their storage is what is shared.
  http::RequestHead request;
  http::ResponseHead response;
  std::string text;
  std::string host_name;
  http::H2Scratch h2;
  std::string path;                      // of the request, in the one spelling, where that decides anything
  std::unique_ptr<std::byte[]> changed;  // of a ChangedBody; made with the first

 private:
  static constexpr std::size_t kSpareExchanges = 64;
  static constexpr std::size_t kSpareHttp2Exchanges = 128;
  http::DateOfNow date_;
  std::vector<std::unique_ptr<Exchange>> spare_;
  std::vector<std::unique_ptr<Http2Exchange>> http2_spare_;
};

}  // namespace ferrotunnel::ingress
