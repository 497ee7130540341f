// HTTPS for visitors through the public API: certificates by name, reloads under load, redirects, and what is said of it.
#include <cstdlib>
#include <fstream>

#include "integration/api_world.h"
#include "support/https_certificates.h"

namespace ferrotunnel::api_test {
namespace {

using ferrotunnel::test::HttpsCa;
using ferrotunnel::test::TlsVisitor;

// A blocking connection of a visitor's to the HTTPS port.
class SecureSocket {
 public:
  SecureSocket(std::uint16_t port, const std::string& name, SSL_SESSION* session = nullptr)
      : socket_(Socket::connect(port)),
        visitor_{.name = name, .session = session},
        context_(visitor_.context()),
        ssl_(visitor_.connect(context_.get(), socket_.fd())) {
    up = SSL_do_handshake(ssl_.get()) == 1;
  }
  std::string ask(const std::string& host, const std::string& path = "/") {
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
    if (!up || SSL_write(ssl_.get(), request.data(), static_cast<int>(request.size())) <= 0) return {};
    std::string all;
    while (true) {
      const auto head = all.find("\r\n\r\n");
      if (head != std::string::npos) {
        const auto length = all.find("ontent-Length: ");
        const std::size_t body = length < head ? static_cast<std::size_t>(std::atoi(all.c_str() + length + 15)) : 0;
        if (all.size() >= head + 4 + body) return all;
      }
      std::array<char, 4096> bytes{};
      const int n = SSL_read(ssl_.get(), bytes.data(), bytes.size());
      if (n <= 0) return all;
      all.append(bytes.data(), static_cast<std::size_t>(n));
    }
  }
  [[nodiscard]] std::string subject() const {
    std::array<char, 64> name{};
    if (up)
      X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(ssl_.get())), NID_commonName,
                                name.data(), name.size());
    return name.data();
  }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  bool up = false;

 private:
  Socket socket_;
  TlsVisitor visitor_;
  TlsVisitor::ContextPtr context_;
  TlsVisitor::SslPtr ssl_;
};

class ApiHttps : public testing::Test {
 protected:
  ApiHttps() {
    ca.issue("one", "DNS:one.test");
    ca.issue("two", "DNS:two.test,DNS:*.wild.test");
    config.listen = config.http_listen = config.https_listen = "127.0.0.1:0";
    config.tcp_listen_host = "127.0.0.1";
    config.state_dir = state.path;
    config.tls = false;
    config.threads = 2;
    config.certificates_dir = certificates.path;
  }
  void start() {
    auto built = ServerBuilder(config)
                     .on_error([this](const Error& e) { log.add("error " + e.context); })
                     .on_request([this](const RequestEvent& e) { log.add("request " + std::to_string(e.status)); })
                     .build();
    ASSERT_TRUE(built) << built.error().context;
    server.emplace(std::move(*built));
    auto started = server->start();
    ASSERT_TRUE(started) << started.error().context;
    ready = *started;
    client = std::make_unique<TestClient>(ready.join_token, [this](ClientBuilder& b) {
      b.http("one", web.at(), "one.test").http("two", web.at(), "two.test").http("wild", web.at(), "*.wild.test");
    });
    ASSERT_TRUE(client->wait_up("one") && client->wait_up("two") && client->wait_up("wild")) << client->log.text();
  }
  [[nodiscard]] std::uint16_t port() const { return port_of(ready.https_listen); }

  const TemporaryDirectory state, certificates;
  HttpsCa ca{certificates.path};
  const Service web{Service::http("web")};
  ServerConfig config;
  Log log;
  ServerReady ready;
  std::optional<Server> server;
  std::unique_ptr<TestClient> client;
};

TEST_F(ApiHttps, ByName) {
  start();
  EXPECT_EQ(client->up("one").public_url, "https://one.test:" + std::to_string(port()));
  for (const auto& [name, subject] : {std::pair{"one.test", "one"}, {"two.test", "two"}, {"a.wild.test", "two"}}) {
    SecureSocket visitor(port(), name);
    EXPECT_EQ(visitor.subject(), subject);
    EXPECT_TRUE(visitor.ask(name, "/a").ends_with("web GET /a")) << name;
    EXPECT_TRUE(visitor.ask(name, "/b").ends_with("web GET /b")) << name;
  }
  EXPECT_FALSE(SecureSocket(port(), "three.test").up);
  SecureSocket misled(port(), "one.test");
  EXPECT_TRUE(misled.ask("two.test").starts_with("HTTP/1.1 421 "));
  EXPECT_TRUE(eventually([&] { return server->status().visitor_tls.failed == 1; }));
  EXPECT_EQ(server->status().visitor_tls.done, 4u);
  // Plain HTTP goes on as before.
  EXPECT_EQ(get(port_of(ready.http_listen), "one.test").body, "web GET /");
}

TEST_F(ApiHttps, PlainHttpAtThePortIsTold) {
  start();
  const Socket visitor = Socket::connect(port());
  ASSERT_TRUE(visitor.send("GET / HTTP/1.1\r\nHost: one.test\r\n\r\n"));
  const Answer answer = read_answer(visitor);
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.body.find("https://"), std::string::npos);
  EXPECT_EQ(visitor.end(), "FIN");
  EXPECT_EQ(server->status().visitor_tls.plain_http, 1u);
}

