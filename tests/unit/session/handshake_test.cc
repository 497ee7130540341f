// The handshake between two honest ends, and against wrong secrets, replays, reflections and somebody in between.
#include "session/handshake.h"

#include <gtest/gtest.h>

#include "handshake_pair.h"

namespace ferrotunnel::session {
namespace {

TEST(Handshake, Good) {
  HandshakePair pair;
  pair.run();
  ASSERT_TRUE(pair.server->done() && pair.client->done());
  for (const HandshakeBase* end :
       {static_cast<HandshakeBase*>(&*pair.server), static_cast<HandshakeBase*>(&*pair.client)}) {
    EXPECT_EQ(end->outcome().grant, "default");
    EXPECT_EQ(end->outcome().instance, pair.client_options.instance);
    EXPECT_EQ(end->outcome().session, "s-1");
    EXPECT_EQ(end->outcome().heartbeat_ms, 2500u);
    EXPECT_EQ(end->outcome().features, 0u);
  }
  EXPECT_EQ(pair.server->outcome().peer_version, "client 1");
  EXPECT_EQ(pair.client->outcome().peer_version, "server 1");
}

TEST(Handshake, GoodInPiecesOfAnySize) {
  for (const std::size_t chunk : {1, 2, 3, 7, 8, 15, 16, 17, 100}) {
    HandshakePair pair;
    pair.server_options.exporter = pair.client_options.exporter = exporter_of(1);
    pair.run(chunk);
    EXPECT_TRUE(pair.server->done() && pair.client->done()) << chunk;
  }
}

TEST(Handshake, FeaturesInForceAreThoseOfBoth) {
  HandshakePair pair;
  pair.server_options.features = 0b0110;
  pair.client_options.features = 0b1100;
  pair.run();
  ASSERT_TRUE(pair.server->done() && pair.client->done());
  EXPECT_EQ(pair.server->outcome().features, 0b0100u);
  EXPECT_EQ(pair.client->outcome().features, 0b0100u);
}

TEST(Handshake, BytesBehindItAreLeftForTheLink) {
  HandshakePair pair;
  pair.start();
  ASSERT_TRUE(pair.server->feed(pair.client->take_output()));
  ASSERT_TRUE(pair.client->feed(pair.server->take_output()));
  const Bytes auth = pair.client->take_output(), behind = frame(wire::FrameType::Ping, "12345678");
  const auto server_took = pair.server->feed(auth + behind);
  ASSERT_TRUE(server_took);
  EXPECT_EQ(*server_took, auth.size());
  const Bytes welcome = pair.server->take_output();
  const auto client_took = pair.client->feed(welcome + behind);
  ASSERT_TRUE(client_took);
  EXPECT_EQ(*client_took, welcome.size());
  EXPECT_TRUE(pair.client->done());
  EXPECT_EQ(pair.client->feed(behind).value(), 0u);
}

TEST(Handshake, CutAtEachByteItIsNeitherDoneNorFailed) {
  HandshakePair whole;
  wire::Nonce nonce{};
  whole.server_options.nonce = whole.client_options.nonce = nonce;
  whole.run();
  for (std::size_t n = 0; n < whole.to_server.size(); ++n) {
    ServerHandshake server(whole.server_options, whole.secrets);
    ASSERT_EQ(server.feed(ConstBytes(whole.to_server).first(n)).value(), n);
    EXPECT_FALSE(server.done());
    EXPECT_EQ(server.feed(ConstBytes(whole.to_server).subspan(n)).value(), whole.to_server.size() - n);
    EXPECT_TRUE(server.done());
  }
  for (std::size_t n = 0; n < whole.to_client.size(); ++n) {
    ClientHandshake client(whole.client_options);
    ASSERT_EQ(client.feed(ConstBytes(whole.to_client).first(n)).value(), n);
    EXPECT_FALSE(client.done());
    EXPECT_EQ(client.feed(ConstBytes(whole.to_client).subspan(n)).value(), whole.to_client.size() - n);
    EXPECT_TRUE(client.done());
  }
}

TEST(Handshake, WrongSecretAndUnknownGrantGetTheSameAnswer) {
  Bytes answers[2];
  for (const bool unknown : {false, true}) {
    HandshakePair pair;
    pair.server_options.nonce = wire::Nonce{};
    if (unknown) {
      pair.client_options.grant = "nobody";
    } else {
      pair.client_options.key = AuthKey::of(Secret(as_bytes("another secret of some length")));
    }
    pair.run();
    ASSERT_TRUE(pair.server_error && pair.client_error);
    EXPECT_EQ(pair.server_error->code, ErrorCode::Unauthorized);
    EXPECT_EQ(pair.client_error->code, ErrorCode::Unauthorized);
    EXPECT_EQ(pair.client_error->side, Side::Tunnel);
    EXPECT_FALSE(pair.client_error->retry);
    EXPECT_NE(pair.client_error->context.find("the token was not accepted"), std::string::npos);
    EXPECT_FALSE(pair.client->done() || pair.server->done());
    answers[unknown ? 1 : 0] = pair.to_client;
  }
  EXPECT_EQ(answers[0], answers[1]);
}

TEST(Handshake, EitherOfTwoSecretsProvesIt) {
  const Secret newer(as_bytes("another secret of enough bytes"));
  for (const bool second : {false, true}) {
    HandshakePair pair;
    pair.secrets.add("default", newer);
    if (second) pair.client_options.key = AuthKey::of(newer);
    pair.run();
    ASSERT_TRUE(pair.server->done() && pair.client->done()) << second;
    EXPECT_EQ(pair.server->outcome().key.bytes, AuthKey::of(second ? newer : pair.secret).bytes) << "which it was";
  }
  HandshakePair pair;
  pair.secrets.add("default", newer);
  pair.client_options.key = AuthKey::of(Secret(as_bytes("a third secret that nobody has")));
  pair.run();
  ASSERT_TRUE(pair.server_error && pair.client_error);
  EXPECT_EQ(pair.server_error->code, ErrorCode::Unauthorized);
}

// Who has proved the grant hears why it may not come in; who has not, never.
TEST(Handshake, AGrantThatAdmitsNobodySaysWhyOnceItIsProved) {
  for (const bool expired : {true, false}) {
    for (const bool proved : {true, false}) {
      HandshakePair pair;
      pair.secrets.refusal = expired ? Error(ErrorCode::Unauthorized, Side::Tunnel, false, "it has expired")
                                     : Error(ErrorCode::Limit, Side::Tunnel, true, "it is full");
      if (!proved) pair.client_options.key = AuthKey::random();
      pair.run();
      ASSERT_TRUE(pair.client_error);
      EXPECT_EQ(pair.client_error->code, expired || !proved ? ErrorCode::Unauthorized : ErrorCode::Refused);
      EXPECT_EQ(pair.client_error->retry, proved && !expired);
      const bool told = pair.client_error->context.find(expired ? "it has expired" : "it is full") != std::string::npos;
      EXPECT_EQ(told, proved) << pair.client_error->context;
      EXPECT_FALSE(pair.server->done());
    }
  }
}

TEST(Handshake, ReplayProvesNothing) {
  HandshakePair first;
  first.run();
  ASSERT_TRUE(first.server->done());
  ServerHandshake second(first.server_options, first.secrets);
  const auto fed = second.feed(first.to_server);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::Unauthorized);
  ClientHandshake client(first.client_options);
  const auto welcomed = client.feed(first.to_client);
  ASSERT_FALSE(welcomed);
  EXPECT_EQ(welcomed.error().code, ErrorCode::Unauthorized);
}

TEST(Handshake, NoBitOfAPrefaceCanBeChangedOnTheWay) {
  for (const bool clients : {true, false}) {
    for (std::size_t bit = 40; bit < 128; ++bit) {  // behind the magic and the major version
      HandshakePair pair;
      pair.server_options.features = pair.client_options.features = 0b1;
      pair.start();
      Bytes hello = pair.client->take_output();
      const auto flip = [bit](Bytes& bytes) { bytes[bit / 8] ^= static_cast<std::byte>(0x80 >> (bit % 8)); };
      if (clients) flip(hello);
      if (!pair.server->feed(hello)) continue;  // it became a demand that nobody knows
      Bytes challenge = pair.server->take_output();
      if (!clients) flip(challenge);
      if (!pair.client->feed(challenge)) continue;
      const auto fed = pair.server->feed(pair.client->take_output());
      ASSERT_FALSE(fed) << bit;
      EXPECT_EQ(fed.error().code, ErrorCode::Unauthorized);
    }
  }
}

TEST(Handshake, AnotherTlsConnectionInBetween) {
  for (const bool plain_on_one_side : {false, true}) {
    HandshakePair pair;
    pair.client_options.exporter = exporter_of(1);
    if (!plain_on_one_side) pair.server_options.exporter = exporter_of(2);
    pair.run();
    ASSERT_TRUE(pair.server_error);
    EXPECT_EQ(pair.server_error->code, ErrorCode::Unauthorized);
    EXPECT_FALSE(pair.client->done());
  }
}

TEST(Handshake, AReflectedProofIsNoProof) {
  // A server without the secret sends the client's own proof back.
  HandshakePair pair;
  pair.start();
  ASSERT_EQ(pair.client->take_output(), preface());
  ASSERT_TRUE(pair.client->feed(preface() + frame(wire::Challenge{{}, ""})));
  const auto auth = last_message(pair.client->take_output(), 0);
  ASSERT_TRUE(auth);
  const auto fed = pair.client->feed(frame(wire::Welcome{std::get<wire::Auth>(*auth).proof, "s", 3000}));
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::Unauthorized);
  EXPECT_FALSE(fed.error().retry);
  EXPECT_FALSE(pair.client->done());
  EXPECT_EQ(last_goaway(pair.client->output(), 0), wire::GoawayCode::Unauthorized);

