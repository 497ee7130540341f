// ServerSession, the part of its links on other shards: when one is asked for, which shard gets it, and which visitors go there.
#include <algorithm>

#include "app/server/link_spread.h"
#include "app/server/server_session.h"

namespace ferrotunnel::app {

void ServerSession::open_links() {
  if (!outcome_.attach || (outcome_.features & wire::kFeatureLinks) == 0) return;
  further_.resize(shard_.server().shards());
}

void ServerSession::want_link(unsigned shard) {
  if (shard >= further_.size() || shard == shard_.shard().index()) return;
  Further& one = further_[shard];
  if (one.state != Further::State::None || outlived_ || leaving_ || told_to_end_ || shard_.server().draining()) return;
  one.state = Further::State::Wanted;
  tell_links();
}

void ServerSession::tell_links() {
  const auto want = static_cast<std::uint32_t>(std::ranges::count_if(further_, &Further::wanted));
  if (want == links_told_ || outlived_) return;
  links_told_ = want;
  link_->send_control(wire::encode(wire::LinksWanted{want}));
}

// Nobody watches the connection: it goes to whichever shard waits for one. One that none waits for any more is taken all the same, and given
// back when it was idle: so both ends agree again on how many there are.
void ServerSession::attach_link(session::Negotiated negotiated) {
  if (outlived_ || leaving_ || told_to_end_ || shard_.server().draining()) return;
  const auto here = further_.begin() + shard_.shard().index();
  auto found = std::ranges::find(further_, Further::State::Wanted, &Further::state);
  if (found == further_.end())
    found = std::find_if(further_.begin(), further_.end(),
                         [&](const Further& one) { return &one != &*here && one.state == Further::State::None; });
  if (found == further_.end()) return;
  shard_.shard().poller().leave(negotiated.stream->fd());
  found->state = Further::State::Up;
  found->load = std::make_shared<std::atomic<std::uint32_t>>(0);
  FurtherLinkStart start;
  start.session = id_;
  start.name = outcome_.session;
  start.home = shard_.shard().index();
  start.peer = std::move(negotiated);
  start.book = book_;
  start.quota = use_ != nullptr ? use_->streams : nullptr;
  start.load = found->load;
  ServerShard& other = shard_.server().shard(static_cast<unsigned>(found - further_.begin()));
  other.shard().post([&other, start = std::move(start)]() mutable { other.add_further(std::move(start)); });
  tell_links();
}

// The client dials another one by itself, as long as it is wanted.
void ServerSession::further_link_gone(unsigned shard) {
  if (shard >= further_.size()) return;
  Further& one = further_[shard];
  one.state = one.state == Further::State::Up ? Further::State::Wanted : Further::State::None;
  one.load.reset();
  if (outlived_ && !still_used()) return end(*outlived_);
  tell_links();
}

// The client takes it back: it is as if we had.
void ServerSession::further_link_leaving(unsigned shard) {
  if (shard >= further_.size() || further_[shard].state != Further::State::Up) return;
  further_[shard].state = Further::State::Leaving;
  tell_links();
}

void ServerSession::further_link_idle(unsigned shard) {
  if (shard >= further_.size() || further_[shard].state != Further::State::Up || further_[shard].load->load() > 0)
    return;
  further_[shard].state = Further::State::Leaving;
  tell_links();  // first, or the client would dial another one in its place
  ServerShard& other = shard_.server().shard(shard);
  other.shard().post([&other, id = id_] {
    if (FurtherLink* link = other.find_further(id)) link->drain("it was idle");
  });
}

// ---- TCP visitors -------------------------------------------------------------------------------------------------

void ServerSession::look_at_load() {
  if (further_.empty()) return;
  std::uint32_t links = 1;
  std::uint64_t visitors = here_;
  const unsigned here = shard_.shard().index();
  unsigned without = here;
  for (unsigned i = 0; i < further_.size(); ++i) {
    if (further_[i].wanted()) ++links;
    if (further_[i].state == Further::State::Up) visitors += further_[i].load->load(std::memory_order_relaxed);
    if (i != here && without == here && further_[i].state == Further::State::None) without = i;
  }
  if (without != here && wants_link(visitors, links, shard_.shard().busy())) want_link(without);
}

// To the link that has the fewest, if he goes at all (link_spread.h).
bool ServerSession::on_spread(std::uint32_t number, transport::UniqueFd& fd, const transport::PeerAddress& peer,
                              ingress::VisitorSlot& slot) {
  if (links_told_ == 0 || leaving_ || shard_.server().draining()) return false;
  const unsigned here = shard_.shard().index();
  const auto count = static_cast<unsigned>(further_.size());
  unsigned best = here;
  std::uint32_t least = UINT32_MAX;
  for (unsigned i = 0; i < count; ++i) {
    const unsigned at = (next_ + i) % count;
    if (at == here || further_[at].state != Further::State::Up) continue;
    const std::uint32_t load = further_[at].load->load(std::memory_order_relaxed);
    if (load >= least) continue;
    least = load;
    best = at;
  }
  if (best == here || !goes_elsewhere(here_, least, shard_.shard().busy())) return false;
  next_ = (best + 1) % count;
  further_[best].load->fetch_add(1, std::memory_order_relaxed);
  look_at_load();
  ServerShard& other = shard_.server().shard(best);
  other.shard().post([&other, id = id_, here, number, fd = std::move(fd), peer, slot = std::move(slot),
                      load = further_[best].load]() mutable {
    other.adopt_visitor(id, here, number, std::move(fd), peer, std::move(slot), load);
  });
  return true;
}

void ServerSession::take_back(std::uint32_t number, transport::UniqueFd fd, const transport::PeerAddress& peer,
                              ingress::VisitorSlot slot) {
  const auto found = tunnels_.find(number);
  if (found == tunnels_.end() || !found->second.tcp) return transport::close_with_reset(fd.get());
  found->second.tcp->adopt(std::move(fd), peer, std::move(slot));
}

}  // namespace ferrotunnel::app