TEST_F(ApiHttps, RedirectAndHsts) {
  config.https_redirect = true;
  config.hsts = std::chrono::hours(24 * 365);
  start();
  const Answer moved = get(port_of(ready.http_listen), "one.test", "/x?y");
  EXPECT_EQ(moved.status, 308);
  EXPECT_NE(moved.head.find("\r\nLocation: https://one.test:" + std::to_string(port()) + "/x?y\r\n"), std::string::npos)
      << moved.head;
  EXPECT_EQ(moved.head.find("Strict"), std::string::npos);
  SecureSocket visitor(port(), "one.test");
  EXPECT_NE(visitor.ask("one.test").find("\r\nStrict-Transport-Security: max-age=31536000\r\n"), std::string::npos);
  config.https_redirect = false;
  config.hsts = std::chrono::milliseconds(0);
  ASSERT_TRUE(server->reload(config));
  EXPECT_EQ(get(port_of(ready.http_listen), "one.test").status, 200);
  EXPECT_EQ(visitor.ask("one.test").find("Strict"), std::string::npos);
}

TEST_F(ApiHttps, HttpsAlone) {
  config.http_listen.clear();
  start();
  EXPECT_EQ(ready.http_listen, "");
  EXPECT_TRUE(SecureSocket(port(), "one.test").ask("one.test").ends_with("web GET /"));
}

TEST_F(ApiHttps, ReloadsDropNobody) {
  start();
  std::atomic<bool> over{false};
  std::atomic<int> asked{0}, failed{0};
  std::vector<std::thread> visitors;
  for (int i = 0; i < 3; ++i) {
    visitors.emplace_back([&, i] {
      std::optional<SecureSocket> kept;
      while (!over) {
        // One stays, the others come anew each time.
        if (i != 0 || !kept) kept.emplace(port(), "one.test");
        const bool good = kept->ask("one.test", "/r").ends_with("web GET /r");
        ++asked;
        if (!good) ++failed;
      }
    });
  }
  for (int round = 0; round < 10; ++round) {
    const int before = asked;
    ca.issue("one", "DNS:one.test");
    const auto done = server->reload(config);
    ASSERT_TRUE(done) << done.error().context;
    ASSERT_TRUE(eventually([&] { return asked > before + 6; }));
  }
  over = true;
  for (std::thread& one : visitors) one.join();
  EXPECT_EQ(failed, 0) << "of " << asked;
}

TEST_F(ApiHttps, AReloadShowsTheNewOneAndKeepsTheOldOnAMistake) {
  start();
  const auto serial = [&] {
    const SecureSocket visitor(port(), "one.test");
    return visitor.up ? ASN1_INTEGER_get(X509_get0_serialNumber(SSL_get0_peer_certificate(visitor.ssl()))) : 0;
  };
  const long before = serial();
  const auto files = ca.issue("one", "DNS:one.test");
  EXPECT_EQ(serial(), before) << "nobody has asked for it yet";
  ASSERT_TRUE(server->reload(config));
  const long after = serial();
  EXPECT_NE(after, before);
  ASSERT_EQ(::chmod(files.key.c_str(), 0644), 0);
  const auto refused = server->reload(config);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().context.find("one.key is open to others"), std::string::npos) << refused.error().context;
  EXPECT_EQ(serial(), after);
  ASSERT_EQ(::chmod(files.key.c_str(), 0600), 0);
  ca.issue("expired", "DNS:expired.test", {.begin = -7200, .end = -3600});
  ASSERT_TRUE(server->reload(config));
  EXPECT_TRUE(log.wait("error the certificate " + certificates.path + "/expired.crt has expired"));
  // That there is such a port is for a restart to change.
  ServerConfig without = config;
  without.https_listen.clear();
  without.certificates_dir.clear();
  const auto done = server->reload(without);
  ASSERT_TRUE(done) << done.error().context;
  EXPECT_EQ(done->needs_restart, std::vector<std::string>{"server.https_listen"});
  EXPECT_EQ(serial(), after);
}

TEST_F(ApiHttps, WhatCannotBe) {
  const auto refused = [&](const auto& change) {
    ServerConfig wrong = config;
    change(wrong);
    auto built = ServerBuilder(wrong).build();
    if (!built) return built.error().context;
    const auto started = built->start();
    return started ? std::string() : started.error().context;
  };
  using C = ServerConfig;
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(refused([](C& c) { c.certificates_dir.clear(); }), "needs a certificate"));
  EXPECT_TRUE(has(refused([](C& c) { c.https_listen.clear(); }), "https_listen is off"));
  EXPECT_TRUE(has(refused([](C& c) { c.https_certificate = "a"; }), "go together"));
  EXPECT_TRUE(has(refused([](C& c) {
                    c.certificates.emplace_back().certificate = "a";
                    c.certificates.back().name = "x";
                  }),
                  "certificate x needs both"));
  EXPECT_TRUE(has(refused([](C& c) { c.https_listen = "443"; }), "written :443"));
  EXPECT_TRUE(has(refused([](C& c) { c.hsts = -std::chrono::hours(1); }), "hsts"));
  EXPECT_TRUE(has(refused([](C& c) { c.certificates_dir = "/nowhere"; }), "/nowhere"));
  EXPECT_TRUE(has(refused([this](C& c) { c.certificates_dir = state.path; }), "has no certificates"));
  std::filesystem::remove(certificates.path + "/one.key");
  EXPECT_TRUE(has(refused([](C&) {}), "one.crt has no key beside it"));
}

}  // namespace
}  // namespace ferrotunnel::api_test