  // And a client without it hands the server what a real client said to the same nonce with the nonces swapped.
  HandshakePair honest;
  honest.server_options.nonce = wire::Nonce{};
  honest.run();
  const auto welcome = last_message(honest.to_client, wire::kPrefaceSize);
  auto replayed = std::get<wire::Auth>(*last_message(honest.to_server, wire::kPrefaceSize));
  replayed.proof = std::get<wire::Welcome>(*welcome).proof;
  ServerHandshake server(honest.server_options, honest.secrets);
  const auto denied = server.feed(preface() + frame(replayed));
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code, ErrorCode::Unauthorized);
}

TEST(Handshake, TheServerIsSilentToStrangers) {
  const HandshakePair pair;
  for (const std::string_view bytes : {"G", "GET / HTTP/1.1\r\n\r\n", "FTUX", "\x16\x03\x01\x02", "FTU "}) {
    ServerHandshake server(pair.server_options, pair.secrets);
    EXPECT_TRUE(server.output().empty());
    const auto fed = server.feed(as_bytes(bytes));
    ASSERT_FALSE(fed) << bytes;
    EXPECT_EQ(fed.error().code, ErrorCode::Protocol);
    EXPECT_TRUE(server.output().empty()) << bytes;
    EXPECT_FALSE(server.feed(as_bytes("more"))) << "it stays failed";
  }
  // A client that dialled something else gives up as quickly, with nothing more to say.
  ClientHandshake client(pair.client_options);
  EXPECT_FALSE(client.feed(as_bytes("HTTP")));
  EXPECT_TRUE(client.output().empty());
}

