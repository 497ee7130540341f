// OriginDispatcher in front of services that speak TLS, and of those that do not: what the visitor gets, and what the person at the client reads.
#include "origin/origin_tls.h"

#include "unit/origin/dispatcher_fixture.h"
#include "unit/transport/tls_fixture.h"

namespace ferrotunnel::origin {
namespace {

using transport::TlsProgress;
using transport::TlsServerContext;
using transport::TlsStream;
using transport::test::TestCa;

class OriginTlsTest : public DispatcherTest {
 protected:
  // A context for services, which gives tickets as those outside do.
  [[nodiscard]] TlsServerContext serving(const std::string& names, transport::TlsServerOptions options = {}) {
    options.minimum = transport::TlsVersion::V12;
    auto made = TlsServerContext::make(ca.issue(names), options);
    EXPECT_TRUE(made) << made.error().context;
    SSL_CTX_clear_options(made->native(), SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(made->native(), 2);
    constexpr std::string_view kId = "test";
    SSL_CTX_set_session_id_context(made->native(), reinterpret_cast<const unsigned char*>(kId.data()), kId.size());
    return *made;
  }
  [[nodiscard]] static TargetPtr secure(const Service& service, const OriginTlsOptions& options,
                                        const std::string& name = "app.test") {
    auto context = make_context(options, false);
    EXPECT_TRUE(context) << context.error().context;
    OriginTarget wanted = *service.target();
    wanted.text = "https://" + wanted.text;
    wanted.secure = true;
    wanted.tls_name = name;
    wanted.tls =
        std::make_shared<const OriginTls>(OriginTls{*context, name, std::make_shared<transport::TlsSessions>()});
    return std::make_shared<const OriginTarget>(std::move(wanted));
  }
  [[nodiscard]] OriginTlsOptions trusting() const { return {ca.file().string(), false, "", "", true}; }

  // The service's end, with its handshake done; nothing where that failed.
  std::unique_ptr<TlsStream> take(UniqueFd fd, const TlsServerContext& context) {
    auto stream = TlsStream::accept(fd.release(), context);
    EXPECT_TRUE(stream);
    bool done = false, failed = false;
    EXPECT_TRUE(until([&] {
      const auto progress = (*stream)->handshake();
      failed = !progress;
      done = progress && *progress == TlsProgress::Done;
      return done || failed;
    }));
    return done ? std::move(*stream) : nullptr;
  }
  std::string read_to_end(TlsStream& stream) {
    std::string all;
    EXPECT_TRUE(until([&] {
      while (true) {
        std::array<std::byte, 8192> buffer;
        const transport::IoResult got = stream.read(buffer);
        if (got.status == transport::IoStatus::Ok) all += as_text(ConstBytes(buffer).first(got.n));
        if (got.status == transport::IoStatus::Error) all += "ERROR";
        if (got.status == transport::IoStatus::WouldBlock) return false;
        if (got.status != transport::IoStatus::Ok) return true;
      }
    }));
    return all;
  }
  void write_all(TlsStream& stream, std::string_view text) {
    EXPECT_TRUE(until([&] {
      const transport::IoResult wrote = transport::test::write_text(stream, text);
      EXPECT_NE(wrote.status, transport::IoStatus::Error) << stream.failure().context;
      text.remove_prefix(wrote.n);
      return text.empty();
    }));
  }
  void expect_failure(const Service& service, const TlsServerContext* context, ResetReason reason,
                      std::initializer_list<std::string_view> words) {
    failures.clear();
    Visitor& visitor = open();
    visitor.say("question");
    UniqueFd fd = accepted(service);
    std::unique_ptr<TlsStream> stream;
    if (context != nullptr) stream = take(std::move(fd), *context);
    expect_end(visitor, reason);
    ASSERT_EQ(failures.size(), 1u);
    EXPECT_EQ(failures[0].code, ErrorCode::Tls);
    for (const std::string_view word : words)
      EXPECT_NE(failures[0].context.find(word), std::string::npos) << word << " in: " << failures[0].context;
    EXPECT_EQ(dispatcher->active(), 0u);
  }

  TestCa ca{"an authority"};
};
INSTANTIATE_TEST_SUITE_P(Pollers, OriginTlsTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Native"; });

TEST_P(OriginTlsTest, BothWaysAndBothEnds) {
  const Service service = Service::tcp();
  const TlsServerContext context = serving("DNS:app.test");
  target = secure(service, trusting());
  Visitor& visitor = open();
  visitor.say("question", true);
  const auto origin = take(accepted(service), context);
  ASSERT_TRUE(origin);
  EXPECT_EQ(read_to_end(*origin), "question");
  write_all(*origin, "answer");
  origin->shutdown_write();
  ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
  EXPECT_TRUE(visitor.end->clean);
  EXPECT_EQ(visitor.got, "answer");
  ASSERT_TRUE(until([&] { return dispatcher->active() == 0; }));
  EXPECT_TRUE(failures.empty());
  EXPECT_EQ(bytes_in, 8u);
  EXPECT_EQ(bytes_out, 6u);
}

TEST_P(OriginTlsTest, BulkBothWays) {
  const Service service = Service::tcp();
  const TlsServerContext context = serving("DNS:app.test");
  target = secure(service, trusting());
  std::string text(1'500'000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  Visitor& visitor = open();
  visitor.say(text, true);
  const auto origin = take(accepted(service), context);
  ASSERT_TRUE(origin);
  EXPECT_TRUE(read_to_end(*origin) == text);
  write_all(*origin, text);
  origin->shutdown_write();
  ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
  EXPECT_TRUE(visitor.end->clean);
  EXPECT_TRUE(visitor.got == text);
}

TEST_P(OriginTlsTest, ItAsksForTheNameAndForHttp) {
  const Service service = Service::tcp();
  const TlsServerContext context = serving("DNS:app.test");
  static std::string asked, offered;
  asked.clear();
  offered.clear();
  SSL_CTX_set_tlsext_servername_callback(
      context.native(), +[](SSL* ssl, int*, void*) {
        const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        asked = name != nullptr ? name : "";
        return SSL_TLSEXT_ERR_OK;
      });
  SSL_CTX_set_alpn_select_cb(
      context.native(),
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned length, void*) {
        offered.assign(reinterpret_cast<const char*>(in), length);
        *out = in + 1;
        *size = in[0];
        return SSL_TLSEXT_ERR_OK;
      },
      nullptr);
  target = secure(service, trusting());
  open().say("question");
  const auto origin = take(accepted(service), context);
  ASSERT_TRUE(origin);
  EXPECT_EQ(asked, "app.test");
  EXPECT_EQ(offered, "\x08http/1.1");
}

TEST_P(OriginTlsTest, TheNextOneResumes) {
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const Service service = Service::tcp();
    const TlsServerContext context = serving("DNS:app.test");
    SSL_CTX_set_max_proto_version(context.native(), version);
    target = secure(service, trusting());
    for (int i = 0; i < 3; ++i) {
      Visitor& visitor = open();
      visitor.say("question", true);
      const auto origin = take(accepted(service), context);
      ASSERT_TRUE(origin);
      EXPECT_EQ(origin->resumed(), i > 0) << origin->version() << " " << i;
      EXPECT_EQ(read_to_end(*origin), "question");
      origin->shutdown_write();
      ASSERT_TRUE(until([&] { return visitor.end.has_value() && dispatcher->active() == 0; }));
    }
    EXPECT_LE(target->tls->sessions->size(), transport::TlsSessions::kMost);
  }
  EXPECT_EQ(dispatcher->counters().tls_resumed, 4u);
}

TEST_P(OriginTlsTest, SessionsAreBounded) {
  const Service service = Service::tcp();
  const TlsServerContext context = serving("DNS:app.test");
  SSL_CTX_set_num_tickets(context.native(), 40);
  target = secure(service, trusting());
  Visitor& visitor = open();
  visitor.say("question", true);
  const auto origin = take(accepted(service), context);
  ASSERT_TRUE(origin);
  write_all(*origin, "answer");
  origin->shutdown_write();
  ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
  EXPECT_EQ(target->tls->sessions->size(), transport::TlsSessions::kMost);
}

TEST_P(OriginTlsTest, ACertificateThatNobodyKnows) {
  const Service service = Service::tcp();
  const TlsServerContext context = serving("DNS:app.test");
  const TestCa other("another");
  target = secure(service, {other.file().string(), false, "", "", true});
  expect_failure(service, &context, ResetReason::OriginTls,
                 {target->text, "not trusted", "certificate", "origin_tls_ca", "origin_tls_skip_verify"});
  EXPECT_EQ(dispatcher->counters().tls_failed, 1u);
}

TEST_P(OriginTlsTest, AnotherName) {
  const Service service = Service::tcp();
  const TlsServerContext context = serving("DNS:other.test,DNS:more.test,IP:192.0.2.1");
  target = secure(service, trusting());
  expect_failure(service, &context, ResetReason::OriginTls,
                 {"not for app.test", "other.test, more.test, 192.0.2.1", "origin_tls_server_name"});
  target = secure(service, trusting(), "127.0.0.1");
  expect_failure(service, &context, ResetReason::OriginTls, {"not for 127.0.0.1"});
}

TEST_P(OriginTlsTest, AnAddressInTheCertificate) {
  const Service service = Service::tcp();
  const TlsServerContext context = serving("IP:127.0.0.1");
  target = secure(service, trusting(), "127.0.0.1");
  Visitor& visitor = open();
  visitor.say("question", true);
  const auto origin = take(accepted(service), context);
  ASSERT_TRUE(origin);
  EXPECT_EQ(read_to_end(*origin), "question");
}

TEST_P(OriginTlsTest, WhoeverAnswersWhereThatIsAskedFor) {
  const Service service = Service::tcp();
  const TlsServerContext context = serving("DNS:other.test");
  target = secure(service, {"", true, "", "", true});
  for (int i = 0; i < 2; ++i) {
    Visitor& visitor = open();
    visitor.say("question", true);
    const auto origin = take(accepted(service), context);
    ASSERT_TRUE(origin);
    EXPECT_EQ(read_to_end(*origin), "question");
    origin->shutdown_write();
    ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
  }
}

TEST_P(OriginTlsTest, AServiceThatSpeaksSomethingElse) {
  for (const std::string_view said : {"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n"}) {
    const Service service = Service::tcp();
    target = secure(service, trusting());
    failures.clear();
    Visitor& visitor = open();
    visitor.say("question");
    const UniqueFd origin = accepted(service);
    ASSERT_EQ(::send(origin.get(), said.data(), said.size(), 0), static_cast<ssize_t>(said.size()));
    expect_end(visitor, ResetReason::OriginTls);
    ASSERT_EQ(failures.size(), 1u);
    EXPECT_NE(failures[0].context.find("does not speak TLS"), std::string::npos) << failures[0].context;
    EXPECT_NE(failures[0].context.find("http://"), std::string::npos) << failures[0].context;
  }
}

TEST_P(OriginTlsTest, AServiceThatCloses) {
  const Service service = Service::tcp();
  target = secure(service, trusting());
  Visitor& visitor = open();
  visitor.say("question");
  accepted(service).reset();
  expect_end(visitor, ResetReason::OriginTls);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_NE(failures[0].context.find("closed the connection during the TLS handshake"), std::string::npos)
      << failures[0].context;
}

TEST_P(OriginTlsTest, AServiceThatSaysNothing) {
  make_dispatcher(300ms);
  const Service service = Service::tcp();
  target = secure(service, trusting());
  const TimePoint began = Clock::now();
  Visitor& visitor = open();
  visitor.say("question");
  const UniqueFd origin = accepted(service);
  expect_end(visitor, ResetReason::OriginTimeout);
  EXPECT_GE(Clock::now() - began, 300ms);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].code, ErrorCode::Timeout);
  EXPECT_NE(failures[0].context.find("TLS handshake"), std::string::npos) << failures[0].context;
  EXPECT_EQ(dispatcher->counters().timed_out, 1u);
}

TEST_P(OriginTlsTest, AnOldVersionOnly) {
  const Service service = Service::tcp();
  const TlsServerContext context = serving("DNS:app.test");
  SSL_CTX_set_min_proto_version(context.native(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context.native(), TLS1_1_VERSION);
  target = secure(service, trusting());
  expect_failure(service, &context, ResetReason::OriginTls, {"no TLS version"});
}

TEST_P(OriginTlsTest, OneThatWantsToSeeACertificate) {
  const Service service = Service::tcp();
  transport::TlsServerOptions asks;
  asks.client_ca = ca.file();
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const TlsServerContext context = serving("DNS:app.test", asks);
    SSL_CTX_set_max_proto_version(context.native(), version);
    target = secure(service, trusting());
    failures.clear();
    Visitor& visitor = open();
    visitor.say("question");
    EXPECT_FALSE(take(accepted(service), context));
    ASSERT_TRUE(until([&] { return visitor.end.has_value() && !failures.empty(); }));
    EXPECT_FALSE(visitor.end->clean);
    ASSERT_EQ(failures.size(), 1u);
    EXPECT_EQ(failures[0].code, ErrorCode::Tls);
    EXPECT_NE(failures[0].context.find("certificate"), std::string::npos) << failures[0].context;
  }
}

TEST_P(OriginTlsTest, TheVisitorLeavesDuringTheHandshake) {
  const Service service = Service::tcp();
  target = secure(service, trusting());
  Visitor& visitor = open();
  visitor.say("never mind");
  const UniqueFd origin = accepted(service);
  ASSERT_TRUE(until([&] { return dispatcher->counters().connected == 1; }));
  visitor.stream->reset(ResetReason::Cancel);
  ASSERT_TRUE(until([&] { return dispatcher->active() == 0; }));
  EXPECT_TRUE(failures.empty());
  EXPECT_EQ(client.link->status().held, 0u);
}

TEST_P(OriginTlsTest, TheDispatcherGoesDuringTheHandshake) {
  const Service service = Service::tcp();
  target = secure(service, trusting());
  Visitor& visitor = open();
  const UniqueFd origin = accepted(service);
  ASSERT_TRUE(until([&] { return dispatcher->counters().connected == 1; }));
  dispatcher.reset();
  ASSERT_TRUE(until([&] { return visitor.end.has_value(); }));
}

TEST_P(OriginTlsTest, NeverWithoutTls) {
  const Service service = Service::tcp();
  OriginTarget wanted = *service.target();
  wanted.secure = true;
  target = std::make_shared<const OriginTarget>(std::move(wanted));
  Visitor& visitor = open();
  visitor.say("a secret", true);
  const UniqueFd origin = accepted(service);
  expect_end(visitor, ResetReason::OriginTls);
  EXPECT_EQ(DispatcherTest::read_to_end(origin), "");
}

TEST_P(OriginTlsTest, AProxyHeaderBeforeTls) {
  const Service service = Service::tcp();
  const TlsServerContext context = serving("DNS:app.test");
  OriginTarget wanted = *secure(service, trusting());
  wanted.proxy = transport::ProxyVersion::V1;
  target = std::make_shared<const OriginTarget>(std::move(wanted));
  Visitor& visitor = open();
  visitor.say("question", true);
  UniqueFd fd = accepted(service);
  std::string line;
  ASSERT_TRUE(until([&] {
    char c = 0;
    while (!line.ends_with("\r\n") && ::recv(fd.get(), &c, 1, 0) == 1) line += c;
    return line.ends_with("\r\n");
  }));
  EXPECT_TRUE(line.starts_with("PROXY ")) << line;
  const auto origin = take(std::move(fd), context);
  ASSERT_TRUE(origin);
  EXPECT_EQ(read_to_end(*origin), "question");
}

TEST_P(OriginTlsTest, OverADirectLink) {
  const Service service = Service::tcp();
  const TlsServerContext context = serving("DNS:app.test");
  target = secure(service, trusting());
  auto pair = transport::test::tcp_pair();
  dispatcher->dispatch(std::make_unique<transport::TcpStream>(std::move(pair.a)), "ques", 1, target, {});
  ASSERT_EQ(::send(pair.b.get(), "tion", 4, 0), 4);
  ::shutdown(pair.b.get(), SHUT_WR);
  const auto origin = take(accepted(service), context);
  ASSERT_TRUE(origin);
  EXPECT_EQ(read_to_end(*origin), "question");
  write_all(*origin, "answer");
  origin->shutdown_write();
  EXPECT_EQ(DispatcherTest::read_to_end(pair.b), "answer");
  ASSERT_TRUE(until([&] { return dispatcher->active() == 0; }));

  auto second = transport::test::tcp_pair();
  target = secure(service, trusting(), "other.test");
  dispatcher->dispatch(std::make_unique<transport::TcpStream>(std::move(second.a)), "x", 1, target, {});
  (void)take(accepted(service), context);
  EXPECT_EQ(DispatcherTest::read_to_end(second.b), "RST");
  ASSERT_EQ(failures.size(), 1u);
}

TEST(OriginTlsOptions, FilesThatAreNotThere) {
  for (const OriginTlsOptions& options : {OriginTlsOptions{"/nowhere/ca.pem", false, "", "", true},
                                          OriginTlsOptions{"", true, "/nowhere/c", "/nowhere/k", true}}) {
    const auto made = make_context(options, false);
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().context.find("/nowhere/"), std::string::npos) << made.error().context;
  }
}

}  // namespace
}  // namespace ferrotunnel::origin
