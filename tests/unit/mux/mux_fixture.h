// What the mux tests share: handlers that record, one core fed with hand-made frames, and two cores joined in memory.
// Time is handed in; nothing waits.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mux/mux_core.h"

namespace ferrotunnel::mux::test {

using namespace std::chrono_literals;
using transport::Fill;
using transport::OpenInfo;
using transport::ResetReason;
using transport::Stream;
using transport::StreamEnd;
using wire::FrameType;
using wire::GoawayCode;

inline std::string u32(std::uint32_t value) {
  std::string text(4, '\0');
  store_be(reinterpret_cast<std::byte*>(text.data()), value);
  return text;
}

inline std::string frame(FrameType type, std::uint32_t stream, std::string_view payload, std::uint8_t flags = 0) {
  std::string text(wire::kHeaderSize, '\0');
  wire::encode_header({type, flags, static_cast<std::uint32_t>(payload.size()), stream},
                      reinterpret_cast<std::byte*>(text.data()));
  return text += payload;
}
inline std::string data(std::uint32_t stream, std::string_view payload, bool fin = false) {
  return frame(FrameType::Data, stream, payload, fin ? wire::kFlagFin : std::uint8_t{0});
}
inline std::string open_payload(std::uint32_t tunnel = 1) { return u32(tunnel) + std::string("\x01\x00\x00\x00", 4); }
inline std::string open_frame(std::uint32_t stream) { return frame(FrameType::Open, stream, open_payload()); }
inline std::string credit(std::uint32_t stream, std::uint32_t more) {
  return frame(FrameType::Credit, stream, u32(more));
}
inline std::string reset(std::uint32_t stream, std::uint32_t reason) {
  return frame(FrameType::Reset, stream, u32(reason));
}
inline std::string goaway(std::uint32_t last, std::uint32_t code, std::string_view text = "") {
  return frame(FrameType::Goaway, 0, u32(last) + u32(code) + std::string(text));
}

// A frame that a core sent.
struct Sent {
  FrameType type;
  std::uint8_t flags;
  std::uint32_t stream;
  std::string payload;
  [[nodiscard]] std::uint32_t number(std::size_t at = 0) const {
    return load_be<std::uint32_t>(as_bytes(payload).data() + at);
  }
};
inline std::vector<Sent> parse(std::string_view bytes) {
  std::vector<Sent> frames;
  while (bytes.size() >= wire::kHeaderSize) {
    const auto header = wire::decode_header(as_bytes(bytes).first<wire::kHeaderSize>());
    EXPECT_TRUE(header) << "a core sent a frame that its peer would refuse";
    if (!header || bytes.size() < wire::kHeaderSize + header->length) break;
    frames.push_back(
        {header->type, header->flags, header->stream, std::string(bytes.substr(wire::kHeaderSize, header->length))});
    bytes.remove_prefix(wire::kHeaderSize + header->length);
  }
  EXPECT_TRUE(bytes.empty()) << "half a frame";
  return frames;
}

// Records what a stream tells, sends what it was given, takes as much as it is told to.
class Recorder final : public transport::StreamHandler {
 public:
  std::string received, to_send;
  bool send_fin = false, fin_sent = false;
  bool fin = false;
  int ends = 0;
  StreamEnd end;
  std::size_t appetite = SIZE_MAX;  // bytes it still takes
  std::uint64_t fills = 0, taken = 0;
  bool keep = true;  // false: bytes are only counted
  Stream* stream = nullptr;
  bool piped = false;  // takes and gives by a pipe too
  std::uint64_t pipe_fills = 0, pipe_takes = 0;
  // Run first in each callback.
  std::function<void(Stream&)> at_data, at_fin, at_end, at_fill;

  void send(std::string_view text, bool last = false) {
    to_send += text;
    send_fin |= last;
    stream->want_write();
  }
  void take(std::size_t more = SIZE_MAX) {
    appetite = more;
    stream->resume_read();
  }

