// H2OriginWorld: a HttpWorld whose tunnel "h2.test" leads to services that speak HTTP/2 (support/h2_origin.h), one a stream of the link.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "support/h2_origin.h"
#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {

using ferrotunnel::test::h2_frame;
using ferrotunnel::test::h2_headers;
using ferrotunnel::test::H2Asked;
using ferrotunnel::test::H2Origin;
using ferrotunnel::test::H2OriginOptions;
using ferrotunnel::test::H2Pairs;

class H2OriginWorld {
 public:
  static constexpr std::uint32_t kTunnel = 4;
  static constexpr std::string_view kHost = "h2.test";

  explicit H2OriginWorld(bool portable, const HttpIngressOptions& options = {}, const H2OriginOptions& service = {},
                         std::size_t memory = MemoryBudget::kDefaultLimit)
      : world(portable, options, 0, memory), service_(service) {
    route::RouteTarget target{HttpWorld::kSession, kTunnel, 0};
    target.speech = route::OriginSpeech::Http2;
    EXPECT_TRUE(world.router.claim(std::string(kHost), "owner", target).has_value());
    world.link.origin = [this](FakeStream& stream) { hear(stream); };
  }
  ~H2OriginWorld() { world.link.origin = nullptr; }

  // The service behind the link's n-th stream.
  [[nodiscard]] H2Origin& service(std::size_t n = 0) { return *services_.at(world.link.streams.at(n).get()); }
  [[nodiscard]] FakeStream& stream(std::size_t n = 0) { return *world.link.streams.at(n); }
  [[nodiscard]] std::size_t connections() const { return world.link.streams.size(); }
  // What the services have to say.
  void speak() {
    for (std::size_t i = 0; i < world.link.streams.size(); ++i) {
      FakeStream& stream = *world.link.streams[i];
      if (const auto found = services_.find(&stream); found != services_.end() && !stream.dead)
        if (const std::string said = found->second->out(); !said.empty()) stream.say(said);
    }
  }
  template <class Condition>
  [[nodiscard]] bool until(Condition&& condition, Duration limit = 10s) {
    return world.until(
        [&] {
          speak();
          return condition();
        },
        limit);
  }
  [[nodiscard]] bool until_got(Visitor& visitor, std::string_view text) {
    return until([&] { return visitor.got.contains(text); });
  }
  void settle() {
    for (int i = 0; i < 5; ++i) {
      speak();
      world.settle();
    }
  }
  // A visitor of HTTP/1.1 with one request, which the service has as `id` of its n-th connection.
  [[nodiscard]] Visitor& ask(const std::string& request, std::int32_t id = 1, std::size_t n = 0) {
    Visitor& visitor = world.connect();
    visitor.send(request);
    EXPECT_TRUE(until([&] { return asked(id, n); }));
    return visitor;
  }
  [[nodiscard]] bool asked(std::int32_t id, std::size_t n = 0) {
    return connections() > n && services_.contains(world.link.streams[n].get()) && service(n).asked[id].head_over;
  }

  HttpWorld world;

 private:
  void hear(FakeStream& stream) {
    auto& service = services_[&stream];
    if (!service) service = std::make_unique<H2Origin>(service_);
    service->in(stream.take());
    if (const std::string said = service->out(); !said.empty()) stream.say(said);
  }

  const H2OriginOptions service_;
  std::map<FakeStream*, std::unique_ptr<H2Origin>> services_;
};

[[nodiscard]] inline std::string h2_site_get(std::string_view path = "/", std::string_view more = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h2.test\r\n" + std::string(more) + "\r\n";
}

}  // namespace ferrotunnel::ingress::test
