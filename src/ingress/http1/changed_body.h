// ChangedBody: the payload of one response on its way through a filter's Transform, and when what it holds has to come out.
//
// A transform gathers bytes before it gives any. When the turn in which some came ends and the response goes on, the owner hears
// on_pause(), and has it give them: what the origin said reaches the visitor without waiting for what it says next. Both versions of HTTP use
// it. Its state counts against the memory budget. Owned by an exchange; the shard's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ingress/http1/ingress_context.h"
#include "plugin/phases.h"
#include "transport/turn.h"

namespace ferrotunnel::ingress {

class ChangedBodyOwner {
 public:
  virtual void on_pause() = 0;  // pause() it, now or once there is room

 protected:
  ~ChangedBodyOwner() = default;
};

class ChangedBody final : private transport::TurnTask {
 public:
  using Until = plugin::Transform::Until;
  // What a step of so many bytes becomes, at most.
  static constexpr std::size_t kStep = plugin::Transform::kMostIn;
  static constexpr std::size_t kMostOut = plugin::Transform::kMostOut;

  ChangedBody(IngressContext& context, ChangedBodyOwner& owner, std::unique_ptr<plugin::Transform> transform);
  ChangedBody(const ChangedBody&) = delete;
  ChangedBody& operator=(const ChangedBody&) = delete;
  ~ChangedBody();

  // What comes out, good until the next call for any response of this shard. Nothing: it failed. At most kStep bytes; End at most once.
  [[nodiscard]] std::optional<ConstBytes> run(ConstBytes payload, Until until);
  // The same, appended as chunks (RFC 9112 section 7.1) or as it is; with the end goes the last chunk's line. False: it failed.
  [[nodiscard]] bool append(std::string& out, ConstBytes payload, Until until, bool chunks);

  [[nodiscard]] bool holds() const { return holds_; }  // took bytes since it last gave all
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  void run_turn() override {
    if (holds_) owner_.on_pause();
  }

  IngressContext& context_;
  ChangedBodyOwner& owner_;
  const std::unique_ptr<plugin::Transform> transform_;
  const std::size_t charged_;
  bool holds_ = false;
  bool ended_ = false;
};

// Whether a filter may give a transform for the payload of this head, which answers a request by HEAD or not. Not where memory is short.
[[nodiscard]] bool may_transform(const IngressContext& context, const http::ResponseHead& head, bool head_request);
// The head for a payload of which nobody knows the length.
void forget_length(http::ResponseHead& head, bool chunks);

}  // namespace ferrotunnel::ingress
