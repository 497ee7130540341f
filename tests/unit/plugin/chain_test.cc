// Chains: which filters are called for which request and phase, in which order; what waits.
#include "plugin/chain.h"

#include <gmock/gmock.h>

#include "unit/plugin/plugin_world.h"

namespace ferrotunnel::plugin::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Writes down what it is called for.
class Noting final : public Filter {
 public:
  Noting(std::string name, Phases phases, std::vector<std::string>& notes, std::vector<Verdict> verdicts = {})
      : name_(std::move(name)), phases_(phases), notes_(notes), verdicts_(std::move(verdicts)) {}
  [[nodiscard]] Phases phases() const override { return phases_; }
  [[nodiscard]] Verdict on_request_head(RequestView&, Slot& slot) const override {
    notes_.push_back(name_ + " request " + std::to_string(slot.number));
    return slot.number < verdicts_.size() ? verdicts_[slot.number++] : Verdict::Pass;
  }
  [[nodiscard]] Verdict on_request_body(ConstBytes payload, Slot&, Reply&) const override {
    notes_.push_back(name_ + " body " + std::to_string(payload.size()));
    return Verdict::Pass;
  }
  void on_response_head(ResponseView&, Slot&) const override { notes_.push_back(name_ + " response"); }
  void on_response_body(ConstBytes, Slot&) const override { notes_.push_back(name_ + " payload"); }
  void on_log(const Summary& summary, Slot&) const override {
    notes_.push_back(name_ + " log " + std::to_string(summary.status));
  }

 private:
  std::string name_;
  Phases phases_;
  std::vector<std::string>& notes_;
  std::vector<Verdict> verdicts_;
};

struct Notes {
  std::vector<std::string> lines;
  [[nodiscard]] Chain::Link link(std::string name, Phases phases, Match match = {},
                                 std::vector<Verdict> verdicts = {}) {
    return {std::make_shared<Noting>(std::move(name), phases, lines, std::move(verdicts)), std::move(match)};
  }
};

void all_phases(Asked& asked) {
  Reply reply;
  (void)asked.run.on_request_body(as_bytes("abc"), reply);
  (void)asked.respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  asked.run.on_response_body(as_bytes("abc"));
  asked.run.on_log({asked.info, 200, 1, 2, ""});
}

TEST(Chain, OnlyThoseWhoWantAPhaseAreCalledForIt) {
  Notes notes;
  const auto chain = std::make_shared<const Chain>(std::vector<Chain::Link>{
      notes.link("a", {Phase::RequestHead}), notes.link("b", {Phase::RequestHead, Phase::Log})});
  EXPECT_TRUE(chain->wants(Phase::RequestHead));
  EXPECT_TRUE(chain->wants(Phase::Log));
  EXPECT_FALSE(chain->wants(Phase::RequestBody));
  EXPECT_FALSE(chain->wants(Phase::ResponseHead));
  EXPECT_FALSE(chain->wants(Phase::ResponseBody));
  Asked asked(chain);
  EXPECT_EQ(asked.get("/"), Verdict::Pass);
  all_phases(asked);
  EXPECT_THAT(notes.lines, ElementsAre("a request 0", "b request 0", "b log 200"));
}

TEST(Chain, AllPhasesInOrder) {
  Notes notes;
  const Phases all{Phase::RequestHead, Phase::RequestBody, Phase::ResponseHead, Phase::ResponseBody, Phase::Log};
  Asked asked(std::make_shared<const Chain>(std::vector<Chain::Link>{notes.link("a", all)}));
  EXPECT_EQ(asked.get("/"), Verdict::Pass);
  all_phases(asked);
  EXPECT_THAT(notes.lines, ElementsAre("a request 0", "a body 3", "a response", "a payload", "a log 200"));
}

TEST(Chain, WhoDoesNotMatchIsOutOfAllPhases) {
  Notes notes;
  const Phases all{Phase::RequestHead, Phase::RequestBody, Phase::ResponseHead, Phase::ResponseBody, Phase::Log};
  Asked asked(std::make_shared<const Chain>(
      std::vector<Chain::Link>{notes.link("path", all, {{"/api"}, {}}), notes.link("post", all, {{}, {{"POST"}, {}}}),
                               notes.link("header", all, {{}, {{}, {{"X-Beta", "yes"}}}})}));
  EXPECT_EQ(asked.get("/other"), Verdict::Pass);
  all_phases(asked);
  EXPECT_THAT(notes.lines, IsEmpty());
  EXPECT_EQ(asked.get("/x/../api?q", "x-beta: yes\r\n"), Verdict::Pass);
  EXPECT_THAT(notes.lines, ElementsAre("path request 0", "header request 0"));
  notes.lines.clear();
  EXPECT_EQ(asked.get("/", "X-Beta: no\r\n", "POST"), Verdict::Pass);
  EXPECT_THAT(notes.lines, ElementsAre("post request 0"));
}

TEST(Chain, TheFirstToAnswerIsTheLastToBeAsked) {
  Notes notes;
  Asked asked(std::make_shared<const Chain>(std::vector<Chain::Link>{
      notes.link("a", {Phase::RequestHead}), notes.link("b", {Phase::RequestHead}, {}, {Verdict::Answer}),
      notes.link("c", {Phase::RequestHead})}));
  EXPECT_EQ(asked.get("/"), Verdict::Answer);
  EXPECT_THAT(notes.lines, ElementsAre("a request 0", "b request 0"));
}

TEST(Chain, AfterAWaitItBeginsAgainWithItsSlots) {
  Notes notes;
  Asked asked(std::make_shared<const Chain>(
      std::vector<Chain::Link>{notes.link("a", {Phase::RequestHead}),
                               notes.link("b", {Phase::RequestHead}, {}, {Verdict::Wait, Verdict::Pass})}));
  EXPECT_EQ(asked.get("/"), Verdict::Wait);
  EXPECT_EQ(asked.get("/"), Verdict::Pass);
  EXPECT_THAT(notes.lines, ElementsAre("a request 0", "b request 0", "a request 0", "b request 1"));
}

}  // namespace
}  // namespace ferrotunnel::plugin::test