TEST(Handshake, OtherVersionsAndDemands) {
  for (const bool demand : {false, true}) {
    HandshakePair pair;
    pair.start();
    Bytes hello = preface(demand ? std::uint64_t{1} << 40 : 0);
    if (!demand) hello[4] = std::byte{2};
    const auto fed = pair.server->feed(hello);
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().code, ErrorCode::Version);
    const Bytes answer = pair.server->take_output();
    EXPECT_EQ(last_goaway(answer, wire::kPrefaceSize), wire::GoawayCode::Version);
    // The client understands the answer.
    const auto told = pair.client->feed(answer);
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code, ErrorCode::Version);

    ClientHandshake client(pair.client_options);
    const auto met = client.feed(hello);
    ASSERT_FALSE(met);
    EXPECT_EQ(met.error().code, ErrorCode::Version);
    EXPECT_EQ(last_goaway(client.output(), wire::kPrefaceSize), wire::GoawayCode::Version);
  }
  HandshakePair minor;  // informative, never refused
  minor.start();
  Bytes hello = preface();
  hello[5] = std::byte{9};
  EXPECT_TRUE(minor.server->feed(hello));
}

TEST(Handshake, MessagesOutOfTurnEndIt) {
  const wire::Auth auth{"default", {}, {}, {}, ""};
  const std::vector<Bytes> to_server = {frame(wire::Challenge{{}, ""}),
                                        frame(wire::Welcome{{}, "", 3000}),
                                        frame(wire::Refused{"x", ""}),
                                        frame(wire::Register{1, "a", wire::TunnelProto::Tcp, "", 0}),
                                        frame(wire::Unregister{1}),
                                        frame(wire::FrameType::Control, R"({"type":"later"})"),
                                        frame(wire::FrameType::Control, "[]"),
                                        frame(wire::FrameType::Control, "{}"),
                                        frame(wire::FrameType::Ping, "12345678"),
                                        frame(wire::FrameType::Data, "x", 1),
                                        frame(wire::FrameType::Open, "12345678", 1),
                                        frame(wire::FrameType::Control, "{}", 1),
                                        frame(wire::FrameType::Control, R"({"type":"auth","grant":"default"})")};
  for (const Bytes& bytes : to_server) {
    const HandshakePair pair;
    ServerHandshake server(pair.server_options, pair.secrets);
    const auto fed = server.feed(preface() + bytes);
    ASSERT_FALSE(fed) << as_text(bytes);
    EXPECT_EQ(fed.error().code, ErrorCode::Protocol) << as_text(bytes);
    EXPECT_EQ(last_goaway(server.output(), wire::kPrefaceSize), wire::GoawayCode::Protocol) << as_text(bytes);
  }
  const Bytes challenge = frame(wire::Challenge{{}, ""});
  const std::vector<Bytes> to_client = {frame(wire::Welcome{{}, "", 3000}),
                                        frame(wire::Refused{"unauthorized", ""}),
                                        frame(auth),
                                        challenge + challenge,
                                        challenge + frame(auth),
                                        challenge + frame(wire::FrameType::Ping, "12345678"),
                                        challenge + frame(wire::Registered{1, 1, "", 0}),
                                        frame(wire::FrameType::Control, R"({"type":"later"})")};
  for (const Bytes& bytes : to_client) {
    ClientHandshake client(HandshakePair().client_options);
    const auto fed = client.feed(preface() + bytes);
    ASSERT_FALSE(fed) << as_text(bytes);
    EXPECT_EQ(fed.error().code, ErrorCode::Protocol) << as_text(bytes);
    EXPECT_EQ(last_goaway(client.output(), wire::kPrefaceSize), wire::GoawayCode::Protocol);
  }
}

