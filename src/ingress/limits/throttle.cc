#include "ingress/limits/throttle.h"

namespace ferrotunnel::ingress {

Throttle::Throttle(std::shared_ptr<VisitorGate> gate, transport::StreamHandler& inner, ThrottleOwner& owner)
    : gate_(std::move(gate)), inner_(inner), in_(owner, Way::In), out_(owner, Way::Out) {}

void Throttle::leave() {
  gone_ = true;
  gate_->lane(Way::In).leave(in_);
  gate_->lane(Way::Out).leave(out_);
}

std::size_t Throttle::on_data(transport::Stream& stream, ConstBytes bytes) {
  BandwidthLane& lane = gate_->lane(Way::Out);
  const std::size_t most = lane.take(out_, bytes.size());
  if (most == 0) return 0;
  withholds_ = most < bytes.size();
  gone_ = false;
  const std::size_t taken = inner_.on_data(stream, bytes.first(most));
  if (taken < most) lane.give_back(out_, most - taken);
  const bool whole = taken == most;
  if (gone_) return whole && withholds_ ? bytes.size() : taken;  // nobody is there for the rest
  if (whole && withholds_) lane.wait(out_);
  return taken;
}

transport::Fill Throttle::fill(transport::Stream& stream, MutBytes into) {
  BandwidthLane& lane = gate_->lane(Way::In);
  const std::size_t most = lane.take(in_, into.size());
  if (most == 0) return {};
  gone_ = false;
  transport::Fill fill = inner_.fill(stream, into.first(most));
  lane.give_back(in_, most - fill.n);
  if (gone_ || most == into.size() || !fill.more) return fill;
  fill.more = false;
  lane.wait(in_);
  return fill;
}

}  // namespace ferrotunnel::ingress
