// Throttle: stands between a stream and the handler of its bytes where a bandwidth limit holds, and nowhere else: a visitor without a
// limit has none.
//
// What may not pass yet stays where it is: bytes for the visitor in the stream, inside its credit; bytes of the visitor in his socket.
// The owner is told when more may pass, and asks the stream again, if it still has one. Owned by whoever owns the handler. One shard.
#pragma once

#include <memory>

#include "ingress/limits/visitor_gate.h"
#include "transport/link.h"

namespace ferrotunnel::ingress {

class ThrottleOwner {
 public:
  // Call want_write() (In) or resume_read() (Out) of the stream.
  virtual void on_allowance(Way way) = 0;

 protected:
  ~ThrottleOwner() = default;
};

class Throttle final : public transport::StreamHandler {
 public:
  Throttle(std::shared_ptr<VisitorGate> gate, transport::StreamHandler& inner, ThrottleOwner& owner);
  Throttle(const Throttle&) = delete;
  Throttle& operator=(const Throttle&) = delete;
  ~Throttle() { leave(); }

  // The stream is another's, or gone: waits for nothing any more. It may be used again.
  void leave();
  [[nodiscard]] bool waits() const { return in_.waits() || out_.waits(); }
  // Inside the handler's on_data(): the stream had more than it was shown.
  [[nodiscard]] bool withholds() const { return withholds_; }

  [[nodiscard]] std::size_t on_data(transport::Stream& stream, ConstBytes bytes) override;
  void on_fin(transport::Stream& stream) override { inner_.on_fin(stream); }
  void on_end(transport::Stream& stream, transport::StreamEnd end) override {
    leave();
    inner_.on_end(stream, end);
  }
  [[nodiscard]] transport::Fill fill(transport::Stream& stream, MutBytes into) override;

 private:
  class Share final : public BandwidthShare {
   public:
    Share(ThrottleOwner& owner, Way way) : owner_(owner), way_(way) {}

   private:
    void on_allowance() override { owner_.on_allowance(way_); }
    ThrottleOwner& owner_;
    const Way way_;
  };

  const std::shared_ptr<VisitorGate> gate_;
  transport::StreamHandler& inner_;
  Share in_, out_;
  bool withholds_ = false;
  bool gone_ = false;  // left since the call into the handler began
};

}  // namespace ferrotunnel::ingress
