// CertificateBook: what visitors get by the name that they ask for, and what is refused when it is read.
#include "transport/tls/certificate_book.h"

#include <sys/stat.h>

#include <fstream>

#include "support/https_certificates.h"
#include "tls_fixture.h"

namespace ferrotunnel::transport::test {
namespace {

using ferrotunnel::test::HttpsCa;
using ferrotunnel::test::KeyKind;
using ferrotunnel::test::TlsVisitor;

// How a handshake ended, as the visitor saw it.
struct Met {
  bool up = false;
  std::string subject, alpn, asked, why;  // asked: at the server
  int version = 0, key = 0;
  bool resumed = false, stapled = false;
  std::shared_ptr<SSL_SESSION> session;
};

Met meet(const CertificateBook& book, const TlsVisitor& visitor) {
  FdPair fds = tcp_pair();
  const auto context = visitor.context();
  std::shared_ptr<SSL_SESSION> ticket;
  SSL_CTX_set_app_data(context.get(), &ticket);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context.get(), [](SSL* ssl, SSL_SESSION* session) {
    static_cast<std::shared_ptr<SSL_SESSION>*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))
        ->reset(session, &SSL_SESSION_free);
    return 1;
  });
  const auto ssl = visitor.connect(context.get(), fds.a.get());
  auto server = TlsStream::accept(fds.b.release(), book.context()).value();
  Met met;
  bool client_done = false, server_done = false, over = false;
  for (int round = 0; round < 100'000 && !over && !(client_done && server_done); ++round) {
    ERR_clear_error();
    if (!client_done) {
      const int done = SSL_do_handshake(ssl.get());
      client_done = done == 1;
      const int error = SSL_get_error(ssl.get(), done);
      if (!client_done && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        const char* reason = ERR_reason_error_string(ERR_get_error());
        met.why = reason != nullptr ? reason : "no reason";
        over = true;
      }
    }
    if (!server_done && !over) {
      const auto progress = server->handshake();
      if (!progress) {
        met.asked = progress.error().context;
        SSL_do_handshake(ssl.get());
        std::array<char, 1> byte{};
        SSL_read(ssl.get(), byte.data(), 1);  // the alert of TLS 1.3's server comes when the visitor is done
        const char* reason = ERR_reason_error_string(ERR_get_error());
        met.why = reason != nullptr ? reason : "no reason";
        over = true;
      } else {
        server_done = *progress == TlsProgress::Done;
      }
    }
    if (!over) ::usleep(20);
  }
  if (over || !client_done || !server_done) return met;
  // The tickets of TLS 1.3 come behind the handshake.
  EXPECT_EQ(write_text(*server, "x").n, 1u);
  std::array<char, 1> byte{};
  for (int i = 0; i < 10'000 && SSL_read(ssl.get(), byte.data(), 1) != 1; ++i) ::usleep(100);
  met.up = true;
  X509* shown = SSL_get0_peer_certificate(ssl.get());
  std::array<char, 64> name{};
  X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name.data(), name.size());
  met.subject = name.data();
  met.key = EVP_PKEY_get_base_id(X509_get0_pubkey(shown));
  met.version = SSL_version(ssl.get());
  met.alpn = server->alpn();
  met.asked = server->asked_name();
  met.resumed = server->resumed();
  EXPECT_EQ(SSL_session_reused(ssl.get()) == 1, met.resumed);
  const unsigned char* staple = nullptr;
  met.stapled = SSL_get_tlsext_status_ocsp_resp(ssl.get(), &staple) > 0;
  if (ticket != nullptr) {
    met.session = ticket;
  } else if (SSL_SESSION* session = SSL_get1_session(ssl.get())) {
    met.session.reset(session, &SSL_SESSION_free);
  }
  SSL_shutdown(ssl.get());
  return met;
}

class CertificateBookTest : public testing::Test {
 protected:
  CertificateFiles files(const std::string& name, const std::string& names, const HttpsCa::Issue& how = {}) {
    const auto made = ca.issue(name, names, how);
    CertificateFiles all;
    all.certificate = made.certificate;
    all.key = made.key;
    return all;
  }
  static CertificateFiles as_default(CertificateFiles one) {
    one.is_default = true;
    return one;
  }
  CertificateBookPtr load(const std::vector<CertificateFiles>& all) {
    auto book = CertificateBook::load(all, options);
    EXPECT_TRUE(book) << book.error().context;
    return book ? *book : nullptr;
  }
  std::string refused(const std::vector<CertificateFiles>& all) {
    const auto book = CertificateBook::load(all, options);
    EXPECT_FALSE(book);
    return book ? "" : book.error().context;
  }
  static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

