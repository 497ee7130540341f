// Who is let in with which password, what it costs, and what is remembered.
#include <gmock/gmock.h>

#include <future>
#include <thread>

#include "http/forward.h"
#include "plugin/builtin/password.h"
#include "unit/plugin/plugin_world.h"

namespace ferrotunnel::plugin::test {
namespace {

using testing::HasSubstr;

// "ann:secret", "bob:b:b" and so on.
std::string base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0;
  int have = 0;
  for (const char c : text) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (have += 8; have >= 6; have -= 6) out += kDigits[bits >> (have - 6) & 63];
  }
  if (have > 0) out += kDigits[bits << (6 - have) & 63];
  while (out.size() % 4 != 0) out += '=';
  return out;
}
std::string basic(std::string_view credentials) { return "Authorization: Basic " + base64(credentials) + "\r\n"; }

// Cost 4, or the tests would wait.
std::string quick_hash(const std::string& password) {
  auto hash = hash_password(password);
  EXPECT_TRUE(hash);
  return *hash;
}

struct World {
  WorkerPtr worker = std::make_shared<Worker>(1);
  std::string ann = "ann:" + quick_hash("secret");
  ChainPtr chain =
      chain_of({rule("basic_auth", {{"user", ann}, {"user", "bob:" + quick_hash("b:b")}, {"realm", "here"}})}, worker);
  ~World() { worker->stop(); }

  // As the ingress does it: again when it was resumed.
  Verdict decide(Asked& asked, std::string_view more) {
    Verdict verdict = asked.get("/", more);
    if (verdict != Verdict::Wait) return verdict;
    EXPECT_TRUE(asked.counting->wait(1));
    return asked.get("/", more);
  }
};

// The head that the service gets.
std::string told(const Asked& asked) {
  std::string head;
  http::append_request_head(head, asked.head, {});
  return head;
}

TEST(BasicAuth, TheRightOneGoesOnWithoutTheCredentials) {
  World world;
  Asked asked(world.chain);
  EXPECT_EQ(asked.get("/", basic("ann:secret")), Verdict::Wait);
  ASSERT_TRUE(asked.counting->wait(1));
  EXPECT_EQ(asked.get("/", basic("ann:secret")), Verdict::Pass);
  EXPECT_FALSE(told(asked).contains("uthorization")) << told(asked);
  Asked second(world.chain);
  EXPECT_EQ(second.get("/", basic("ann:secret")), Verdict::Pass) << "it is remembered";
  Asked other(world.chain);
  EXPECT_EQ(world.decide(other, basic("bob:b:b")), Verdict::Pass) << "a password may have a colon";
}

TEST(BasicAuth, OthersAreAsked) {
  World world;
  for (const std::string& more :
       {std::string(), basic("ann:wrong"), basic("nobody:secret"), basic("ann"), basic(""), basic("ann:"), basic(":"),
        std::string("Authorization: Bearer x\r\n"), std::string("Authorization: Basic\r\n"),
        std::string("Authorization: Basic !!!!\r\n"), basic("ann:secret") + basic("ann:secret"),
        "Authorization: Basic " + std::string(2000, 'A') + "\r\n", basic(std::string_view("ann:secret\0x", 12))}) {
    Asked asked(world.chain);
    EXPECT_EQ(world.decide(asked, more), Verdict::Answer) << more;
    EXPECT_EQ(asked.reply.status, 401);
    EXPECT_EQ(asked.reply.fields.value("WWW-Authenticate"), "Basic realm=\"here\", charset=\"UTF-8\"");
  }
}

// A worker whose one thread does nothing until it is let go.
struct Held {
  explicit Held(World& world) : world(world) {
    EXPECT_TRUE(world.worker->run({"held"}, [this, gone = go.get_future().share()] {
      began.set_value();
      gone.wait();
    }));
    began.get_future().wait();
  }
  void let_go() { go.set_value(); }
  World& world;
  std::promise<void> go, began;
};
std::unique_ptr<Asked> asked_from(const ChainPtr& chain, Network network) {
  auto asked = std::make_unique<Asked>(chain);
  asked->info.network = network;
  return asked;
}

