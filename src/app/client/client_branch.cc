#include "app/client/client_branch.h"

#include <iterator>

namespace ferrotunnel::app {

using transport::ResetReason;

namespace {

session::DialOptions as_link(session::DialOptions dial) {
  dial.handshake.as = wire::AttachAs::Link;
  return dial;
}

}  // namespace

// A stream whose tunnel the client has not heard of yet. What comes for it waits in it, inside its credit.
class ClientBranch::Early final : public transport::StreamHandler {
 public:
  Early(ClientBranch& owner, transport::Stream& s, const transport::OpenInfo& i, TimePoint until)
      : stream(&s), info(i), give_up(until), owner_(owner) {
    s.set_handler(*this);
  }
  Early(const Early&) = delete;
  Early& operator=(const Early&) = delete;
  ~Early() {
    if (stream != nullptr) stream->reset(ResetReason::NoTunnel);
  }

  transport::Stream* stream;
  const transport::OpenInfo info;
  const TimePoint give_up;
  bool finished = false;
  std::list<std::unique_ptr<Early>>::iterator at;

 private:
  std::size_t on_data(transport::Stream&, ConstBytes) override { return 0; }
  void on_fin(transport::Stream&) override { finished = true; }
  void on_end(transport::Stream&, transport::StreamEnd) override {
    stream = nullptr;
    owner_.early_.erase(at);
  }
  transport::Fill fill(transport::Stream&, MutBytes) override { return {}; }
  ClientBranch& owner_;
};

ClientBranch::ClientBranch(transport::Shard& shard, unsigned place, BranchOptions options, ClientBranchHost& host)
    : shard_(shard),
      place_(place),
      session_(options.session),
      host_(host),
      links_(shard, as_link(options.dial), options.mux, options.heartbeat, *this),
      dispatcher_(shard, origin::DispatcherOptions{options.connect_deadline, {}}, *this),
      direct_dial_(std::move(options.dial)),
      direct_share_(std::move(options.direct)) {}

ClientBranch::~ClientBranch() {
  std::uint64_t in = 0, out = 0;
  add_bytes(in, out);
  host_.on_branch_bytes(in, out);
  early_.clear();
}

const TunnelTable::Entry* ClientBranch::find(std::uint32_t number) const {
  const auto found = tunnels_->by_number.find(number);
  return found == tunnels_->by_number.end() ? nullptr : &found->second;
}

// ---- what the session says ----------------------------------------------------------------------------------------

void ClientBranch::set_tunnels(TunnelTablePtr tunnels) {
  tunnels_ = std::move(tunnels);
  for (auto at = early_.begin(); at != early_.end();) {
    Early& one = **at++;
    if (one.info.tunnel > tunnels_->highest) continue;
    transport::Stream* stream = std::exchange(one.stream, nullptr);
    const transport::OpenInfo info = one.info;
    const bool finished = one.finished;
    early_.erase(one.at);
    const TunnelTable::Entry* tunnel = find(info.tunnel);
    if (tunnel == nullptr) {
      stream->reset(ResetReason::NoTunnel);
    } else {
      dispatcher_.dispatch(*stream, info.tunnel, tunnel->target, info.visitor, finished);
    }
  }
}

void ClientBranch::want_links(std::uint32_t more) {
  if (!left_ && !ended_) links_.want_more(more);
}

void ClientBranch::want_direct(std::uint32_t count) {
  if (left_ || ended_ || (!direct_ && count == 0)) return;
  if (!direct_)
    direct_ = std::make_unique<DirectLinks>(shard_, direct_dial_, direct_share_, static_cast<DirectLinksHost&>(*this));
  direct_->want(count);
}

void ClientBranch::drain(std::string_view why) {
  direct_.reset();
  early_.clear();
  links_.drain(why);
}

void ClientBranch::leave() {
  drain("the session is over");
  left_ = true;
  look_whether_over();
}

void ClientBranch::end(const Error& why) {
  direct_.reset();
  early_.clear();
  ended_ = true;
  links_.close(why);
  look_whether_over();
}

// At the turn's end or later: we may be inside what would be destroyed.
void ClientBranch::look_whether_over() {
  if (!over() || std::exchange(told_over_, true)) return;
  host_.on_branch_over(*this);
}

// ---- visitors -----------------------------------------------------------------------------------------------------

void ClientBranch::on_link_open(transport::Stream& stream, const transport::OpenInfo& info) {
  if (const TunnelTable::Entry* tunnel = find(info.tunnel))
    return dispatcher_.dispatch(stream, info.tunnel, tunnel->target, info.visitor);
  if (info.tunnel <= tunnels_->highest || early_.size() >= kMostEarly || left_)
    return stream.reset(ResetReason::NoTunnel);
  early_.push_back(std::make_unique<Early>(*this, stream, info, shard_.now() + kEarlyWait));
  early_.back()->at = std::prev(early_.end());
  if (!Deadline::armed()) shard_.arm(*this, kEarlyWait);
}

void ClientBranch::on_deadline() {
  while (!early_.empty() && early_.front()->give_up <= shard_.now()) early_.pop_front();
  if (!early_.empty()) shard_.arm(*this, early_.front()->give_up - shard_.now());
}

void ClientBranch::on_direct_open(transport::ByteStreamPtr link, const wire::OpenPayload& open, std::string early) {
  const TunnelTable::Entry* tunnel = find(open.tunnel);
  if (tunnel == nullptr || !tunnel->tcp) {
    direct_share_->visitor_gone();
    return link->abort();
  }
  const std::uint64_t before = dispatcher_.counters().opened;
  dispatcher_.dispatch(std::move(link), std::move(early), open.tunnel, tunnel->target,
                       {open.family, open.port, open.address});
  if (dispatcher_.counters().opened == before) direct_share_->visitor_gone();  // it was not taken
}

void ClientBranch::on_origin_failed(std::uint32_t tunnel, const Error& error) {
  if (!left_) host_.on_branch_origin_failed(tunnel, error);
}

void ClientBranch::on_origin_count(std::uint32_t number, int change, transport::RelayBytes) {
  if (change > 0) {
    const TunnelTable::Entry* tunnel = counted_.contains(number) ? nullptr : find(number);
    if (tunnel != nullptr) counted_.emplace(number, *tunnel);
  }
  if (const auto found = counted_.find(number); found != counted_.end()) {
    const auto [now, total] = found->second.visitors->count(change);
    if (!left_) host_.on_branch_visitor(change > 0, found->second.name, now, total);
  }
  look_whether_over();
}

void ClientBranch::on_direct_end(transport::RelayBytes bytes) {
  direct_share_->visitor_gone();
  host_.on_branch_bytes(bytes.to_socket, bytes.from_socket);
}

void ClientBranch::on_link_gone(const transport::LinkStatus& last) {
  host_.on_branch_bytes(last.bytes_in, last.bytes_out);
  look_whether_over();
}

void ClientBranch::add_bytes(std::uint64_t& in, std::uint64_t& out) const {
  links_.add_status(in, out);
  const transport::RelayBytes direct = dispatcher_.direct_bytes();
  in += direct.to_socket;
  out += direct.from_socket;
}

}  // namespace ferrotunnel::app