  std::size_t on_data(Stream& from, ConstBytes bytes) override {
    EXPECT_EQ(&from, stream);
    EXPECT_EQ(ends, 0);
    EXPECT_FALSE(fin) << "bytes after FIN";
    EXPECT_FALSE(bytes.empty());
    const std::size_t n = std::min(appetite, bytes.size());
    const std::string copy(as_text(bytes.first(n)));
    if (at_data) at_data(from);
    // Whatever the hook did, the bytes are there until this returns.
    EXPECT_EQ(copy, as_text(bytes.first(n)));
    if (appetite != SIZE_MAX) appetite -= n;
    taken += n;
    if (keep) received += copy;
    return n;
  }
  void on_fin(Stream& from) override {
    EXPECT_EQ(&from, stream);
    EXPECT_FALSE(fin);
    EXPECT_EQ(ends, 0);
    fin = true;
    if (at_fin) at_fin(from);
  }
  void on_end(Stream& from, StreamEnd how) override {
    EXPECT_EQ(&from, stream);
    ++ends;
    end = how;
    if (at_end) at_end(from);
    stream = nullptr;
  }
  Fill fill(Stream& from, MutBytes into) override {
    EXPECT_EQ(&from, stream);
    EXPECT_FALSE(fin_sent) << "asked for more after FIN";
    EXPECT_FALSE(into.empty()) << "asked for nothing";
    ++fills;
    if (at_fill) at_fill(from);
    const std::size_t n = std::min(into.size(), to_send.size());
    std::ranges::copy(as_bytes(to_send).first(n), into.begin());
    to_send.erase(0, n);
    const bool last = to_send.empty() && send_fin;
    fin_sent |= last;
    return {n, last, !to_send.empty()};
  }
  bool splices() const override { return piped; }
  void on_pipe(Stream& from, transport::Pipe& pipe) override {
    EXPECT_TRUE(piped);
    EXPECT_FALSE(pipe.empty());
    ++pipe_takes;
    std::string bytes(std::min(appetite, pipe.size()), '\0');
    const std::size_t before = pipe.size();
    EXPECT_EQ(pipe.read({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}), bytes.size());
    if (at_data) at_data(from);
    EXPECT_EQ(pipe.size(), before - bytes.size());
    if (appetite != SIZE_MAX) appetite -= bytes.size();
    taken += bytes.size();
    received += bytes;
  }
  Fill fill_pipe(Stream& from, transport::Pipe& pipe, std::size_t most) override {
    EXPECT_TRUE(piped && pipe.empty());
    ++pipe_fills;
    if (at_fill) at_fill(from);
    const std::size_t n = pour(pipe, std::string_view(to_send).substr(0, most));
    to_send.erase(0, n);
    const bool last = to_send.empty() && send_fin;
    fin_sent |= last;
    return {n, last, !to_send.empty()};
  }
  // As a socket would give them.
  static std::size_t pour(transport::Pipe& pipe, std::string_view bytes) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    std::size_t poured = 0;
    while (poured < bytes.size()) {
      const ssize_t n = ::send(ends[1], bytes.data() + poured, bytes.size() - poured, MSG_NOSIGNAL);
      const transport::IoResult got = pipe.fill_from(ends[0], SIZE_MAX >> 1);
      if (got.status != transport::IoStatus::Ok) break;
      poured += got.n;
      if (n != static_cast<ssize_t>(got.n)) break;  // no room for the rest: it is lost with the socket
    }
    ::close(ends[0]);
    ::close(ends[1]);
    return poured;
  }
};

class LinkRecorder final : public transport::LinkHandler {
 public:
  std::deque<Recorder> accepted;
  std::vector<OpenInfo> infos;
  std::vector<std::string> controls;
  std::vector<std::pair<std::uint32_t, std::string>> goaways;
  std::size_t appetite = SIZE_MAX;  // of streams to come
  std::function<void(Stream&, Recorder&)> at_open;
  std::function<void()> at_control, at_goaway;

  void on_open(Stream& stream, const OpenInfo& info) override {
    infos.push_back(info);
    Recorder& recorder = accepted.emplace_back();
    recorder.stream = &stream;
    recorder.appetite = appetite;
    stream.set_handler(recorder);
    if (at_open) at_open(stream, recorder);
  }
  void on_control(std::string_view json) override {
    controls.emplace_back(json);
    if (at_control) at_control();
  }
  void on_goaway(std::uint32_t code, std::string_view text) override {
    goaways.emplace_back(code, std::string(text));
    if (at_goaway) at_goaway();
  }
  void on_link_closed(const Error&) override { FAIL() << "the core does not close links"; }
};

class OutputCounter final : public MuxHost {
 public:
  int outputs = 0;
  bool producing = false;
  void on_output() override {
    EXPECT_FALSE(producing);
    ++outputs;
  }
};

// One core and everything that it needs.
struct Side {
  explicit Side(Role role, const MuxLimits& limits = {}, std::size_t memory = MemoryBudget::kDefaultLimit)
      : budget(memory), core(role, limits, pool, host, link) {}
  ~Side() {
    if (!lost) core.lost();
  }

  MemoryBudget budget;
  BufferPool pool{budget};
  OutputCounter host;
  LinkRecorder link;
  std::deque<Recorder> opened;
  MuxCore core;
  TimePoint now{1h};
  std::optional<Error> failure;
  bool lost = false;

