// RuleRun: one request's way through the rules of its tunnel, and what has to wait with it. It knows no version of HTTP.
//
// Made when a request for a tunnel with rules came, before anything of it is sent on; kept by the visitor's connection while a filter waits,
// then by the exchange until the request is over. Views that filters put into the head live here until release_head(). The shard's thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/body.h"
#include "ingress/http1/ingress_context.h"
#include "plugin/chain.h"
#include "transport/byte_stream.h"

namespace ferrotunnel::ingress {

// Who is to go on when a filter that waited is done. On the shard's thread.
class RuleRunOwner {
 public:
  virtual void on_verdict() = 0;

 protected:
  ~RuleRunOwner() = default;
};

class RuleRun {
 public:
  RuleRun(IngressContext& context, RuleRunOwner& owner, plugin::ChainPtr chain, const TunnelKey& tunnel,
          const transport::PeerAddress& peer, std::string_view scheme);
  RuleRun(const RuleRun&) = delete;
  RuleRun& operator=(const RuleRun&) = delete;
  ~RuleRun();

  // Whether what was decided so far is good for this.
  [[nodiscard]] bool is_for(const plugin::ChainPtr& chain, const TunnelKey& tunnel) const {
    return run_.chain() == chain && tunnel_ == tunnel;
  }
  [[nodiscard]] const TunnelKey& tunnel() const { return tunnel_; }
  // A place in the tunnel, while a filter waits.
  void hold(Admission admission) { admission_ = std::move(admission); }
  [[nodiscard]] Admission take_admission() { return std::move(admission_); }

  // Changes the head, whose path is in the one spelling where the chain looks at paths.
  [[nodiscard]] plugin::Verdict on_request_head(http::RequestHead& head, std::string_view host);
  [[nodiscard]] const plugin::Reply& reply() const { return reply_; }  // of Verdict::Answer
  void count_reply(HttpIngressStats& stats) const;                     // where it has a counter of its own
  [[nodiscard]] const RequestId& id() const { return id_; }
  [[nodiscard]] std::string_view host_for_origin() const { return host_for_origin_; }  // "": the visitor's
  // Without query, where the head's is another than it came with; else "".
  [[nodiscard]] std::string_view asked_path() const { return asked_path_; }
  // Whether trailers of this request may have to lose fields that a rule has set or removed, and that they do.
  [[nodiscard]] bool looks_at_trailers() const { return !settled_.empty(); }
  void change_trailers(std::string& section) const { http::remove_trailers(section, settled_); }
  void release_head();                         // it was written
  void release_owner() { *owner_ = nullptr; }  // nobody waits any more

  [[nodiscard]] bool wants(plugin::Phase phase) const { return run_.wants(phase); }
  [[nodiscard]] plugin::Verdict on_request_body(ConstBytes payload) { return run_.on_request_body(payload, reply_); }
  // Without a transform the payload stays as it is, as it does without `may_transform`. False: the rules failed (plugin::Scratch).
  [[nodiscard]] bool on_response_head(http::ResponseHead& head, bool may_transform,
                                      std::unique_ptr<plugin::Transform>& transform);
  void on_response_body(ConstBytes payload) { run_.on_response_body(payload); }
  void on_log(const RequestRecord& record);

 private:
  class Resume;
  [[nodiscard]] plugin::RequestInfo info() const;

  plugin::ChainRun run_;
  const TunnelKey tunnel_;
  Admission admission_;
  RequestId id_;
  std::string visitor_, host_, asked_path_;
  std::string_view scheme_;  // static text
  std::uint16_t port_ = 0;
  const plugin::Network network_;
  plugin::Scratch scratch_;
  plugin::Reply reply_;
  std::string_view host_for_origin_;
  std::vector<std::string_view> settled_;  // into filters of the chain
  std::shared_ptr<RuleRunOwner*> owner_;   // shared with those who resume, on this shard's thread only
  plugin::WaiterPtr waiter_;
};

// What the visitor gets, whole, as HTTP/1.1; `keep_alive` and the rest as ErrorPage has them.
struct ReplyContext {
  std::string_view request_id;
  std::string_view accept;
  std::string_view asked_type = {};  // the request's Content-Type
  std::string_view host;
  bool head_request = false;
  bool keep_alive = false;
  std::uint8_t visitor_minor = 1;
  std::string_view hsts = {};  // Strict-Transport-Security; "": none
  std::string_view date = {};  // of now; "": no Date
  const http::PageTemplates* templates = nullptr;
};
[[nodiscard]] std::string make_reply(const plugin::Reply& reply, const ReplyContext& context);

}  // namespace ferrotunnel::ingress
