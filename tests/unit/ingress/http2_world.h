// H2Visitor: an HTTP/2 visitor of HttpWorld.
#pragma once

#include <string>

#include "support/h2_client.h"
#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {

using ferrotunnel::test::h2_frame;
using ferrotunnel::test::h2_get;
using ferrotunnel::test::h2_headers;
using ferrotunnel::test::H2Answer;
using ferrotunnel::test::H2Client;
using ferrotunnel::test::H2Pairs;

class H2Visitor {
 public:
  explicit H2Visitor(HttpWorld& world, bool reads = true, std::uint32_t window = 65'535)
      : client(reads, window), world_(world), visitor_(world.connect()) {}

  void move() {
    client.in(visitor_.take());
    visitor_.send(client.out());
  }
  template <class Condition>
  [[nodiscard]] bool until(Condition&& condition, Duration limit = 10s) {
    return world_.until(
        [&] {
          move();
          return condition();
        },
        limit);
  }
  [[nodiscard]] H2Answer& answer(std::int32_t id) { return client.answers[id]; }
  [[nodiscard]] bool until_closed(std::int32_t id) {
    return until([&] { return answer(id).closed; });
  }
  [[nodiscard]] Visitor& socket() { return visitor_; }

  H2Client client;

 private:
  HttpWorld& world_;
  Visitor& visitor_;
};

}  // namespace ferrotunnel::ingress::test
