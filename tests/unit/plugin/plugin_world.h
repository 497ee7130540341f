// A request as a chain sees it, from the text of a head; and rules in one line each.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1_head.h"
#include "http/path.h"
#include "plugin/builtin/rules.h"

namespace ferrotunnel::plugin::test {

using Settings = std::vector<std::pair<std::string, std::string>>;

[[nodiscard]] inline RuleText rule(std::string name, Settings settings, std::vector<std::string> paths = {}) {
  RuleText text;
  text.name = std::move(name);
  text.settings = std::move(settings);
  text.paths = std::move(paths);
  return text;
}
[[nodiscard]] inline ChainPtr chain_of(const std::vector<RuleText>& rules, const WorkerPtr& worker = nullptr) {
  auto chain = make_chain(rules, {worker});
  EXPECT_TRUE(chain) << chain.error().context;
  return chain ? *chain : nullptr;
}
// What is wrong with it.
[[nodiscard]] inline std::string mistake(const RuleText& text) {
  const auto chain = make_chain({&text, 1}, {});
  return chain ? "" : chain.error().context;
}

class CountingWaiter final : public Waiter {
 public:
  void resume() override {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  [[nodiscard]] bool wait(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return count_ >= count; });
  }

  [[nodiscard]] int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

// One request; ask() may be called again with the same text, as after a wait.
class Asked {
 public:
  explicit Asked(ChainPtr chain) : run(std::move(chain)) {}

  Verdict ask(std::string_view head_text) {
    text = head_text;
    const auto parsed = http::parse_request_head(text, {}, head);
    EXPECT_TRUE(parsed.done()) << text;
    if (run.chain()->looks_at_paths()) {
      EXPECT_EQ(http::normalise_path(head, path), http::PathFault::None) << text;
    }
    scratch.clear();
    RequestView view{info, head, head.path_and_query, {}, {}, scratch, waiter};
    const Verdict verdict = run.on_request_head(view);
    reply = std::move(view.reply);
    host = view.host;
    return verdict;
  }
  Verdict get(std::string_view target, std::string_view more = "", std::string_view method = "GET") {
    return ask(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: a.test\r\n" + std::string(more) +
               "\r\n");
  }
  // The response's head after the chain, as "Name: value" lines.
  [[nodiscard]] std::vector<std::string> respond(std::string_view response_text) {
    response_text_ = response_text;
    EXPECT_TRUE(http::parse_response_head(response_text_, {}, {}, response).done());
    Scratch kept;
    ResponseView view{info, response, kept, false, nullptr};
    EXPECT_TRUE(run.on_response_head(view));
    return lines(response.fields);
  }
  [[nodiscard]] static std::vector<std::string> lines(const http::Fields& fields) {
    std::vector<std::string> all;
    for (const http::Field& field : fields) all.push_back(std::string(field.name) + ": " + std::string(field.value));
    return all;
  }

  std::string text, path;
  RequestInfo info{"192.0.2.7", 5000, "http", "a.test", "0123456789abcdef"};
  http::RequestHead head;
  http::ResponseHead response;
  Scratch scratch;
  std::shared_ptr<CountingWaiter> counting = std::make_shared<CountingWaiter>();
  WaiterPtr waiter = counting;
  ChainRun run;
  Reply reply;
  std::string host;

 private:
  std::string response_text_;
};

}  // namespace ferrotunnel::plugin::test