TEST(Handshake, TooLongIsToldByTheHeader) {
  const HandshakePair pair;
  ServerHandshake at_limit(pair.server_options, pair.secrets);
  const std::string padding(kMaxHandshakeFrame, ' ');
  Bytes largest = frame(wire::FrameType::Control, padding);
  largest.pop_back();
  EXPECT_TRUE(at_limit.feed(preface() + largest));  // waits for the last byte
  ServerHandshake server(pair.server_options, pair.secrets);
  const Bytes long_frame = frame(wire::FrameType::Control, padding + " ");
  const auto fed = server.feed(preface() + Bytes(long_frame.begin(), long_frame.begin() + wire::kHeaderSize));
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, ErrorCode::Protocol);
}

TEST(Handshake, RefusalsAndGoawaysBecomeErrors) {
  const auto client_error = [](const Bytes& behind) {
    ClientHandshake client(HandshakePair().client_options);
    const auto fed = client.feed(preface() + frame(wire::Challenge{{}, ""}) + behind);
    EXPECT_FALSE(fed);
    return fed ? Error() : fed.error();
  };
  Error error = client_error(
      frame(wire::FrameType::Control, R"({"type":"refused","code":"unauthorized","text":"no\n\u001b[2J"})"));
  EXPECT_EQ(error.code, ErrorCode::Unauthorized);
  EXPECT_FALSE(error.retry);
  EXPECT_NE(error.context.find("no??[2J"), std::string::npos);
  error = client_error(frame(wire::Refused{"busy", "come back later"}));
  EXPECT_EQ(error.code, ErrorCode::Refused);
  EXPECT_TRUE(error.retry);

  const auto goaway = [&](std::uint32_t code) {
    std::string payload(8, '\0');
    payload[7] = static_cast<char>(code);
    return client_error(frame(wire::FrameType::Goaway, payload + "text\n"));
  };
  EXPECT_EQ(goaway(1).code, ErrorCode::Protocol);
  EXPECT_EQ(goaway(2).code, ErrorCode::Version);
  EXPECT_EQ(goaway(3).code, ErrorCode::Limit);
  EXPECT_TRUE(goaway(3).retry);
  EXPECT_EQ(goaway(6).code, ErrorCode::Unauthorized);
  EXPECT_FALSE(goaway(6).retry);
  EXPECT_EQ(goaway(0).code, ErrorCode::Refused);
  EXPECT_EQ(goaway(99).code, ErrorCode::Refused);
  EXPECT_NE(goaway(99).context.find("text?"), std::string::npos);
}

TEST(Handshake, NoncesAreFresh) {
  const HandshakePair pair;
  Bytes seen[2];
  for (Bytes& bytes : seen) {
    ServerHandshake server(pair.server_options, pair.secrets);
    ASSERT_TRUE(server.feed(preface()));
    bytes = server.take_output();
  }
  EXPECT_NE(seen[0], seen[1]);
}

TEST(Handshake, OutputInParts) {
  ClientHandshake client(HandshakePair().client_options);
  const Bytes all = preface();
  client.sent(5);
  EXPECT_EQ(Bytes(client.output().begin(), client.output().end()), Bytes(all.begin() + 5, all.end()));
  EXPECT_EQ(client.take_output(), Bytes(all.begin() + 5, all.end()));
  EXPECT_TRUE(client.output().empty());
}

}  // namespace
}  // namespace ferrotunnel::session
