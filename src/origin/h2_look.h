// H2Look: stands in front of the relay to a local service that is to speak HTTP/2, until its first byte came: by that it is seen whether it does.
//
// The server sees it too, and tells the visitor; this is for the person at the client, who has no other sign of it. Everything passes. Owned by
// whoever owns the relay; the link's shard.
#pragma once

#include "transport/link.h"

namespace ferrotunnel::origin {

class H2LookOwner {
 public:
  virtual void on_no_http2() = 0;  // from inside a call into the relay, which goes on

 protected:
  ~H2LookOwner() = default;
};

class H2Look final : public transport::StreamHandler {
 public:
  H2Look(transport::StreamHandler& relay, H2LookOwner& owner) : relay_(relay), owner_(owner) {}

  [[nodiscard]] std::size_t on_data(transport::Stream& stream, ConstBytes bytes) override {
    return relay_.on_data(stream, bytes);
  }
  void on_fin(transport::Stream& stream) override { relay_.on_fin(stream); }
  void on_end(transport::Stream& stream, transport::StreamEnd end) override { relay_.on_end(stream, end); }
  [[nodiscard]] transport::Fill fill(transport::Stream& stream, MutBytes into) override {
    const transport::Fill fill = relay_.fill(stream, into);
    if (looked_ || fill.n == 0) return fill;
    looked_ = true;
    // A frame begins with its length, of three bytes, and none is so long that the first is not 0 (RFC 9113 section 4.2).
    if (into.front() != std::byte{0}) owner_.on_no_http2();
    return fill;
  }
  [[nodiscard]] bool splices() const override { return looked_ && relay_.splices(); }
  void on_pipe(transport::Stream& stream, transport::Pipe& pipe) override { relay_.on_pipe(stream, pipe); }
  [[nodiscard]] transport::Fill fill_pipe(transport::Stream& stream, transport::Pipe& pipe, std::size_t most) override {
    return relay_.fill_pipe(stream, pipe, most);
  }

 private:
  transport::StreamHandler& relay_;
  H2LookOwner& owner_;
  bool looked_ = false;
};

}  // namespace ferrotunnel::origin