// RFC 9110 section 11.7: who says CONNECT is asked as by a proxy, and what he says to the service behind stays.
TEST(BasicAuth, OfConnectTheProxysFieldsCount) {
  World world;
  const auto connect = [&](Asked& asked, const std::string& more) {
    const std::string text = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n" + more + "\r\n";
    const Verdict verdict = asked.ask(text);
    if (verdict != Verdict::Wait) return verdict;
    EXPECT_TRUE(asked.counting->wait(1));
    return asked.ask(text);
  };
  for (const std::string& more : {std::string(), basic("ann:secret"), "Proxy-" + basic("ann:wrong")}) {
    Asked asked(world.chain);
    EXPECT_EQ(connect(asked, more), Verdict::Answer) << more;
    EXPECT_EQ(asked.reply.status, 407);
    EXPECT_EQ(asked.reply.fields.value("Proxy-Authenticate"), "Basic realm=\"here\", charset=\"UTF-8\"");
    EXPECT_EQ(asked.reply.fields.find("WWW-Authenticate"), nullptr);
  }
  Asked asked(world.chain);
  EXPECT_EQ(connect(asked, "Proxy-" + basic("ann:secret") + basic("for:service")), Verdict::Pass);
  EXPECT_FALSE(told(asked).contains("Proxy-Authorization")) << told(asked);
  EXPECT_TRUE(told(asked).contains("\r\nAuthorization: ")) << told(asked);
  Asked plain(world.chain);
  EXPECT_EQ(world.decide(plain, "Proxy-" + basic("ann:secret")), Verdict::Answer);
  EXPECT_EQ(plain.reply.status, 401);
}

// Of the tunnel, and of a part of its paths.
TEST(BasicAuth, WhoIsAskedTwiceHasToBeAUserOfBoth) {
  World world;
  const std::string ann = "ann:" + quick_hash("secret"), bob = "bob:" + quick_hash("b:b");
  world.chain = chain_of({rule("basic_auth", {{"user", ann}, {"user", bob}}),
                          rule("basic_auth", {{"user", ann}, {"realm", "part"}}, {"/part"})},
                         world.worker);
  const auto decide = [](Asked& asked, std::string_view path, std::string_view credentials) {
    Verdict verdict = asked.get(path, basic(credentials));
    for (int waits = 1; verdict == Verdict::Wait; ++waits) {
      EXPECT_TRUE(asked.counting->wait(waits));
      verdict = asked.get(path, basic(credentials));
    }
    return verdict;
  };
  for (const char* path : {"/", "/part", "/part/x"}) {
    Asked asked(world.chain);
    EXPECT_EQ(decide(asked, path, "ann:secret"), Verdict::Pass) << path;
    EXPECT_FALSE(told(asked).contains("uthorization")) << told(asked);
  }
  Asked outside(world.chain), inside(world.chain);
  EXPECT_EQ(decide(outside, "/", "bob:b:b"), Verdict::Pass);
  EXPECT_EQ(decide(inside, "/part", "bob:b:b"), Verdict::Answer);
  EXPECT_EQ(inside.reply.fields.value("WWW-Authenticate"), "Basic realm=\"part\", charset=\"UTF-8\"");
}

// What the visitors of one grant ask costs those of another one hash at most.
TEST(BasicAuth, AnotherGrantsGuessesKeepNobodyOut) {
  World world;
  const auto of_grant = [&](std::string grant) {
    const RuleText text = rule("basic_auth", {{"user", "ann:" + quick_hash("secret")}});
    return *make_chain({&text, 1}, {world.worker, std::move(grant)});
  };
  const ChainPtr theirs = of_grant("b"), ours = of_grant("a");
  Held held(world);
  std::vector<std::unique_ptr<Asked>> guesses;
  for (std::uint64_t i = 0; i < Worker::kMaxQueuedPerTunnel; ++i) {
    guesses.push_back(asked_from(theirs, {4, i % 64}));
    ASSERT_EQ(guesses.back()->get("/", basic("ann:" + std::to_string(i))), Verdict::Wait) << i;
  }
  const auto above = asked_from(theirs, {4, 99});
  EXPECT_EQ(above->get("/", basic("ann:secret")), Verdict::Answer);
  EXPECT_EQ(above->reply.slug, "auth-busy");
  const auto asked = asked_from(ours, {4, 7});  // an address that has its share waiting at the other's
  ASSERT_EQ(asked->get("/", basic("ann:secret")), Verdict::Wait);
  held.let_go();
  ASSERT_TRUE(asked->counting->wait(1));
  EXPECT_EQ(asked->get("/", basic("ann:secret")), Verdict::Pass);
  EXPECT_EQ(guesses.back()->counting->count(), 0) << "he has not waited for all of them";
  guesses.clear();
}

