// Attack: one attacker of tests/e2e/tools/hostile_client.cc: its connection, what the server answered, and how it ended. One thread.
#pragma once

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/raw_link.h"

namespace ferrotunnel::test {

inline constexpr Millis kPatience{25'000};

class Attack {
 public:
  Attack(session::JoinToken token, std::string from, std::string name)
      : token_(std::move(token)), from_(std::move(from)), name_(std::move(name)), link_(token_, from_) {}

  RawLink& link() { return link_; }
  const session::JoinToken& token() { return token_; }
  const std::string& from() { return from_; }
  void set_end(std::string end) { end_ = std::move(end); }
  void count_rejected() { ++rejected_; }

  void sign_in() {
    if (const std::string why = link_.sign_in(); !why.empty()) give_up(name_, "cannot sign in: " + why);
  }
  void magic() { link_.send(as_text(wire::encode(wire::Preface{}))); }

  // The next frame that is not the heartbeat's; counts it.
  std::optional<Frame> next(Millis patience = kPatience) {
    while (auto got = link_.next(patience)) {
      if (got->header.type == wire::FrameType::Ping || got->header.type == wire::FrameType::Pong) continue;
      count(*got);
      return got;
    }
    return std::nullopt;
  }
  // A frame of this type.
  std::optional<Frame> await(wire::FrameType type) {
    while (auto got = next())
      if (got->header.type == type) return got;
    return std::nullopt;
  }
  std::optional<std::string> ask(const std::string& json) {
    link_.send(control(json));
    auto got = await(wire::FrameType::Control);
    return got ? std::optional(got->payload) : std::nullopt;
  }

  // Whether the link still answers, and all that it said until then.
  void conclude() {
    static constexpr std::string_view kMark = "hostile!";
    link_.send(frame(wire::FrameType::Ping, 0, kMark));
    while (auto got = link_.next(kPatience)) {
      count(*got);
      if (got->header.type == wire::FrameType::Pong && got->payload == kMark) return set_end("open");
    }
    set_end(link_.ended() ? link_.end() : "silent");
  }
  // Waits for the server to end it.
  void wait_end() {
    link_.wait_end(kPatience);
    set_end(link_.ended() ? link_.end() : "silent");
  }

  void print(Millis took) {
    std::string resets;
    for (const std::uint32_t code : resets_) resets += (resets.empty() ? "" : ",") + std::to_string(code);
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    std::printf(R"({"event":"attack","attack":"%s","end":"%s","ms":%lld,"registered":%u,"rejected":%u,"resets":[%s]})"
                "\n",
                name_.c_str(), end_.c_str(), static_cast<long long>(took.count()), registered_, rejected_,
                resets.c_str());
    std::fflush(stdout);
  }

 private:
  void count(const Frame& got) {
    if (got.header.type == wire::FrameType::Reset && resets_.size() < 4)
      resets_.push_back(load_be<std::uint32_t>(as_bytes(got.payload).data()));
    if (got.header.type != wire::FrameType::Control) return;
    if (got.payload.contains("\"registered\"")) ++registered_;
    if (got.payload.contains("\"rejected\"")) ++rejected_;
  }

  const session::JoinToken token_;
  const std::string from_, name_;
  RawLink link_;
  std::string end_ = "never judged";
  unsigned registered_ = 0, rejected_ = 0;
  std::vector<std::uint32_t> resets_;
};

}  // namespace ferrotunnel::test
