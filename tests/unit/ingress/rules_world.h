// Rules for the tunnel of HttpWorld: those that are built in, and filters that do what a test says.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "plugin/builtin/rules.h"
#include "unit/ingress/http_world.h"

namespace ferrotunnel::ingress::test {

class RulesTest : public HttpTest {
 protected:
  static void set_chain(HttpWorld& world, plugin::ChainPtr chain) {
    world.router.set_chain(std::string(HttpWorld::kHost), HttpWorld::kSession, std::move(chain));
  }
  static void set_rules(HttpWorld& world, const std::vector<plugin::RuleText>& rules) {
    auto chain = plugin::make_chain(rules, {});
    ASSERT_TRUE(chain) << chain.error().context;
    set_chain(world, *chain);
  }
  static void set_filter(HttpWorld& world, plugin::FilterPtr filter) {
    set_chain(world, std::make_shared<const plugin::Chain>(std::vector<plugin::Chain::Link>{{std::move(filter), {}}}));
  }
};
// Does what the test says.
struct Scripted final : plugin::Filter {
  plugin::Phases wanted;
  std::function<plugin::Verdict(plugin::RequestView&)> head = [](plugin::RequestView&) {
    return plugin::Verdict::Pass;
  };
  mutable std::string request_body, response_body;
  mutable std::vector<std::string> logged;
  mutable int response_heads = 0;
  bool waits = false;
  std::size_t refuse_after = static_cast<std::size_t>(-1);

  [[nodiscard]] plugin::Phases phases() const override { return wanted; }
  [[nodiscard]] bool may_wait() const override { return waits; }
  [[nodiscard]] plugin::Verdict on_request_head(plugin::RequestView& request, plugin::Slot&) const override {
    return head(request);
  }
  [[nodiscard]] plugin::Verdict on_request_body(ConstBytes payload, plugin::Slot&,
                                                plugin::Reply& reply) const override {
    request_body.append(as_text(payload));
    if (request_body.size() <= refuse_after) return plugin::Verdict::Pass;
    reply.status = 413;
    reply.slug = "too-much";
    reply.sentence = "Too much.";
    return plugin::Verdict::Answer;
  }
  void on_response_head(plugin::ResponseView&, plugin::Slot&) const override { ++response_heads; }
  void on_response_body(ConstBytes payload, plugin::Slot&) const override { response_body.append(as_text(payload)); }
  void on_log(const plugin::Summary& summary, plugin::Slot&) const override {
    logged.push_back(std::to_string(summary.status) + " " + std::string(summary.slug));
  }
};

// A filter that waits until the test lets it go on.
struct Waiting {
  std::shared_ptr<Scripted> filter = std::make_shared<Scripted>();
  plugin::WaiterPtr waiter;
  bool decided = false;
  int calls = 0;
  Waiting() {
    filter->wanted = {plugin::Phase::RequestHead};
    filter->head = [this](plugin::RequestView& request) {
      ++calls;
      waiter = request.waiter;
      return decided ? plugin::Verdict::Pass : plugin::Verdict::Wait;
    };
  }
};

}  // namespace ferrotunnel::ingress::test
