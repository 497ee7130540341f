// Many visitors doing anything at any time to an origin doing the same, from a seed: nothing may be mixed up, left over or used after its
// end (the sanitizers and FakeStream watch).
#include <cstdio>
#include <random>
#include <set>

#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {
namespace {

class Storm {
 public:
  Storm(unsigned seed, bool portable) : random_(seed), world_(portable, options()) {
    world_.link.fill_size = std::size_t{1} << roll(15);
    world_.link.origin = [this](FakeStream& stream) { answer(stream); };
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      if (roll(3) == 0) world_.settle();
    }
    // Everyone who is still there is answered or closed in the end.
    world_.link.paused = false;
    world_.link.open_error.reset();
    world_.link.resume();
    for (auto& visitor : world_.visitors) visitor->reading = true;
    for (auto& stream : world_.link.streams)
      if (!stream->dead) stream->end(transport::ResetReason::PeerReset);
    world_.settle();
    for (auto& visitor : world_.visitors) {
      check(*visitor);
      visitor->close_with_rst();  // a FIN alone would still wait for its response
    }
    EXPECT_TRUE(world_.until([&] { return world_.ingress->stats().visitors == 0; }));
    EXPECT_EQ(world_.shard.buffers().lent(), 0u);
  }

  int answers = 0;

 private:
  static HttpIngressOptions options() {
    HttpIngressOptions options;
    options.linger_timeout = std::chrono::milliseconds(100);
    options.pool.max_idle_per_tunnel = 4;
    return options;
  }
  std::size_t roll(std::size_t n) { return random_() % n; }

  void step() {
    switch (roll(12)) {
      case 0:
        if (world_.visitors.size() < 60) (void)world_.connect(roll(3) == 0 ? 4096 : 0);
        return;
      case 1:
      case 2:
      case 3:
      case 4: return with_visitor([&](Visitor& visitor) { ask(visitor); });
      case 5: return with_visitor([&](Visitor& visitor) { visitor.reading = !visitor.reading; });
      case 6:
        if (roll(4) == 0) with_visitor([&](Visitor& visitor) { visitor.finish(); });
        return;
      case 7:
        if (roll(3) == 0) {
          with_visitor([&](Visitor& visitor) {
            check(visitor);
            roll(2) == 0 ? visitor.close() : visitor.close_with_rst();
          });
        }
        return;
      case 8:
        return with_stream([&](FakeStream& stream) { stream.end(static_cast<transport::ResetReason>(roll(12))); });
      case 9: return with_stream([&](FakeStream& stream) { stream.fin(); });
      case 10:
        world_.link.paused = roll(4) == 0;
        if (!world_.link.paused) world_.link.resume();
        return;
      default:
        if (roll(10) == 0) world_.link.lose();
        if (roll(10) == 0) world_.ingress->forget_session(HttpWorld::kSession);
        return;
    }
  }
  template <class Act>
  void with_visitor(Act&& act) {
    if (!world_.visitors.empty()) act(*world_.visitors[roll(world_.visitors.size())]);
  }
  template <class Act>
  void with_stream(Act&& act) {
    if (roll(4) != 0 || world_.link.streams.empty()) return;
    FakeStream& stream = *world_.link.streams[roll(world_.link.streams.size())];
    if (!stream.dead) act(stream);
  }

  // A request that carries a number; sometimes cut short, with a body, or wrong.
  void ask(Visitor& visitor) {
    const std::string number = std::to_string(++asked_);
    std::string request;
    switch (roll(8)) {
      case 0: request = "GET /" + number + " HTTP/1.0\r\nHost: a.test\r\n\r\n"; break;
      case 1:
        request =
            "POST /" + number + " HTTP/1.1\r\nHost: a.test\r\nContent-Length: 20000\r\n\r\n" + std::string(20'000, 'b');
        break;
      case 2:
        request = "PUT /" + number + " HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (std::size_t i = roll(30); i > 0; --i) request += "400\r\n" + std::string(1024, 'c') + "\r\n";
        request += "0\r\n\r\n";
        break;
      case 3: request = "GET /" + number + " HTTP/1.1\r\nHost: nobody.test\r\n\r\n"; break;
      case 4: request = "GET /up HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"; break;
      default: request = get("/" + number); break;
    }
    if (roll(30) == 0) request.resize(roll(request.size()));
    visitor.send(request);
  }

  // The origin reads heads and skips bodies by what they look like; it answers in one of many ways.
  void answer(FakeStream& stream) {
    stream.cut = std::size_t{1} << roll(15);
    for (std::size_t end; (end = stream.got.find("\r\n\r\n")) != std::string::npos && !stream.dead;) {
      const std::string head = stream.got.substr(0, end + 4);
      std::size_t body = 0;
      if (head.contains("Content-Length: 20000")) body = 20'000;
      if (head.contains("chunked")) {
        const std::size_t last = stream.got.find("\r\n0\r\n\r\n", end + 2);
        if (last == std::string::npos) return;
        body = last + 7 - (end + 4);
      }
      if (roll(20) != 0 && stream.got.size() < end + 4 + body) return;  // else early
      stream.got.erase(0, end + 4 + body);
      const std::size_t slash = head.find('/');
      const std::string text = "[" + head.substr(slash, head.find(' ', slash) - slash) + "]";
      switch (roll(10)) {
        case 0:
          stream.say("HTTP/1.1 200 OK\r\n\r\n" + text);
          stream.fin();
          return;
        case 1:
          stream.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                     chunked(text + std::string(roll(100'000), 'z')));
          break;
        case 2: stream.say("HTTP/1.1 103 Early Hints\r\n\r\n" + ok(text)); break;
        case 3: stream.say(ok(text, "Connection: close\r\n")); break;
        case 4: stream.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw"); break;
        case 5:
          if (roll(5) == 0) {
            stream.say("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n");
            return;
          }
          [[fallthrough]];
        default: stream.say(ok(text + std::string(roll(4) == 0 ? roll(300'000) : 0, 'y'))); break;
      }
    }
  }
  static std::string chunked(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += 5000) {
      const std::string piece = text.substr(at, 5000);
      char size[16];
      std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
      out += size + piece + "\r\n";
    }
    return out + "0\r\n\r\n";
  }

  // No visitor sees another one's answer, nor one twice, nor out of order.
  void check(Visitor& visitor) {
    const std::string got = visitor.take();
    std::size_t last = 0;
    for (std::size_t at = 0; (at = got.find("[/", at)) != std::string::npos; ++at) {
      const std::size_t end = got.find(']', at);
      if (end == std::string::npos || got.compare(at, 4, "[/up") == 0) continue;
      const std::size_t number = std::stoul(got.substr(at + 2, end - at - 2));
      EXPECT_GT(number, last);
      last = number;
      EXPECT_TRUE(answered_.insert(number).second) << number << " was answered twice";
      ++answers;
    }
  }

  std::mt19937 random_;
  std::set<std::size_t> answered_;
  HttpWorld world_;
  std::size_t asked_ = 0;
};

class HttpStorm : public HttpTest {};
FT_ON_BOTH_POLLERS(HttpStorm);

TEST_P(HttpStorm, AnythingAtAnyTime) {
  int answers = 0;
  for (unsigned seed = 1; seed <= 6 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Storm storm(seed, portable());
    storm.run(400);
    answers += storm.answers;
  }
  EXPECT_GT(answers, 100) << "the storm has to reach somebody";
}

}  // namespace
}  // namespace ferrotunnel::ingress::test