  const TemporaryDirectory directory;
  HttpsCa ca{directory / ""};
  CertificateBookOptions options{.minimum = TlsVersion::V12, .http2 = false, .tickets = std::make_shared<TicketKeys>()};
};

TEST_F(CertificateBookTest, ByName) {
  const auto book = load({files("exact", "DNS:app.test,DNS:other.test"), files("wild", "DNS:*.test"),
                          as_default(files("default", "DNS:default.test"))});
  ASSERT_NE(book, nullptr);
  EXPECT_EQ(book->size(), 3u);
  EXPECT_TRUE(book->warnings().empty());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto& [name, subject] : {std::pair{"app.test", "exact"},
                                        {"OTHER.test", "exact"},
                                        {"new.test", "wild"},
                                        {"a.b.test", "default"},
                                        {"", "default"},
                                        {"default.test", "default"}}) {
      const Met met = meet(*book, {.name = name, .version = version});
      EXPECT_TRUE(met.up) << met.why;
      EXPECT_EQ(met.subject, subject) << name;
      EXPECT_EQ(met.version, version);
    }
  }
  EXPECT_EQ(meet(*book, {.name = "OTHER.test"}).asked, "other.test");
}

TEST_F(CertificateBookTest, NobodysNameIsUnrecognized) {
  const auto book = load({files("app", "DNS:app.test")});
  for (const char* name : {"other.test", "", "x.app.test"}) {
    const Met met = meet(*book, {.name = name});
    EXPECT_FALSE(met.up) << name;
    EXPECT_TRUE(has(met.why, "unrecognized name")) << met.why;
  }
  EXPECT_TRUE(meet(*book, {.name = "app.test"}).up);
}

TEST_F(CertificateBookTest, TheKindOfKeyThatTheVisitorCanVerify) {
  const auto book =
      load({files("ec", "DNS:app.test,DNS:ec.test"), files("rsa", "DNS:app.test", {.kind = KeyKind::Rsa})});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto with = [&](const char* name, const char* signatures) {
      return meet(*book, {.name = name, .version = version, .signatures = signatures});
    };
    EXPECT_EQ(with("app.test", "RSA-PSS+SHA256:RSA+SHA256").key, EVP_PKEY_RSA);
    EXPECT_EQ(with("app.test", "ECDSA+SHA256").key, EVP_PKEY_EC);
    EXPECT_EQ(with("app.test", "ECDSA+SHA256:RSA-PSS+SHA256").subject, "ec");
    EXPECT_FALSE(with("ec.test", "RSA-PSS+SHA256:RSA+SHA256").up);
  }
}

TEST_F(CertificateBookTest, Versions) {
  const std::vector all{files("app", "DNS:app.test")};
  EXPECT_FALSE(meet(*load(all), {.name = "app.test", .version = TLS1_1_VERSION}).up);
  options.minimum = TlsVersion::V13;
  EXPECT_FALSE(meet(*load(all), {.name = "app.test", .version = TLS1_2_VERSION}).up);
  EXPECT_TRUE(meet(*load(all), {.name = "app.test"}).up);
}

TEST_F(CertificateBookTest, Protocols) {
  using namespace std::string_literals;
  const std::vector all{files("app", "DNS:app.test")};
  const std::string h2_first = "\x02h2\x08http/1.1"s, h1 = "\x08http/1.1"s, h2 = "\x02h2"s, other = "\x04smtp"s;
  const auto with = [&](const std::string& alpn) { return meet(*load(all), {.name = "app.test", .alpn = alpn}); };
  EXPECT_EQ(with(h2_first).alpn, "http/1.1");
  EXPECT_EQ(with("").alpn, "");
  EXPECT_TRUE(with("").up);
  EXPECT_TRUE(has(with(h2).why, "no application protocol")) << with(h2).why;
  options.http2 = true;
  EXPECT_EQ(with(h2_first).alpn, "h2");
  EXPECT_EQ(with(h1).alpn, "http/1.1");
  EXPECT_FALSE(with(other).up);
}

