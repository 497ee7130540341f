// Whose certificates visitors have to show: what is read of PEM, and what a handshake that asks for one lets in.
#include "transport/tls/client_authority.h"

#include <openssl/err.h>

#include <fstream>
#include <sstream>

#include "unit/transport/tls_fixture.h"

namespace ferrotunnel::transport::test {
namespace {

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}
ClientAuthorityPtr authority_of(const TestCa& ca) {
  auto made = ClientAuthority::parse(text_of(ca.file()));
  EXPECT_TRUE(made) << made.error().context;
  return *made;
}
std::string mistake(std::string_view pem) {
  const auto made = ClientAuthority::parse(pem);
  if (made) return "";
  EXPECT_EQ(made.error().code, ErrorCode::BadInput);
  return made.error().context;
}

TEST(ClientAuthority, EqualCertificatesAreTheSameAuthority) {
  const TestCa one("one"), two("two");
  const std::string first = text_of(one.file()), second = text_of(two.file());
  const auto id = [](const std::string& pem) { return (*ClientAuthority::parse(pem))->id(); };
  EXPECT_EQ(id(first), id(first));
  EXPECT_EQ(id(first), id("# a word before it\n" + first + "\n"));
  EXPECT_NE(id(first), id(second));
  EXPECT_NE(id(first), id(first + second));
}

TEST(ClientAuthority, WhatIsNone) {
  const TestCa ca("ca");
  const std::string pem = text_of(ca.file());
  for (const std::string& wrong : {std::string(), std::string("rubbish"), pem.substr(0, pem.size() / 2),
                                   pem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"})
    EXPECT_TRUE(mistake(wrong).contains("cannot be read")) << wrong;
  std::string many;
  for (std::size_t i = 0; i <= ClientAuthority::kMostCertificates; ++i) many += pem;
  ASSERT_LE(many.size(), ClientAuthority::kMostPem);
  EXPECT_TRUE(mistake(many).contains("more than 16 authorities")) << mistake(many);
  EXPECT_TRUE(mistake(pem + std::string(ClientAuthority::kMostPem, '\n')).contains("bytes of PEM"));
}

TEST(ClientAuthority, AFileIsNamedWhereItIsWrong) {
  const TemporaryDirectory directory;
  const TestCa ca("ca");
  EXPECT_EQ(*ClientAuthority::read(ca.file()), text_of(ca.file()));
  const auto missing = ClientAuthority::read(directory / "missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::Io);
  EXPECT_TRUE(missing.error().context.contains((directory / "missing").string()));
  std::ofstream(directory / "rubbish") << "rubbish";
  const auto rubbish = ClientAuthority::read(directory / "rubbish");
  ASSERT_FALSE(rubbish);
  EXPECT_EQ(rubbish.error().code, ErrorCode::BadInput);
  EXPECT_TRUE(rubbish.error().context.starts_with((directory / "rubbish").string()));
}

TEST(ClientAuthority, OnlyTheCertificatesOfAFileGoAnywhere) {
  const TemporaryDirectory directory;
  TestCa ca("ca");
  const TestCa other("other");
  const std::string one = text_of(ca.file()), two = text_of(other.file());
  (void)ca.issue("");
  const std::string key = text_of(ca.file().parent_path() / "key1");
  ASSERT_TRUE(key.contains("PRIVATE KEY"));
  std::ofstream(directory / "all.pem") << "# caf\xe9\r\n" << key << one << "a word\n" << two << key;
  const auto read = ClientAuthority::read(directory / "all.pem");
  ASSERT_TRUE(read) << read.error().context;
  EXPECT_EQ(*read, one + two);
}

using ContextPtr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using SslPtr = std::unique_ptr<SSL, decltype(&SSL_free)>;

// One handshake in memory.
struct Handshake {
  bool done = false;
  int asked_for = 0;  // names of authorities that the visitor heard
  VisitorCertificatePtr shown;
};

struct Pair {
  explicit Pair(TestCa& server_ca) {
    fill(server.get(), server_ca, "DNS:a.test");
    SSL_CTX_set_session_id_context(server.get(), reinterpret_cast<const unsigned char*>("t"), 1);
  }
  // A certificate of that authority for this end.
  static void fill(SSL_CTX* context, TestCa& ca, const std::string& names) {
    const TlsIdentity identity = ca.issue(names);
    EXPECT_EQ(SSL_CTX_use_certificate(context, identity.certificate()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context, identity.key()), 1);
  }
  Handshake shake(const ClientAuthorityPtr& authority, bool required) {
    const SslPtr here(SSL_new(server.get()), &SSL_free), there(SSL_new(client.get()), &SSL_free);
    BIO *a = nullptr, *b = nullptr;
    BIO_new_bio_pair(&a, 1 << 16, &b, 1 << 16);
    SSL_set_bio(here.get(), a, a);
    SSL_set_bio(there.get(), b, b);
    SSL_set_accept_state(here.get());
    SSL_set_connect_state(there.get());
    EXPECT_TRUE(authority->ask(here.get(), required));
    Handshake how;
    for (int i = 0; i < 10; ++i) {
      (void)SSL_do_handshake(there.get());
      (void)SSL_do_handshake(here.get());
    }
    ERR_clear_error();
    how.done = SSL_is_init_finished(here.get()) == 1;
    if (const STACK_OF(X509_NAME)* names = SSL_get_client_CA_list(there.get())) how.asked_for = sk_X509_NAME_num(names);
    if (how.done) how.shown = visitor_certificate(here.get(), authority);
    return how;
  }
  ContextPtr server{SSL_CTX_new(TLS_server_method()), &SSL_CTX_free};
  ContextPtr client{SSL_CTX_new(TLS_client_method()), &SSL_CTX_free};
};

TEST(ClientAuthority, LetsInWhomItSigned) {
  TestCa site("site"), guests("guests"), strangers("strangers");
  const ClientAuthorityPtr authority = authority_of(guests);
  Pair guest(site), stranger(site), nobody(site);
  guest.fill(guest.client.get(), guests, "");
  stranger.fill(stranger.client.get(), strangers, "");

  const Handshake let_in = guest.shake(authority, true);
  EXPECT_TRUE(let_in.done);
  EXPECT_EQ(let_in.asked_for, 1);
  ASSERT_NE(let_in.shown, nullptr);
  EXPECT_EQ(let_in.shown->authority, authority);
  EXPECT_TRUE(let_in.shown->told.starts_with("Hash=")) << let_in.shown->told;
  EXPECT_TRUE(let_in.shown->told.ends_with(";Subject=\"CN=leaf\"")) << let_in.shown->told;
  EXPECT_EQ(let_in.shown->told.find(';'), std::string("Hash=").size() + 64);

  // One who shows another's is never taken for a guest, whether one is required or not.
  for (const bool required : {true, false}) {
    const Handshake other = stranger.shake(authority, required);
    EXPECT_FALSE(other.done) << required;
    EXPECT_EQ(other.shown, nullptr) << required;
  }
  EXPECT_FALSE(nobody.shake(authority, true).done);
  const Handshake without = nobody.shake(authority, false);
  EXPECT_TRUE(without.done);
  EXPECT_EQ(without.shown, nullptr);
}

TEST(ClientAuthority, OfSeveralEachMayHaveSigned) {
  TestCa site("site"), guests("guests"), staff("staff");
  auto both = ClientAuthority::parse(text_of(guests.file()) + text_of(staff.file()));
  ASSERT_TRUE(both);
  for (TestCa* ca : {&guests, &staff}) {
    Pair visitor(site);
    visitor.fill(visitor.client.get(), *ca, "");
    const Handshake how = visitor.shake(*both, true);
    EXPECT_TRUE(how.done);
    EXPECT_EQ(how.asked_for, 2);
    EXPECT_NE(how.shown, nullptr);
  }
}

}  // namespace
}  // namespace ferrotunnel::transport::test
