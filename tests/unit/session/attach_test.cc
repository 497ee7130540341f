// Further connections of a session: the handshake with `attach`, and against wrong ones, replays, other grants and clients, and older peers.
#include <gtest/gtest.h>

#include "handshake_pair.h"
#include "session/attach_book.h"

namespace ferrotunnel::session {
namespace {

wire::AttachId attach_of(std::uint8_t n) {
  wire::AttachId attach{};
  attach.fill(std::byte{n});
  return attach;
}

// A handshake with a server that has a session to attach to: attach_of(1), of the grant "default" and the pair's client.
struct AttachPair : HandshakePair {
  explicit AttachPair(std::optional<wire::AttachId> attach = attach_of(1)) {
    home->session = 17;
    home->shard = 3;
    home->grant = "default";
    home->instance = client_options.instance;
    home->direct.limit = 2;
    home->links.limit = 1;
    book.add(attach_of(1), home);
    server_options.features = client_options.features = wire::kFeatureDirect;
    server_options.attach = attach_of(2);
    server_options.attachable = &book;
    client_options.attach = attach;
  }
  std::shared_ptr<AttachHome> home = std::make_shared<AttachHome>();
  AttachBook book;
};

TEST(Attach, ASignInIsToldWhatItsFurtherConnectionsShallSay) {
  AttachPair pair(std::nullopt);
  pair.run();
  ASSERT_TRUE(pair.server->done() && pair.client->done());
  EXPECT_EQ(pair.server->outcome().attach, attach_of(2));
  EXPECT_EQ(pair.client->outcome().attach, attach_of(2));
  EXPECT_EQ(pair.server->outcome().place, nullptr);
  EXPECT_EQ(pair.home->direct.attached, 0u);
}

TEST(Attach, AFurtherConnectionGetsAPlaceAtItsSession) {
  for (const std::size_t chunk : {1, 7, 1 << 20}) {
    AttachPair pair;
    pair.server_options.exporter = pair.client_options.exporter = exporter_of(4);
    pair.run(chunk);
    ASSERT_TRUE(pair.server->done() && pair.client->done());
    ASSERT_NE(pair.server->outcome().place, nullptr);
    EXPECT_EQ(pair.server->outcome().place->home().session, 17u);
    EXPECT_EQ(pair.server->outcome().place->home().shard, 3u);
    EXPECT_EQ(pair.server->outcome().attach, std::nullopt);
    EXPECT_EQ(pair.client->outcome().attach, std::nullopt) << "welcome has none here";
    EXPECT_EQ(pair.home->direct.attached, 1u);
    pair.server.reset();
    EXPECT_EQ(pair.home->direct.attached, 0u) << "a place gives itself back";
  }
}

// It needs no room for another session, and none that the grant has is asked for.
TEST(Attach, TheGrantsSessionsAreNotCounted) {
  AttachPair pair;
  pair.secrets.refusal = Error(ErrorCode::Limit, Side::Tunnel, true, "it is full");
  pair.run();
  EXPECT_TRUE(pair.server->done() && pair.client->done());
}

TEST(Attach, AWrongProofIsUnauthorizedWhateverItAttachesTo) {
  for (const std::uint8_t to : {1, 9}) {
    AttachPair pair(attach_of(to));
    pair.client_options.key = AuthKey::random();
    pair.run();
    ASSERT_TRUE(pair.server_error && pair.client_error);
    EXPECT_EQ(pair.server_error->code, ErrorCode::Unauthorized);
    EXPECT_EQ(pair.book.refused(), 0u) << "the book is not asked by who has proved nothing";
  }
}

void expect_gone(AttachPair& pair) {
  pair.run();
  ASSERT_TRUE(pair.server_error && pair.client_error);
  EXPECT_EQ(pair.server_error->code, ErrorCode::Closed);
  EXPECT_EQ(pair.client_error->code, ErrorCode::Closed);
  EXPECT_TRUE(pair.client_error->retry);
  EXPECT_EQ(pair.home->direct.attached, 0u);
  EXPECT_EQ(pair.book.refused(), 1u);
}

TEST(Attach, AnotherOrAnEndedSessionIsGone) {
  AttachPair wrong(attach_of(9));
  expect_gone(wrong);
  AttachPair ended;
  ended.book.remove(attach_of(1));
  expect_gone(ended);
}

TEST(Attach, AnotherGrantsOrClientsSessionIsGone) {
  AttachPair client;
  client.client_options.instance.fill(std::byte{8});
  expect_gone(client);
  AttachPair grant;
  grant.secrets.add("other", grant.secret);
  grant.client_options.grant = "other";
  expect_gone(grant);
}

TEST(Attach, NoMoreThanTheLimit) {
  AttachPair pair;
  std::vector<AttachPlacePtr> places;
  for (int i = 0; i < 2; ++i) {
    auto place = pair.book.take(attach_of(1), "default", pair.client_options.instance);
    ASSERT_TRUE(place);
    places.push_back(*place);
  }
  pair.run();
  ASSERT_TRUE(pair.server_error && pair.client_error);
  EXPECT_EQ(pair.server_error->code, ErrorCode::Limit);
  EXPECT_EQ(pair.client_error->code, ErrorCode::Limit);
  EXPECT_TRUE(pair.client_error->retry);
  EXPECT_EQ(pair.home->direct.attached, 2u);
  places.pop_back();
  EXPECT_TRUE(pair.book.take(attach_of(1), "default", pair.client_options.instance));
}

// A recorded further connection, and one whose `attach` was put in, taken out or changed on the way, prove nothing.
TEST(Attach, NoMoreThanThereAreDescriptorsFor) {
  DescriptorBudget budget;
  budget.set({8, 1, 2});
  AttachBook book(budget);
  const AttachPair pair;
  book.add(attach_of(1), pair.home);
  const auto take = [&](wire::AttachAs as) {
    return book.take(attach_of(1), pair.home->grant, pair.home->instance, as);
  };
  auto first = take(wire::AttachAs::Direct);
  ASSERT_TRUE(first);
  const auto second = take(wire::AttachAs::Direct);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::Limit);
  EXPECT_TRUE(second.error().context.contains("descriptors")) << second.error().context;
  EXPECT_EQ(pair.home->direct.attached, 1u) << "no place is lost";
  EXPECT_EQ(budget.refused(DescriptorUse::Data), 1u);
  EXPECT_EQ(book.refused(), 1u);
  const auto link = take(wire::AttachAs::Link);
  EXPECT_TRUE(link) << "a link is a client's, and those have more";
  EXPECT_EQ(budget.now(DescriptorUse::Client), 1u);
  first->reset();
  EXPECT_EQ(budget.now(DescriptorUse::Data), 0u);
  EXPECT_FALSE(take(wire::AttachAs::Direct)) << "the link has it";
}

TEST(Attach, FurtherConnectionsCountAgainstTheirGrantsShare) {
  DescriptorBudget budget;
  budget.set({16, 16, 16});
  budget.share(true);
  AttachBook book(budget);
  const AttachPair pair;
  pair.home->use = std::make_shared<GrantUse>();
  pair.home->links.limit = 100;
  book.add(attach_of(1), pair.home);
  std::vector<AttachPlacePtr> places;
  while (auto place = book.take(attach_of(1), pair.home->grant, pair.home->instance, wire::AttachAs::Link))
    places.push_back(std::move(*place));
  EXPECT_EQ(places.size(), 12u);
  EXPECT_EQ(pair.home->use->descriptors, 12u);
  EXPECT_EQ(budget.refused_share(), 1u);
  places.clear();
  EXPECT_EQ(pair.home->use->descriptors, 0u);
  EXPECT_EQ(budget.now(), 0u);
}

TEST(Attach, ReplayedOrChangedOnTheWayItIsUnauthorized) {
  AttachPair recorded;
  recorded.run();
  ASSERT_TRUE(recorded.server->done());
  ServerHandshake again(recorded.server_options, recorded.secrets);
  const auto replayed = again.feed(recorded.to_server);
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().code, ErrorCode::Unauthorized);