TEST(BasicAuth, TheSameCredentialsWaitForOneHash) {
  World world;
  Held held(world);
  Asked one(world.chain), two(world.chain);
  EXPECT_EQ(one.get("/", basic("ann:secret")), Verdict::Wait);
  EXPECT_EQ(two.get("/", basic("ann:secret")), Verdict::Wait);
  EXPECT_EQ(two.get("/", basic("ann:secret")), Verdict::Wait) << "resumed by another rule: it waits on";
  held.let_go();
  ASSERT_TRUE(one.counting->wait(1));
  ASSERT_TRUE(two.counting->wait(1));
  EXPECT_EQ(one.get("/", basic("ann:secret")), Verdict::Pass);
  EXPECT_EQ(two.get("/", basic("ann:secret")), Verdict::Pass);
}

TEST(BasicAuth, WhenTooManyWaitOthersHearSo) {
  World world;
  Held held(world);
  std::vector<std::unique_ptr<Asked>> all;
  Verdict last = Verdict::Wait;
  for (std::uint64_t i = 0; i < 2000 && last == Verdict::Wait; ++i) {
    all.push_back(asked_from(world.chain, {4, i}));
    last = all.back()->get("/", basic("ann:" + std::to_string(i)));
  }
  EXPECT_EQ(last, Verdict::Answer);
  EXPECT_EQ(all.size(), Worker::kMaxQueuedPerTunnel + 1);
  EXPECT_EQ(all.back()->reply.status, 503);
  EXPECT_EQ(all.back()->reply.slug, "auth-busy");
  EXPECT_EQ(all.back()->reply.retry_after, 1u);
  std::thread stopper([&] { world.worker->stop(); });
  held.let_go();
  stopper.join();
}

TEST(BasicAuth, OneVisitorsGuessesKeepNobodyElseOut) {
  World world;
  Held held(world);
  std::vector<std::unique_ptr<Asked>> guesses;
  for (std::size_t i = 0; i < Worker::kMaxQueuedPerNetwork; ++i) {
    guesses.push_back(asked_from(world.chain, {4, 7}));
    ASSERT_EQ(guesses.back()->get("/", basic("ann:" + std::to_string(i))), Verdict::Wait);
  }
  const auto above = asked_from(world.chain, {4, 7});
  EXPECT_EQ(above->get("/", basic("ann:secret")), Verdict::Answer);
  EXPECT_EQ(above->reply.status, 429);
  EXPECT_EQ(above->reply.slug, "auth-limit");
  EXPECT_EQ(above->reply.retry_after, 1u);
  const auto same = asked_from(world.chain, {4, 7});
  EXPECT_EQ(same->get("/", basic("ann:0")), Verdict::Wait) << "no hash more";
  const auto other = asked_from(world.chain, {4, 8});
  ASSERT_EQ(other->get("/", basic("ann:secret")), Verdict::Wait);
  held.let_go();
  ASSERT_TRUE(other->counting->wait(1));
  EXPECT_EQ(guesses[2]->counting->count(), 0) << "he waited for one of them, or two at most";
  EXPECT_EQ(other->get("/", basic("ann:secret")), Verdict::Pass);
  ASSERT_TRUE(guesses.back()->counting->wait(1));
  EXPECT_EQ(guesses.back()->get("/", basic("ann:15")), Verdict::Answer);
  EXPECT_EQ(guesses.back()->reply.status, 401);
}