  Recorder& open(const OpenInfo& info = {}) {
    Recorder& recorder = opened.emplace_back();
    auto stream = core.open(info, recorder);
    EXPECT_TRUE(stream) << (stream ? "" : stream.error().context);
    recorder.stream = stream ? *stream : nullptr;
    return recorder;
  }
  Recorder& accepted(std::size_t i) { return link.accepted.at(i); }

  bool feed(std::string_view bytes) {
    auto done = core.receive(as_bytes(bytes), now);
    if (!done && !failure) failure = done.error();
    return done.has_value();
  }
  void feed_cut(std::string_view bytes, std::size_t at) {
    feed(bytes.substr(0, at));
    feed(bytes.substr(at));
  }
  // One produce() of a buffer of this size.
  std::string produce(std::size_t room = 128 * 1024) {
    std::string out(room, '\xee');
    host.producing = true;
    const std::size_t n = core.produce({reinterpret_cast<std::byte*>(out.data()), out.size()}, now);
    host.producing = false;
    out.resize(n);
    return out;
  }
  std::string drain(std::size_t room = 128 * 1024) {
    std::string all;
    for (int i = 0; i < 100'000 && core.has_output(); ++i) all += produce(room);
    EXPECT_FALSE(core.has_output()) << "output without end";
    return all;
  }
  std::vector<Sent> sent() { return parse(drain()); }
  // All that was held is given back.
  void expect_nothing_left() {
    EXPECT_EQ(core.streams(), 0u);
    EXPECT_EQ(core.held(), 0u);
    EXPECT_EQ(pool.lent(), 0u);
    EXPECT_EQ(budget.used(), 0u);
  }
};

// A server's and a client's core. Bytes cross at once, or after `delay` each way.
struct Pair {
  explicit Pair(const MuxLimits& server_limits = {}, const MuxLimits& client_limits = {},
                std::size_t memory = MemoryBudget::kDefaultLimit)
      : server(Role::Server, server_limits, memory), client(Role::Client, client_limits, memory) {}

  Side server, client;
  std::size_t cut = SIZE_MAX;     // received in pieces of this size
  std::size_t room = 128 * 1024;  // of a produce()

  void set_now(TimePoint now) { server.now = client.now = now; }
  void advance(Duration by) { set_now(server.now + by); }

  // Until neither has anything to say.
  void settle() {
    for (int i = 0; i < 100'000; ++i) {
      const bool there = carry(server, client);
      const bool back = carry(client, server);
      if (!there && !back && !server.core.has_output() && !client.core.has_output()) return;
    }
    ADD_FAILURE() << "never settles";
  }
  bool carry(Side& from, Side& to) {
    if (!from.core.has_output()) return false;
    const std::string bytes = from.produce(room);
    for (std::size_t at = 0; at < bytes.size() && !to.failure; at += std::min(cut, bytes.size() - at))
      to.feed(std::string_view(bytes).substr(at, cut));
    return !bytes.empty();
  }

  // A stream that both ends know.
  std::pair<Recorder*, Recorder*> join() {
    Recorder& near = server.open();
    settle();
    return {&near, &client.link.accepted.back()};
  }
};

// A pair with a wire between: each way takes `delay`, at `bytes_per_tick` a millisecond.
struct SlowPair : Pair {
  using Pair::Pair;
  struct Flight {
    TimePoint at;
    std::string bytes;
  };
  std::deque<Flight> to_client, to_server;
  std::size_t per_ms = SIZE_MAX;

  // One millisecond.
  void tick(Duration delay) {
    advance(1ms);
    deliver(to_client, client);
    deliver(to_server, server);
    launch(server, to_client, delay);
    launch(client, to_server, delay);
  }
  void deliver(std::deque<Flight>& flights, Side& to) {
    for (; !flights.empty() && flights.front().at <= to.now; flights.pop_front()) to.feed(flights.front().bytes);
  }
  void launch(Side& from, std::deque<Flight>& flights, Duration delay) {
    for (std::size_t sent = 0; sent < per_ms && from.core.has_output();) {
      std::string bytes = from.produce(std::min<std::size_t>(128 * 1024, std::max<std::size_t>(per_ms, 4096)));
      if (bytes.empty()) break;
      sent += bytes.size();
      flights.push_back({from.now + delay, std::move(bytes)});
    }
  }
};

inline std::string pattern(std::size_t n, std::uint32_t seed = 1) {
  std::string text(n, '\0');
  std::uint32_t x = seed * 2654435761u + 1;
  for (char& c : text) {
    x = x * 1664525u + 1013904223u;
    c = static_cast<char>(x >> 24);
  }
  return text;
}

}  // namespace ferrotunnel::mux::test
