// TLS: who is let in, and what the handshake gives.
#include "tls_fixture.h"

namespace ferrotunnel::transport::test {
namespace {

TEST(TlsHandshake, PinnedOverUnixAndTcp) {
  for (const bool tcp : {false, true}) {
    TlsPair pair(tcp ? tcp_pair() : unix_pair(), pinned_client(), server_context());
    pair.handshake();
    ASSERT_TRUE(pair.up());
    EXPECT_EQ(pair.client->version(), "TLSv1.3");
    EXPECT_FALSE(pair.client->cipher().empty());
    EXPECT_FALSE(pair.client->plain());
    EXPECT_GT(pair.client->socket_bytes_in(), 500u);
    EXPECT_EQ(pair.client->socket_bytes_in(), pair.server->socket_bytes_out());
    EXPECT_EQ(*pair.client->handshake(), TlsProgress::Done);  // may be asked again
  }
}

TEST(TlsHandshake, AesWhereBothEndsHaveItAndChaChaWhereOneHasNot) {
  const auto cipher = [](const char* client_suites, const char* server_suites) {
    const TlsClientContext client = pinned_client();
    const TlsServerContext server = server_context();
    if (client_suites != nullptr) SSL_CTX_set_ciphersuites(client.native(), client_suites);
    if (server_suites != nullptr) SSL_CTX_set_ciphersuites(server.native(), server_suites);
    TlsPair pair(unix_pair(), client, server);
    pair.handshake();
    EXPECT_TRUE(pair.up());
    EXPECT_EQ(pair.client->cipher(), pair.server->cipher());
    return std::string(pair.client->cipher());
  };
  // What a machine without AES instructions says.
  constexpr const char* kSlow = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
  constexpr const char* kChaCha = "TLS_CHACHA20_POLY1305_SHA256";
#if defined(__x86_64__)
  const bool quick = __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
  EXPECT_EQ(cipher(nullptr, nullptr), quick ? "TLS_AES_128_GCM_SHA256" : kChaCha);
#endif
  EXPECT_EQ(cipher(kSlow, nullptr), kChaCha);
  EXPECT_EQ(cipher(nullptr, kSlow), kChaCha);
  EXPECT_EQ(cipher("TLS_AES_256_GCM_SHA384", nullptr), "TLS_AES_256_GCM_SHA384");  // an end that has only that
}

TEST(TlsHandshake, ExporterIsThatOfThisConnectionAndLabel) {
  const auto connect = [] {
    TlsPair pair(unix_pair(), pinned_client(), server_context());
    EXPECT_FALSE(pair.client->exporter("EXPORTER-x"));
    pair.handshake();
    return pair;
  };
  const TlsPair one = connect(), two = connect();
  ASSERT_TRUE(one.up() && two.up());
  const auto key = one.client->exporter("EXPORTER-ferrotunnel-v1").value();
  EXPECT_EQ(key, one.server->exporter("EXPORTER-ferrotunnel-v1").value());
  EXPECT_NE(key, one.server->exporter("EXPORTER-ferrotunnel-v2").value());
  EXPECT_NE(key, two.client->exporter("EXPORTER-ferrotunnel-v1").value());
}

TEST(TlsHandshake, ByteByByte) {
  Middle middle;
  TlsPair pair(middle.ends(), pinned_client(), server_context());
  pair.handshake([&] { middle.carry(1); });
  EXPECT_TRUE(pair.up());
}

TEST(TlsHandshake, AByteChangedOnTheWayNeverMakesTwoConnectionsOfOne) {
  int broken = 0;
  for (std::size_t at = 0; at < 1200; at += 13) {
    Middle middle;
    middle.corrupt_at = at;
    TlsPair pair(middle.ends(), pinned_client(), server_context());
    bool failed = false, up = false;
    for (int round = 0; round < 100 && !failed && !up;
         ++round) {  // a longer length makes an end wait: then neither happens
      const auto c = pair.client->handshake(), s = pair.server->handshake();
      middle.carry(4096);
      failed = !c || !s;
      up = !failed && *c == TlsProgress::Done && *s == TlsProgress::Done;
    }
    broken += up ? 0 : 1;
    // A record's legacy version may be anything, and the last bytes may lie behind what both have seen.
    if (up) {
      EXPECT_EQ(pair.client->exporter("EXPORTER-x").value(), pair.server->exporter("EXPORTER-x").value()) << at;
    }
  }
  EXPECT_GT(broken, 60);
}

TEST(TlsHandshake, AnotherKeyThanThePinned) {
  TlsClientOptions options;
  options.pin = TlsIdentity::make("other").value().fingerprint();
  TlsPair pair(tcp_pair(), TlsClientContext::make(options).value(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.client_error);
  EXPECT_EQ(pair.client_error->code, ErrorCode::PinMismatch);
  EXPECT_FALSE(pair.client_error->retry);
  EXPECT_EQ(pair.client_error->context,
            "the server's key is not the one in your token. Either the server was reinstalled (ask for a new token) or "
            "someone is in between. The token has " +
                to_string(*options.pin) + ", the server showed " + to_string(server_identity().fingerprint()));
  EXPECT_FALSE(pair.client->handshake());  // it stays so
}

TEST(TlsHandshake, ACaAndAName) {
  TestCa ca("ca"), other("other ca");
  const TlsIdentity leaf = ca.issue("DNS:a.test,DNS:*.w.test,IP:127.0.0.1,IP:::1");
  const auto server = TlsServerContext::make(leaf).value();
  const auto attempt = [&](const fs::path& trusted, const std::string& host) {
    TlsClientOptions options;
    options.ca = trusted;
    TlsPair pair(unix_pair(), TlsClientContext::make(options).value(), server, host);
    pair.handshake();
    EXPECT_TRUE(pair.client_done || pair.client_error->code == ErrorCode::Tls);
    return pair.client_done ? std::string("up") : pair.client_error->context;
  };
  for (const char* host : {"a.test", "x.w.test", "127.0.0.1", "::1"}) EXPECT_EQ(attempt(ca.file(), host), "up") << host;
  EXPECT_NE(attempt(ca.file(), "b.test").find("hostname mismatch"), std::string::npos);
  EXPECT_NE(attempt(ca.file(), "x.y.w.test").find("hostname mismatch"), std::string::npos);
  EXPECT_NE(attempt(ca.file(), "127.0.0.2").find("IP address mismatch"), std::string::npos);
  EXPECT_NE(attempt(other.file(), "a.test").find("not accepted"), std::string::npos);

  // The system's store knows neither, and a name is always asked for.
  const auto system = TlsClientContext::make({});
  ASSERT_TRUE(system);
  TlsPair pair(unix_pair(), *system, server);
  pair.handshake();
  ASSERT_TRUE(pair.client_error);
  EXPECT_EQ(pair.client_error->code, ErrorCode::Tls);
  EXPECT_FALSE(TlsStream::connect(unix_pair().a.release(), *system, ""));
}

TEST(TlsHandshake, MutualTls) {
  TestCa ca("client ca"), other("other ca");
  TlsServerOptions demand;
  demand.client_ca = ca.file();
  const auto attempt = [&](std::optional<TlsIdentity> identity) {
    TlsClientOptions options;
    options.pin = server_identity().fingerprint();
    options.identity = std::move(identity);
    TlsPair pair(tcp_pair(), TlsClientContext::make(options).value(), server_context(demand));
    pair.handshake();
    return pair;
  };
  EXPECT_TRUE(attempt(ca.issue("")).up());

  const TlsPair without = attempt(std::nullopt);
  ASSERT_TRUE(without.server_error);
  EXPECT_NE(without.server_error->context.find("the client showed no certificate"), std::string::npos);
  // In TLS 1.3 the client is done before the server looks: it is told by an alert.
  ASSERT_TRUE(without.client_done);
  EXPECT_EQ(read_end(*without.client).status, IoStatus::Error);
  EXPECT_NE(without.client->failure().context.find("asks for a client certificate"), std::string::npos);

  const TlsPair wrong = attempt(other.issue(""));
  ASSERT_TRUE(wrong.server_error);
  EXPECT_NE(wrong.server_error->context.find("certificate was not accepted"), std::string::npos);
  EXPECT_EQ(read_end(*wrong.client).status, IoStatus::Error);
}

TEST(TlsHandshake, ARefusedClientThatWritesFirstLearnsWhyToo) {
  TestCa ca("client ca");
  TlsServerOptions demand;
  demand.client_ca = ca.file();
  for (const bool tcp : {false, true}) {
    TlsPair pair(tcp ? tcp_pair() : unix_pair(), pinned_client(), server_context(demand));
    pair.handshake();
    ASSERT_TRUE(pair.client_done && pair.server_error);
    pair.server.reset();
    IoResult wrote = write_text(*pair.client, "hello");
    for (int i = 0; i < 5000 && wrote.status == IoStatus::Ok;
         ++i) {  // over TCP the first finds nobody, the next learns of it
      ::usleep(1000);
      wrote = write_text(*pair.client, "hello");
    }
    EXPECT_EQ(wrote.status, IoStatus::Error);
    EXPECT_NE(pair.client->failure().context.find("asks for a client certificate"), std::string::npos)
        << pair.client->failure().context;
  }
}

TEST(TlsHandshake, Tls12OnlyWhereBothAskForIt) {
  for (const bool server_allows : {false, true}) {
    TlsServerOptions options;
    if (server_allows) options.minimum = TlsVersion::V12;
    const auto client = pinned_client(TlsVersion::V12);
    SSL_CTX_set_max_proto_version(client.native(), TLS1_2_VERSION);
    TlsPair pair(unix_pair(), client, server_context(options));
    pair.handshake();
    ASSERT_EQ(pair.up(), server_allows);
    if (server_allows) {
      EXPECT_EQ(pair.client->version(), "TLSv1.2");
      EXPECT_EQ(pair.client->exporter("EXPORTER-x").value(), pair.server->exporter("EXPORTER-x").value());
    } else {
      EXPECT_NE(pair.client_error->context.find("no TLS version in common"), std::string::npos);
      EXPECT_NE(pair.server_error->context.find("no TLS version in common"), std::string::npos);
    }
  }
}

TEST(TlsHandshake, AnEndThatDoesNotSpeakTls) {
  for (const std::string_view said :
       {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "FTUN\1\0\0\0\0\0\0\0\0\0\0\0", "SSH-2.0-x\r\n"}) {
    FdPair fds = tcp_pair();
    ASSERT_GT(::send(fds.a.get(), said.data(), said.size(), 0), 0);
    auto server = TlsStream::accept(fds.b.release(), server_context()).value();
    wait_for(server->fd(), POLLIN);
    const auto progress = server->handshake();
    ASSERT_FALSE(progress) << said;
    EXPECT_NE(progress.error().context.find("does not speak TLS"), std::string::npos)
        << said << ": " << progress.error().context;
  }
  FdPair fds = tcp_pair();
  auto client = TlsStream::connect(fds.a.release(), pinned_client(), "").value();
  EXPECT_EQ(client->handshake().value(), TlsProgress::WantRead);
  fds.b.reset();  // with the ClientHello unread: an RST
  wait_for(client->fd(), POLLIN);
  const auto reset = client->handshake();
  ASSERT_FALSE(reset);
  EXPECT_EQ(reset.error().code, ErrorCode::Io);
  EXPECT_TRUE(reset.error().retry);

  FdPair closing = tcp_pair();
  auto waiting = TlsStream::accept(closing.b.release(), server_context()).value();
  closing.a.reset();
  wait_for(waiting->fd(), POLLIN);
  const auto closed = waiting->handshake();
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code, ErrorCode::Closed);
}

}  // namespace
}  // namespace ferrotunnel::transport::test