TEST_F(CertificateBookTest, TicketsResumeAlsoAfterAReload) {
  const std::vector all{files("app", "DNS:app.test,DNS:also.test"), files("other", "DNS:other.test")};
  const auto book = load(all), again = load(all);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const Met first = meet(*book, {.name = "app.test", .version = version});
    ASSERT_TRUE(first.up && first.session) << version;
    EXPECT_FALSE(first.resumed);
    TlsVisitor visitor{.name = "app.test", .version = version, .session = first.session.get()};
    const Met second = meet(*book, visitor);
    EXPECT_TRUE(second.up && second.resumed) << version << second.why;
    EXPECT_EQ(second.asked, "app.test");
    // OpenSSL marks a session of TLS 1.3 as used; the one that came with it is good.
    visitor.session = version == TLS1_3_VERSION ? second.session.get() : first.session.get();
    const Met third = meet(*again, visitor);
    EXPECT_TRUE(third.up && third.resumed) << version << third.why;
    // Another certificate's visitor shakes hands anew.
    visitor.session = version == TLS1_3_VERSION ? third.session.get() : first.session.get();
    visitor.name = "other.test";
    const Met elsewhere = meet(*book, visitor);
    EXPECT_TRUE(elsewhere.up && !elsewhere.resumed) << version << elsewhere.why;
    EXPECT_EQ(elsewhere.subject, "other");
  }
}

TEST_F(CertificateBookTest, OldTicketsAreAFullHandshake) {
  TimePoint now = Clock::now();
  options.tickets = std::make_shared<TicketKeys>([&now] { return now; });
  const auto book = load({files("app", "DNS:app.test")});
  const Met first = meet(*book, {.name = "app.test", .version = TLS1_2_VERSION});
  ASSERT_TRUE(first.session);
  now += TicketKeys::kRotation;
  const TlsVisitor visitor{.name = "app.test", .version = TLS1_2_VERSION, .session = first.session.get()};
  EXPECT_TRUE(meet(*book, visitor).resumed) << "by the key before";
  now += TicketKeys::kRotation;
  const Met late = meet(*book, visitor);
  EXPECT_TRUE(late.up);
  EXPECT_FALSE(late.resumed);
}

TEST_F(CertificateBookTest, StaplesWhatIsBesideTheCertificate) {
  auto named = files("named", "DNS:named.test", {.ocsp_until = 3600});
  fs::rename(directory / "named.ocsp", directory / "elsewhere.der");
  named.ocsp = directory / "elsewhere.der";
  const auto book = load({files("app", "DNS:app.test", {.ocsp_until = 3600}), files("none", "DNS:none.test"), named});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_TRUE(meet(*book, {.name = "app.test", .version = version, .wants_ocsp = true}).stapled);
    EXPECT_TRUE(meet(*book, {.name = "named.test", .version = version, .wants_ocsp = true}).stapled);
    EXPECT_FALSE(meet(*book, {.name = "app.test", .version = version}).stapled);
    const Met none = meet(*book, {.name = "none.test", .version = version, .wants_ocsp = true});
    EXPECT_TRUE(none.up && !none.stapled);
  }
}

TEST_F(CertificateBookTest, AnOldResponseIsNotShown) {
  const auto book = load({files("app", "DNS:app.test", {.ocsp_until = -60})});
  ASSERT_EQ(book->warnings().size(), 1u);
  EXPECT_TRUE(has(book->warnings()[0], "app.ocsp has expired"));
  const Met met = meet(*book, {.name = "app.test", .wants_ocsp = true});
  EXPECT_TRUE(met.up && !met.stapled);
}

TEST_F(CertificateBookTest, ABadResponseIsRefused) {
  auto app = files("app", "DNS:app.test", {.ocsp_until = 3600});
  std::ofstream(directory / "rubbish") << "no DER";
  app.ocsp = directory / "rubbish";
  EXPECT_TRUE(has(refused({app}), "rubbish is no successful OCSP response"));
  auto other = files("other", "DNS:other.test");
  other.ocsp = directory / "app.ocsp";
  EXPECT_TRUE(has(refused({other}), "is of another certificate"));
  other.ocsp = directory / "nowhere";
  EXPECT_TRUE(has(refused({other}), "cannot read " + (directory / "nowhere").string()));
}