TEST(BasicAuth, OneVisitorsRequestsWithOnePasswordToo) {
  World world;
  Held held(world);
  std::vector<std::unique_ptr<Asked>> all;
  Verdict last = Verdict::Wait;
  while (last == Verdict::Wait && all.size() < 200) {
    all.push_back(asked_from(world.chain, {4, 7}));
    last = all.back()->get("/", basic("ann:wrong"));
  }
  EXPECT_EQ(all.size(), 129u);
  EXPECT_EQ(all.back()->reply.slug, "auth-limit");
  all.front().reset();  // one leaves
  const auto next = asked_from(world.chain, {4, 7});
  EXPECT_EQ(next->get("/", basic("ann:wrong")), Verdict::Wait);
  held.let_go();
  ASSERT_TRUE(next->counting->wait(1));
}

TEST(BasicAuth, NoHashIsMadeForWhoHasLeft) {
  World world;
  Held held(world);
  std::vector<std::unique_ptr<Asked>> guesses;
  for (std::size_t i = 0; i < Worker::kMaxQueuedPerNetwork; ++i) {
    guesses.push_back(asked_from(world.chain, {4, 7}));
    ASSERT_EQ(guesses.back()->get("/", basic("ann:" + std::to_string(i))), Verdict::Wait);
  }
  const auto stays = asked_from(world.chain, {4, 8});  // for the same as the first of them
  ASSERT_EQ(stays->get("/", basic("ann:0")), Verdict::Wait);
  std::vector<std::shared_ptr<CountingWaiter>> gone;
  for (const auto& asked : guesses) gone.push_back(asked->counting);
  guesses.clear();
  // Their places are free at once, all but that one's.
  for (std::size_t i = 1; i < Worker::kMaxQueuedPerNetwork; ++i) {
    guesses.push_back(asked_from(world.chain, {4, 7}));
    ASSERT_EQ(guesses.back()->get("/", basic("ann:again" + std::to_string(i))), Verdict::Wait);
  }
  guesses.clear();
  std::promise<void> behind;
  ASSERT_TRUE(world.worker->run({"behind"}, [&] { behind.set_value(); }));
  held.let_go();
  behind.get_future().wait();
  ASSERT_TRUE(stays->counting->wait(1));
  EXPECT_EQ(stays->get("/", basic("ann:0")), Verdict::Answer);
  EXPECT_EQ(stays->reply.status, 401);
  for (const auto& waiter : gone) EXPECT_EQ(waiter->count(), 0);
}

TEST(BasicAuth, Mistakes) {
  const auto wrong = [](const std::string& user) { return mistake(rule("basic_auth", {{"user", user}})); };
  EXPECT_THAT(wrong("ann"), HasSubstr("NAME:HASH"));
  EXPECT_THAT(wrong("ann:secret"), HasSubstr("bcrypt"));
  EXPECT_THAT(wrong("ann:$2b$10$short"), HasSubstr("60 characters"));
  EXPECT_THAT(wrong("ann:$2b$31$" + std::string(53, 'a')), HasSubstr("cost 31"));
  EXPECT_THAT(wrong("ann:$2b$13$" + std::string(53, 'a')), HasSubstr("cost 13; 4 to 12 are taken"));
  EXPECT_EQ(wrong("ann:$2b$12$" + std::string(53, 'a')), "");
  EXPECT_THAT(wrong("ann:$y$jFT$salt$" + std::string(43, 'a')), HasSubstr("cost above 5"));
  EXPECT_THAT(wrong("ann:$1$x$" + std::string(22, 'a')), HasSubstr("bcrypt"));
  EXPECT_THAT(mistake(rule("basic_auth", {})), HasSubstr("needs a user"));
}

TEST(Password, WhatIsMadeMatches) {
  const std::string hash = quick_hash("correct horse");
  EXPECT_TRUE(check_hash(hash));
  EXPECT_TRUE(password_matches("correct horse", hash));
  EXPECT_FALSE(password_matches("correct horse ", hash));
  EXPECT_FALSE(password_matches("", hash));
  EXPECT_NE(hash, quick_hash("correct horse")) << "each has its salt";
  EXPECT_FALSE(hash_password(""));
  EXPECT_FALSE(hash_password(std::string(300, 'x')));
}

// By htpasswd -B and mkpasswd -m yescrypt.
TEST(Password, HashesOfOtherPrograms) {
  EXPECT_TRUE(password_matches("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
}

}  // namespace
}  // namespace ferrotunnel::plugin::test