  using Change = void (*)(wire::Auth&);
  const std::pair<std::optional<wire::AttachId>, Change> changes[] = {
      {attach_of(1), [](wire::Auth& auth) { auth.attach.reset(); }},
      {attach_of(9), [](wire::Auth& auth) { auth.attach = attach_of(1); }},
      {std::nullopt, [](wire::Auth& auth) { auth.attach = attach_of(1); }},
      {attach_of(1), [](wire::Auth& auth) { auth.as = wire::AttachAs::Link; }},
  };
  for (const auto& [attach, change] : changes) {
    AttachPair pair(attach);
    pair.server_options.features = pair.client_options.features = wire::kFeaturesOfAttach;
    pair.start();
    ASSERT_TRUE(pair.server->feed(pair.client->take_output()));
    ASSERT_TRUE(pair.client->feed(pair.server->take_output()));
    auto message = last_message(pair.client->output(), 0);
    ASSERT_TRUE(message);
    auto auth = std::get<wire::Auth>(*message);
    change(auth);
    const auto fed = pair.server->feed(frame(auth));
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().code, ErrorCode::Unauthorized);
    EXPECT_EQ(pair.home->direct.attached, 0u);
  }
}

// ---- as a link ------------------------------------------------------------------------------------------------------

struct LinkPair : AttachPair {
  LinkPair() {
    server_options.features = client_options.features = wire::kFeaturesOfAttach;
    client_options.as = wire::AttachAs::Link;
  }
};

