#include "app/client/further_links.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "wire/frame.h"

namespace ferrotunnel::app {

class FurtherLinks::One final : public transport::LinkHandler {
 public:
  One(FurtherLinks& owner, session::Negotiated negotiated)
      : owner_(owner),
        began_(owner.shard_.now()),
        link_(std::make_unique<mux::MuxLink>(owner.shard_, std::move(negotiated.stream), mux::Role::Client,
                                             owner.limits_, static_cast<transport::LinkHandler&>(*this),
                                             negotiated.early)) {}

  [[nodiscard]] bool start() {
    if (!link_->start()) return false;
    keeper_ =
        std::make_unique<session::LinkKeeper>(owner_.shard_, *link_, owner_.heartbeat_, [this](std::string_view what) {
          link_->close(Error(ErrorCode::Timeout, Side::Tunnel, true, "the server " + std::string(what)));
        });
    return true;
  }
  void drain(std::string_view why) {
    leaving_ = true;
    link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Done), why);
  }
  void close(const Error& why) { link_->close(why); }
  [[nodiscard]] bool leaving() const { return leaving_; }
  [[nodiscard]] bool lasted() const { return owner_.shard_.now() - began_ >= kLasting; }
  [[nodiscard]] transport::LinkStatus status() const { return link_->status(); }

  std::list<std::unique_ptr<One>>::iterator at;

 private:
  void on_open(transport::Stream& stream, const transport::OpenInfo& info) override {
    owner_.host_.on_link_open(stream, info);
  }
  void on_control(std::string_view) override {
    ++owner_.counters_.violations;
    const Error why(ErrorCode::Protocol, Side::Tunnel, true, "a message about the session on a further link");
    link_->goaway(static_cast<std::uint32_t>(wire::GoawayCode::Protocol), why.context);
    link_->close(why);
  }
  // With another code it ends at once, and is one that broke.
  void on_goaway(std::uint32_t code, std::string_view) override {
    const bool drained = static_cast<wire::GoawayCode>(code) == wire::GoawayCode::Done && !leaving_;
    leaving_ = true;
    if (drained) owner_.drained();
  }
  void on_link_closed(const Error&) override { owner_.gone(*this); }

  FurtherLinks& owner_;
  const TimePoint began_;
  std::unique_ptr<mux::MuxLink> link_;
  std::unique_ptr<session::LinkKeeper> keeper_;
  bool leaving_ = false;
};

FurtherLinks::FurtherLinks(transport::Shard& shard, session::DialOptions dial, const mux::MuxLimits& limits,
                           const session::HeartbeatOptions& heartbeat, FurtherLinksHost& host)
    : shard_(shard), dial_(std::move(dial)), limits_(limits), heartbeat_(heartbeat), host_(host) {}

FurtherLinks::~FurtherLinks() = default;

void FurtherLinks::want_more(std::uint32_t count) {
  want_ += count;
  fill();
}

void FurtherLinks::drained() {
  if (want_ > 0) --want_;
  host_.on_link_drained();
}

void FurtherLinks::drain(std::string_view why) {
  over_ = true;
  dialer_.reset();
  transport::Deadline::disarm();
  for (const auto& link : links_) link->drain(why);
}

void FurtherLinks::close(const Error& why) {
  over_ = true;
  dialer_.reset();
  transport::Deadline::disarm();
  for (const auto& link : links_) link->close(why);
}

std::size_t FurtherLinks::serving() const {
  return static_cast<std::size_t>(std::ranges::count_if(links_, [](const auto& link) { return !link->leaving(); }));
}

void FurtherLinks::fill() {
  if (over_ || dialer_ || armed() || serving() >= want_) return;
  ++counters_.dialled;
  dialer_ = std::make_unique<session::Dialer>(shard_, dial_,
                                              [this](Result<session::Dialed> result) { dialled(std::move(result)); });
  dialer_->start();
}

void FurtherLinks::dialled(Result<session::Dialed> result) {
  const std::unique_ptr<session::Dialer> done = std::move(dialer_);
  if (!result) {
    ++counters_.failed;
    over_ = over_ || result.error().code == ErrorCode::Unauthorized;
    return wait();
  }
  links_.push_back(std::make_unique<One>(*this, std::move(result->peer)));
  One& link = *links_.back();
  link.at = std::prev(links_.end());
  if (!link.start()) {
    links_.pop_back();
    ++counters_.failed;
    return wait();
  }
  ++counters_.opened;
  fill();
}

void FurtherLinks::wait() {
  if (over_ || armed()) return;
  shard_.arm(*this, wait_);
  wait_ = std::min(wait_ * 2, kLongestWait);
}

void FurtherLinks::gone(One& link) {
  ++counters_.ended;
  if (link.lasted()) wait_ = kFirstWait;
  const transport::LinkStatus last = link.status();
  links_.erase(link.at);
  wait();
  host_.on_link_gone(last);
}

void FurtherLinks::add_status(std::uint64_t& bytes_in, std::uint64_t& bytes_out) const {
  for (const auto& link : links_) {
    const transport::LinkStatus now = link->status();
    bytes_in += now.bytes_in;
    bytes_out += now.bytes_out;
  }
}

}  // namespace ferrotunnel::app
