// ClientImpl, the part of its other shards: how many there are, and what each is told of the session.
#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <system_error>

#include "app/client/client_impl.h"

namespace ferrotunnel {

using app::ClientPlace;

namespace {
// Behind a link that the server took back: whether it wants as many as before after all.
constexpr Duration kLinksLook = std::chrono::seconds(1);
}  // namespace

// One fewer than there are threads: the first link's shard is none, but where it is the only one.
void ClientImpl::make_places() {
  if (!places_.empty()) return;
  const unsigned threads = options_.threads != 0 ? options_.threads : std::max(1u, std::thread::hardware_concurrency());
  try {
    for (unsigned i = 1; i < threads; ++i) {
      auto place = std::make_unique<ClientPlace>(std::make_unique<transport::Shard>(i, budget_));
      place->shard.poller().set_busy_poll(busy_poll_);
      place->thread = std::thread([&shard = place->shard] { shard.run(); });
      places_.push_back(std::move(place));
    }
  } catch (const std::runtime_error& error) {  // no thread, or no descriptors: those that there are do it
    if (options_.on_error)
      options_.on_error(
          Error(ErrorCode::Io, Side::Local, true, std::string("cannot start another thread: ") + error.what()));
  }
  if (places_.empty()) places_.push_back(std::make_unique<ClientPlace>(shard_));
}

void ClientImpl::open_branches() {
  if (std::exchange(branches_open_, true)) return;
  make_places();
  place_links_.assign(places_.size(), 0);
  for (unsigned i = 0; i < places_.size(); ++i) {
    ClientPlace& place = *places_[i];
    place.shard.post([this, &place, i, options = *branch_options_] {
      place.branch =
          std::make_unique<app::ClientBranch>(place.shard, i, options, static_cast<app::ClientBranchHost&>(*this));
    });
  }
  tell_tunnels();
}

// More go to the places that have the fewest. Fewer: which ones, the server says by draining them.
void ClientImpl::want_links(std::uint32_t links) {
  if (links > asked_limits_.links) asked_.links_limited.fetch_add(1, std::memory_order_relaxed);
  links = std::min(links, asked_limits_.links);
  links_wanted_ = links;
  if (!branch_options_ || !links_known_ || draining_ || peer_drains_) return;
  if (links > 0) open_branches();
  std::uint32_t have = std::accumulate(place_links_.begin(), place_links_.end(), 0u);
  for (; have < links; ++have) {
    const auto least = std::ranges::min_element(place_links_);
    ++*least;
    ClientPlace& place = *places_[static_cast<std::size_t>(least - place_links_.begin())];
    place.shard.post([&place] {
      if (place.branch) place.branch->want_links(1);
    });
  }
}

// They are spread, the first shard's among them; with one thread that has them all.
void ClientImpl::want_direct(std::uint32_t direct) {
  if (branch_options_) branch_options_->direct->want(direct);
  direct = std::min({direct, asked_limits_.direct, app::DirectShare::kMostWarm});
  if (direct > 1) make_places();
  const bool alone = places_.empty() || places_.front()->own == nullptr;
  const auto shards = alone ? 1u : static_cast<std::uint32_t>(places_.size() + 1);
  direct_->want((direct + shards - 1) / shards);
  if (alone || (direct < 2 && !branches_open_)) return;
  open_branches();
  for (std::uint32_t i = 1; i < shards; ++i) {
    ClientPlace& place = *places_[i - 1];
    place.shard.post([&place, part = direct / shards + (i < direct % shards ? 1 : 0)] {
      if (place.branch) place.branch->want_direct(part);
    });
  }
}

void ClientImpl::tell_tunnels() {
  if (!branches_open_) return;
  auto table = std::make_shared<app::TunnelTable>();
  table->highest = highest_tunnel_;
  for (const Tunnel& tunnel : tunnels_) {
    if (tunnel.number == 0) continue;
    table->by_number.emplace(tunnel.number,
                             app::TunnelTable::Entry{tunnel.plan.config.name, tunnel.plan.target,
                                                     tunnel.plan.proto() == wire::TunnelProto::Tcp, tunnel.visitors});
  }
  on_places([table = app::TunnelTablePtr(std::move(table))](ClientPlace& place) {
    if (place.branch) place.branch->set_tunnels(table);
  });
}

// `finish`: who is there may. Each place tells when nobody is.
void ClientImpl::leave_branches(bool finish) {
  branch_options_.reset();
  links_wanted_ = 0;
  links_look_.disarm();
  highest_tunnel_ = 0;
  place_links_.clear();
  const bool open = std::exchange(branches_open_, false);
  if (open) branches_left_ += places_.size();
  on_places([finish, stop = stopping_](ClientPlace& place) {
    const Error why(ErrorCode::Closed, Side::Tunnel, true, "the session is over");
    if (place.branch) {
      place.left.push_back(std::move(place.branch));
      finish ? place.left.back()->leave() : place.left.back()->end(why);
    }
    if (!stop) return;
    for (const auto& left : place.left) left->end(why);
  });
}

// All that there are. From outside, while stop() is locked out.
std::vector<ClientPlace*> ClientImpl::all_places() {
  std::vector<ClientPlace*> places;
  std::promise<void> done;
  shard_.post([this, &places, &done] {
    for (const auto& place : places_) places.push_back(place.get());
    done.set_value();
  });
  done.get_future().wait();
  return places;
}

// The same: runs it on each and waits.
void ClientImpl::settle_places(const std::function<void(ClientPlace&)>& function) {
  for (ClientPlace* place : all_places()) {
    std::promise<void> done;
    place->shard.post([place, &function, &done] {
      if (function) function(*place);
      done.set_value();
    });
    done.get_future().wait();
  }
}

// The first shard's thread has ended.
void ClientImpl::stop_places() {
  for (const auto& place : places_) {
    if (place->own == nullptr) continue;
    place->shard.post([&place = *place] {
      place.branch.reset();
      place.left.clear();
      place.shard.stop();
    });
    place->thread.join();
  }
  places_.clear();
}

// ---- from the places' threads -------------------------------------------------------------------------------------

void ClientImpl::on_branch_visitor(bool came, const std::string& tunnel, std::uint64_t now, std::uint64_t total) {
  if (!options_.on_visitor) return;
  shard_.post([this, event = VisitorEvent{came, tunnel, now, total}] { options_.on_visitor(event); });
}

void ClientImpl::on_branch_origin_failed(std::uint32_t tunnel, const Error& error) {
  if (!options_.on_error) return;
  shard_.post([this, tunnel, error] { on_origin_failed(tunnel, error); });
}

void ClientImpl::on_branch_bytes(std::uint64_t in, std::uint64_t out) {
  bytes_in_.fetch_add(in, std::memory_order_relaxed);
  bytes_out_.fetch_add(out, std::memory_order_relaxed);
}

void ClientImpl::on_branch_link_drained(unsigned place, std::uint64_t session) {
  shard_.post([this, place, session] {
    if (!branch_options_ || branch_options_->session != session || place_links_[place] == 0) return;
    --place_links_[place];
    // How many are wanted now may still be on its way, on another connection.
    if (!links_look_.armed()) shard_.arm(links_look_, kLinksLook);
  });
}

// Not here and now: we are inside of it. It is found by where it is: there may be several.
void ClientImpl::on_branch_over(app::ClientBranch& branch) {
  shard_.post([this, over = &branch] {
    on_places([over](ClientPlace& place) {
      std::erase_if(place.left, [over](const auto& one) { return one.get() == over && one->over(); });
    });
    --branches_left_;
    if (stopping_ && branches_left_ == 0 && !link_) return shard_.stop();
    if (nobody_left() && !link_) link_is_down();
  });
}

}  // namespace ferrotunnel