TEST_F(CertificateBookTest, ExpiredOnesAreUsedWithAWarning) {
  const auto book = load({files("old", "DNS:old.test", {.begin = -7200, .end = -3600}),
                          files("soon", "DNS:soon.test", {.begin = 3600, .end = 7200})});
  ASSERT_EQ(book->warnings().size(), 2u);
  EXPECT_TRUE(has(book->warnings()[0], "old.crt has expired"));
  EXPECT_TRUE(has(book->warnings()[1], "soon.crt is not valid yet"));
  EXPECT_EQ(meet(*book, {.name = "old.test"}).subject, "old");
}

TEST_F(CertificateBookTest, MistakesNameTheFile) {
  const auto app = files("app", "DNS:app.test"), twin = files("twin", "DNS:b.test,DNS:app.test"),
             nameless = files("nameless", "");
  EXPECT_TRUE(has(refused({}), "there is none"));
  const std::string two = refused({app, twin});
  EXPECT_TRUE(has(two, "app.crt") && has(two, "twin.crt") && has(two, "app.test")) << two;
  EXPECT_TRUE(has(refused({nameless}), "nameless.crt has no DNS name"));
  EXPECT_NE(load({as_default(nameless)}), nullptr);
  EXPECT_TRUE(has(refused({as_default(app), as_default(nameless)}), "default"));
  CertificateFiles mixed = app;
  mixed.key = twin.key;
  EXPECT_TRUE(has(refused({mixed}), "does not belong"));
  ::chmod(app.key.c_str(), 0644);
  EXPECT_TRUE(has(refused({app}), "app.key is open to others"));
  ::chmod(app.key.c_str(), 0600);
  fs::remove(app.certificate);
  EXPECT_TRUE(has(refused({app}), "app.crt"));
  EXPECT_TRUE(has(refused(std::vector(1001, twin)), "more than 1000"));
}

TEST_F(CertificateBookTest, MutualTls) {
  auto guarded = files("guarded", "DNS:guarded.test");
  guarded.client_ca = ca.file();
  const auto book = load({guarded, as_default(files("open", "DNS:open.test"))});
  const auto visitor = ca.issue("visitor", "");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_TRUE(meet(*book, {.name = "open.test", .version = version}).up);
    EXPECT_FALSE(meet(*book, {.name = "guarded.test", .version = version}).up);
    const Met met = meet(*book, {.name = "guarded.test", .version = version, .certificate = visitor});
    EXPECT_TRUE(met.up) << met.why;
    // Who was let in is so by his ticket; who was let in elsewhere is not.
    ASSERT_TRUE(met.session);
    EXPECT_TRUE(meet(*book, {.name = "guarded.test", .version = version, .session = met.session.get()}).resumed);
    const Met open = meet(*book, {.name = "open.test", .version = version});
    ASSERT_TRUE(open.session);
    EXPECT_FALSE(meet(*book, {.name = "guarded.test", .version = version, .session = open.session.get()}).up);
  }
  EXPECT_FALSE(book->serves("open.test", "guarded.test"));
  EXPECT_FALSE(book->serves("", "guarded.test"));
  EXPECT_FALSE(book->serves("nobody.test", "guarded.test"));
  EXPECT_FALSE(book->serves("guarded.test", "open.test"));
  EXPECT_TRUE(book->serves("guarded.test", "guarded.test"));
  EXPECT_TRUE(book->serves("", "open.test"));
  EXPECT_TRUE(book->guards("guarded.test"));
  EXPECT_FALSE(book->guards("open.test"));
  EXPECT_FALSE(book->guards("nobody.test"));
}

TEST_F(CertificateBookTest, WhichHostsAConnectionServes) {
  const auto book =
      load({files("a", "DNS:a.test,DNS:*.a.test"), files("b", "DNS:b.test"), as_default(files("c", "DNS:c.test"))});
  EXPECT_TRUE(book->serves("a.test", "x.a.test"));
  EXPECT_FALSE(book->serves("a.test", "b.test"));
  EXPECT_FALSE(book->serves("a.test", "unknown.test"));
  EXPECT_TRUE(book->serves("unknown.test", "c.test"));
  EXPECT_TRUE(book->serves("", "a.test"));
  const auto strict = load({files("d", "DNS:d.test")});
  EXPECT_FALSE(strict->serves("d.test", "unknown.test"));
}

}  // namespace
}  // namespace ferrotunnel::transport::test
