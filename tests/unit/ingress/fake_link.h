// FakeLink: a transport::Link in memory whose far end is the test. It keeps the contract of link.h the way the mux does (what is not taken is
// held inside a window, nothing is called twice or after the end) and fails the test when a handler uses a dead stream.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/link.h"
#include "transport/shard.h"
#include "transport/turn.h"

namespace ferrotunnel::ingress::test {

class FakeLink;

// The origin's view of one stream.
class FakeStream final : public transport::Stream {
 public:
  FakeStream(FakeLink& link, std::uint32_t id, const transport::OpenInfo& opened, transport::StreamHandler& first)
      : info(opened), link_(link), id_(id), handler_(&first) {}

  // What the test sees and sets.
  const transport::OpenInfo info;
  std::string got;  // bytes that the ingress sent
  bool got_fin = false;
  std::optional<transport::ResetReason> got_reset;
  std::size_t credit = std::size_t{1} << 30;  // bytes that the ingress may still send
  std::size_t window = 65'536;                // bytes that may be held for it
  std::size_t max_held = 0;
  std::size_t cut = 16'384;  // size of the pieces that a response arrives in
  bool dead = false;
  bool clean = false;

  // What the origin does.
  void say(std::string_view bytes) {
    outbox_.append(bytes);
    move();
  }
  void fin() {
    fin_asked_ = true;
    move();
  }
  void end(transport::ResetReason reason) {
    if (!dead) finish({false, reason}, true);
  }
  void give_credit(std::size_t n) {
    credit += n;
    pump();
  }
  [[nodiscard]] bool all_said() const { return outbox_.empty() && held_.empty(); }
  [[nodiscard]] std::string take() { return std::exchange(got, {}); }

  // transport::Stream
  void set_handler(transport::StreamHandler& handler) override {
    check("set_handler");
    handler_ = &handler;
  }
  void want_write() override;
  void resume_read() override {
    check("resume_read");
    if (dead || delivering_) return;
    deliver();
    move();
  }
  void reset(transport::ResetReason reason) override {
    check("reset");
    if (dead) return;
    got_reset = reason;
    finish({false, reason}, false);
  }
  [[nodiscard]] std::uint32_t id() const override { return id_; }
  [[nodiscard]] std::size_t held() const override { return held_.size(); }
  [[nodiscard]] bool blocked() const override { return credit == 0; }

 private:
  friend class FakeLink;

  void check(const char* call) const {
    if (dead) ADD_FAILURE() << call << "() on stream " << id_ << ", which is over";
  }
  // As far as the window allows, in pieces.
  void move() {
    while (!dead && !delivering_ && !outbox_.empty() && held_.size() < window) {
      const std::size_t n = std::min({outbox_.size(), cut, window - held_.size()});
      held_.append(outbox_, 0, n);
      outbox_.erase(0, n);
      max_held = std::max(max_held, held_.size());
      if (held_.size() == n) deliver();
    }
    if (!dead && !delivering_ && fin_asked_ && outbox_.empty() && held_.empty()) deliver_fin();
  }
  void deliver() {
    while (!dead && !held_.empty()) {
      const std::string piece = held_.substr(0, cut);
      delivering_ = true;
      const std::size_t taken = handler_->on_data(*this, as_bytes(piece));
      delivering_ = false;
      if (dead) return;
      ASSERT_LE(taken, piece.size());
      held_.erase(0, taken);
      if (taken < piece.size()) return;
    }
  }
  void deliver_fin() {
    if (fin_told_) return;
    fin_told_ = true;
    handler_->on_fin(*this);
    maybe_finish();
  }
  void maybe_finish() {
    if (!dead && fin_told_ && got_fin) finish({true, transport::ResetReason::Cancel}, true);
  }
  void finish(transport::StreamEnd how, bool tell) {
    dead = true;
    clean = how.clean;
    held_.clear();
    outbox_.clear();
    if (tell) handler_->on_end(*this, how);
  }
  void pump();

  FakeLink& link_;
  const std::uint32_t id_;
  transport::StreamHandler* handler_;
  std::string held_, outbox_;
  bool delivering_ = false, fin_asked_ = false, fin_told_ = false, wants_ = false;
};

class FakeLink final : public transport::Link, private transport::TurnTask {
 public:
  explicit FakeLink(transport::Shard& shard) : shard_(shard) {}
  ~FakeLink() override { lose(); }

  std::vector<std::unique_ptr<FakeStream>> streams;  // every one there was
  std::size_t fill_size = 16'384;                    // what a turn of a stream offers fill()
  std::optional<Error> open_error;
  std::size_t first_credit = std::size_t{1} << 30;  // of streams to come
  std::size_t first_cut = 16'384;
  bool paused = false;  // asks no stream for anything
  // The origin: called after each piece of a request; answers by say() and the like.
  std::function<void(FakeStream&)> origin;

  [[nodiscard]] FakeStream& last() { return *streams.back(); }
  [[nodiscard]] std::size_t alive() const {
    return static_cast<std::size_t>(std::ranges::count_if(streams, [](const auto& stream) { return !stream->dead; }));
  }
  void lose() {
    for (std::size_t i = 0; i < streams.size(); ++i) streams[i]->end(transport::ResetReason::LinkLost);
  }
  void resume() {
    paused = false;
    shard_.at_turn_end(*this);
  }

  [[nodiscard]] Result<transport::Stream*> open(const transport::OpenInfo& info,
                                                transport::StreamHandler& handler) override {
    if (open_error) return std::unexpected(*open_error);
    streams.push_back(
        std::make_unique<FakeStream>(*this, static_cast<std::uint32_t>(streams.size()) * 2 + 2, info, handler));
    streams.back()->credit = first_credit;
    streams.back()->cut = first_cut;
    return streams.back().get();
  }
  void send_control(std::string_view) override {}
  void ping() override {}
  void goaway(std::uint32_t, std::string_view) override {}
  void close(const Error&) override {}
  [[nodiscard]] transport::LinkCapabilities capabilities() const override { return {}; }
  [[nodiscard]] transport::LinkStatus status() const override { return {}; }

 private:
  friend class FakeStream;
  void run_turn() override {
    if (paused) return;
    for (std::size_t i = 0; i < streams.size(); ++i) streams[i]->pump();
  }

  transport::Shard& shard_;
};

inline void FakeStream::want_write() {
  check("want_write");
  wants_ = true;
  if (credit > 0 && !link_.paused) link_.shard_.at_turn_end(link_);
}

inline void FakeStream::pump() {
  std::vector<std::byte> room(link_.fill_size);
  while (!dead && wants_ && credit > 0 && !got_fin && !link_.paused) {
    wants_ = false;
    const std::size_t n = std::min(room.size(), credit);
    const transport::Fill fill = handler_->fill(*this, MutBytes(room).first(n));
    if (dead) return;
    ASSERT_LE(fill.n, n);
    got.append(reinterpret_cast<const char*>(room.data()), fill.n);
    credit -= fill.n;
    got_fin = fill.fin;
    wants_ = wants_ || fill.more;
    if (fill.n > 0 && link_.origin) link_.origin(*this);
    maybe_finish();
  }
}

}  // namespace ferrotunnel::ingress::test