TEST(Attach, AsALinkItIsCountedApart) {
  LinkPair pair;
  pair.run();
  ASSERT_TRUE(pair.server->done() && pair.client->done());
  ASSERT_NE(pair.server->outcome().place, nullptr);
  EXPECT_EQ(pair.server->outcome().place->as(), wire::AttachAs::Link);
  EXPECT_EQ(pair.home->links.attached, 1u);
  EXPECT_EQ(pair.home->direct.attached, 0u);
  const auto second = pair.book.take(attach_of(1), "default", pair.client_options.instance, wire::AttachAs::Link);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::Limit);
  EXPECT_TRUE(pair.book.take(attach_of(1), "default", pair.client_options.instance));
  pair.server.reset();
  EXPECT_EQ(pair.home->links.attached, 0u);
}

TEST(Attach, AServerWithLinksAloneTellsASignInWhatTheySay) {
  AttachPair pair(std::nullopt);
  pair.server_options.features = wire::kFeatureLinks;
  pair.client_options.features = wire::kFeaturesOfAttach;
  pair.run();
  ASSERT_TRUE(pair.server->done() && pair.client->done());
  EXPECT_EQ(pair.client->outcome().features, wire::kFeatureLinks);
  EXPECT_EQ(pair.client->outcome().attach, attach_of(2));
}

TEST(Attach, ALinkThatIsMadeADirectOneOnTheWayIsUnauthorized) {
  LinkPair pair;
  pair.start();
  ASSERT_TRUE(pair.server->feed(pair.client->take_output()));
  ASSERT_TRUE(pair.client->feed(pair.server->take_output()));
  auto auth = std::get<wire::Auth>(*last_message(pair.client->output(), 0));
  EXPECT_EQ(auth.as, wire::AttachAs::Link);
  auth.as = wire::AttachAs::Direct;
  const auto fed = pair.server->feed(frame(auth));
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::Unauthorized);
  EXPECT_EQ(pair.home->direct.attached + pair.home->links.attached, 0u);
}

// Either side without the feature: a sign-in as ever, without an `attach` anywhere.
TEST(Attach, WithAnOlderPeerNothingIsSaidOfIt) {
  for (const bool old_server : {true, false}) {
    AttachPair pair(std::nullopt);
    (old_server ? pair.server_options.features : pair.client_options.features) = 0;
    pair.run();
    ASSERT_TRUE(pair.server->done() && pair.client->done());
    EXPECT_EQ(pair.client->outcome().attach, std::nullopt);
    EXPECT_EQ(pair.server->outcome().attach, std::nullopt);
    EXPECT_EQ(as_text(pair.to_client).find("attach"), std::string_view::npos);
  }
}

}  // namespace
}  // namespace ferrotunnel::session
