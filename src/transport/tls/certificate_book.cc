#include "transport/tls/certificate_book.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "transport/tls/certificate.h"
#include "transport/tls/context_parts.h"
#include "transport/tls/sni.h"

namespace ferrotunnel::transport {
namespace {

constexpr long kTicketLife = 3600;   // seconds; a key opens for that long at least (TicketKeys)
constexpr std::size_t kTickets = 2;  // a visitor gets: browsers open several connections at once
// Of TLS 1.2: what RFC 9113 allows HTTP/2 to use.
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

using Members = std::set<std::size_t>;  // certificates, by their place in the list

Error bad(std::string text) { return {ErrorCode::BadInput, Side::Local, false, std::move(text)}; }
Error openssl(const std::string& what) {
  return {ErrorCode::Tls, Side::Local, false, what + ": " + take_openssl_error()};
}

// ---- what a connection asks its context for -----------------------------------------------------------------------

template <bool Http2>
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
                    void*) {
  static constexpr unsigned char kBoth[] = "\x02h2\x08http/1.1";
  constexpr std::size_t kH2 = 3;  // bytes of its entry
  const unsigned char* ours = Http2 ? kBoth : kBoth + kH2;
  const unsigned size = sizeof kBoth - 1 - (Http2 ? 0 : kH2);
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, ours, size, in, in_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301 section 3.2: no_application_protocol
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// Names that were acknowledged are in TLS 1.2 a part of the session.
int acknowledge_name(SSL* ssl, int*, void*) {
  const auto* shown = static_cast<const TlsShown*>(SSL_get_app_data(ssl));
  return shown == nullptr || shown->name.empty() ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_OK;
}

struct Staple {
  const X509* certificate;
  OcspResponse response;
};
using Staples = std::vector<Staple>;

int staple(SSL* ssl, void* all) {
  const X509* used = SSL_get_certificate(ssl);
  for (const Staple& one : *static_cast<const Staples*>(all)) {
    if (one.certificate != used) continue;
    if (one.response.until && *one.response.until <= std::time(nullptr)) break;
    void* copy = OPENSSL_memdup(one.response.der.data(), one.response.der.size());
    if (copy == nullptr) break;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(one.response.der.size()));
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

Result<ContextPtr> new_https_context(const CertificateBookOptions& options) {
  auto made = new_context(TLS_server_method(), options.minimum);
  if (!made) return made;
  SSL_CTX* c = made->get();
  if (SSL_CTX_set_cipher_list(c, kCiphers12) != 1) return std::unexpected(openssl("cannot set up TLS"));
  SSL_CTX_set_alpn_select_cb(c, options.http2 ? &choose_protocol<true> : &choose_protocol<false>, nullptr);
  SSL_CTX_set_tlsext_servername_callback(c, &acknowledge_name);
  if (options.tickets == nullptr) return made;
  SSL_CTX_clear_options(c, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(c, kTickets);
  SSL_CTX_set_timeout(c, kTicketLife);
  TicketKeys::install(c, options.tickets);
  return made;
}

}  // namespace

// ---- the choice ---------------------------------------------------------------------------------------------------

// Lives as long as a context, or a connection of one, may ask.
struct CertificateBook::Choice {
  // The certificates of a name: one of each kind of key.
  struct Set {
    Members members;
    ContextPtr context;
    std::array<unsigned char, 32> id{};  // of sessions: they are resumed with the same certificates only
    bool asks_visitor = false;           // for a certificate
    Staples staples;
  };
  std::vector<std::unique_ptr<const Set>> sets;
  NameTable names;
  const Set* otherwise = nullptr;
  bool guards_some = false;

  [[nodiscard]] const Set* find(std::string_view name) const {
    const auto found = name.empty() ? std::nullopt : names.find(name);
    return found ? sets[*found].get() : otherwise;
  }

  static int on_client_hello(SSL* ssl, int* alert, void* choice);
  static void free_shared(void*, void* shared, CRYPTO_EX_DATA*, int, long, void*) {
    delete static_cast<std::shared_ptr<const Choice>*>(shared);
  }
  static int index() {
    static const int made = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, &free_shared);
    return made;
  }
};

// Before anything else of the handshake, a session that is resumed among it.
int CertificateBook::Choice::on_client_hello(SSL* ssl, int* alert, void* choice) {
  const unsigned char* extension = nullptr;
  std::size_t size = 0;
  std::string_view asked;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &size) == 1) {
    const auto name = sni_host_name({reinterpret_cast<const char*>(extension), size});
    if (!name) {
      *alert = SSL_AD_DECODE_ERROR;
      return SSL_CLIENT_HELLO_ERROR;
    }
    asked = *name;
  }
  std::string spelled;
  // What is no name is a name that nobody has.
  const bool good = normalise_name(asked, spelled);
  const auto& self = *static_cast<const Choice*>(choice);
  const Set* set = good || asked.empty() ? self.find(spelled) : self.otherwise;
  if (set == nullptr) {
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
  }
  auto* shown = static_cast<TlsShown*>(SSL_get_app_data(ssl));
  NameGuard::Demand demand;
  // What the server asks for a certificate of its own, no tunnel asks for in another's name.
  if (shown != nullptr && shown->guard != nullptr && !set->asks_visitor) demand = shown->guard->demand_of(spelled);
  std::array<unsigned char, 32> id = set->id;
  if (demand.authority != nullptr)
    for (std::size_t i = 0; i < id.size(); ++i) id[i] ^= demand.authority->id()[i];
  if (shown != nullptr) {
    shown->name = std::move(spelled);
    shown->authority = demand.authority;
  }
  if (SSL_set_SSL_CTX(ssl, set->context.get()) == nullptr ||
      SSL_set_session_id_context(ssl, id.data(), static_cast<unsigned>(id.size())) != 1 ||
      (demand.authority != nullptr && !demand.authority->ask(ssl, demand.required))) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (set->asks_visitor) SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return SSL_CLIENT_HELLO_SUCCESS;
}

// ---- loading ------------------------------------------------------------------------------------------------------

namespace {

// Which certificates each name has.
using Claims = std::map<std::string, Members>;

// Two of one kind for one name: only one of them could ever be used.
std::optional<Error> conflict(const std::vector<Certificate>& all, const Members& members, std::size_t with,
                              const std::string& name) {
  for (const std::size_t other : members) {
    if (other == with || all[other].key_type != all[with].key_type) continue;
    return bad("the certificates " + all[other].files.certificate.string() + " and " +
               all[with].files.certificate.string() + " are both for " + name +
               " and have keys of the same kind: leave one of them out");
  }
  return std::nullopt;
}

Result<Claims> collect(const std::vector<Certificate>& all, Members& defaults, std::vector<std::string>& warnings) {
  Claims claims;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string file = all[i].files.certificate.string();
    bool named = false;
    for (const std::string& written : all[i].names) {
      const bool wild = written.starts_with("*.");
      std::string name;
      if (!normalise_name(wild ? std::string_view(written).substr(2) : std::string_view(written), name)) {
        warnings.push_back("the certificate " + file + " has a name that no visitor can ask for, which is left out");
        continue;
      }
      if (wild) name.insert(0, "*.");
      Members& members = claims[name];
      members.insert(i);
      named = true;
      if (auto both = conflict(all, members, i, name)) return std::unexpected(std::move(*both));
    }
    if (all[i].files.is_default) {
      defaults.insert(i);
      if (auto both = conflict(all, defaults, i, "visitors who ask for no name (default)"))
        return std::unexpected(std::move(*both));
    } else if (!named) {
      return std::unexpected(bad("the certificate " + file +
                                 " has no DNS name among its subjectAltNames, so that no visitor could be given it: "
                                 "mark it as the default, or make one that has the name"));
    }
  }
  return claims;
}

Result<std::array<unsigned char, 32>> session_id(const std::vector<const Certificate*>& members) {
  const std::unique_ptr<EVP_MD_CTX, OpensslFree<&EVP_MD_CTX_free>> hash(EVP_MD_CTX_new());
  std::array<unsigned char, 32> id{};
  bool ok = hash && EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1;
  for (const Certificate* one : members) {
    std::array<unsigned char, 32> digest{};
    ok = ok && X509_digest(one->identity.certificate(), EVP_sha256(), digest.data(), nullptr) == 1 &&
         EVP_DigestUpdate(hash.get(), digest.data(), digest.size()) == 1 &&
         EVP_DigestUpdate(hash.get(), one->client_ca.data(), one->client_ca.size()) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(hash.get(), id.data(), nullptr) == 1;
  if (!ok) return std::unexpected(openssl("cannot hash a certificate"));
  return id;
}

// What one name's visitors get, in a context of their own.
template <class Set>
Result<> fill(Set& set, const std::vector<const Certificate*>& members, const CertificateBookOptions& options) {
  auto context = new_https_context(options);
  if (!context) return std::unexpected(std::move(context.error()));
  set.context = std::move(*context);
  SSL_CTX* c = set.context.get();
  for (const Certificate* one : members) {
    if (auto used = use_identity(c, one->identity); !used) {
      used.error().context = one->files.certificate.string() + ": " + used.error().context;
      return used;
    }
    if (one->ocsp) set.staples.push_back({one->identity.certificate(), *one->ocsp});
    if (one->client_ca != members.front()->client_ca)
      return std::unexpected(bad("the certificates " + members.front()->files.certificate.string() + " and " +
                                 one->files.certificate.string() +
                                 " are for the same name, so they have to have the same client_ca"));
  }
  if (!members.front()->client_ca.empty()) {
    if (auto named = name_client_cas(c, members.front()->files.client_ca); !named) return named;
    set.asks_visitor = true;
  }
  if (!set.staples.empty()) {
    SSL_CTX_set_tlsext_status_cb(c, &staple);
    SSL_CTX_set_tlsext_status_arg(c, &set.staples);
  }
  auto id = session_id(members);
  if (!id) return std::unexpected(std::move(id.error()));
  set.id = *id;
  return {};
}

}  // namespace

CertificateBook::~CertificateBook() = default;

Result<CertificateBookPtr> CertificateBook::load(std::span<const CertificateFiles> files,
                                                 const CertificateBookOptions& options) {
  if (files.empty()) return std::unexpected(bad("HTTPS needs a certificate, and there is none"));
  if (files.size() > kMostCertificates)
    return std::unexpected(bad("more than " + std::to_string(kMostCertificates) + " certificates"));
  std::shared_ptr<CertificateBook> book(new CertificateBook);
  std::vector<Certificate> all;
  for (const CertificateFiles& one : files) {
    auto loaded = Certificate::load(one, book->warnings_);
    if (!loaded) return std::unexpected(std::move(loaded.error()));
    all.push_back(std::move(*loaded));
  }
  book->size_ = all.size();
  Members defaults;
  auto claims = collect(all, defaults, book->warnings_);
  if (!claims) return std::unexpected(std::move(claims.error()));

  auto choice = std::make_shared<Choice>();
  std::map<Members, std::size_t> known;  // sets, by what is in them: names of the same certificates share one
  const auto set_of = [&](const Members& members) -> Result<std::size_t> {
    if (const auto found = known.find(members); found != known.end()) return found->second;
    std::vector<const Certificate*> list;
    for (const std::size_t at : members) list.push_back(&all[at]);
    auto set = std::make_unique<Choice::Set>();
    set->members = members;
    if (auto filled = fill(*set, list, options); !filled) return std::unexpected(std::move(filled.error()));
    choice->sets.push_back(std::move(set));
    return known.emplace(members, choice->sets.size() - 1).first->second;
  };
  for (const auto& [name, members] : *claims) {
    const auto set = set_of(members);
    if (!set) return std::unexpected(set.error());
    choice->names.claim(name, *set);
  }
  if (!defaults.empty()) {
    const auto set = set_of(defaults);
    if (!set) return std::unexpected(set.error());
    choice->otherwise = choice->sets[*set].get();
  }

  choice->guards_some = std::ranges::any_of(choice->sets, [](const auto& set) { return set->asks_visitor; });

  // It has no certificate of its own, so that none is shown by mistake.
  auto first = new_https_context(options);
  if (!first) return std::unexpected(std::move(first.error()));
  SSL_CTX_set_client_hello_cb(first->get(), &Choice::on_client_hello, choice.get());
  SSL_CTX_set_ex_data(first->get(), Choice::index(), new std::shared_ptr<const Choice>(choice));
  book->choice_ = std::move(choice);
  book->context_ = TlsServerContext::of(std::move(*first));
  return book;
}

bool CertificateBook::has(std::string_view host) const { return choice_->find(host) != nullptr; }

bool CertificateBook::guards(std::string_view host) const {
  if (!choice_->guards_some) return false;
  const Choice::Set* set = choice_->find(host);
  return set != nullptr && set->asks_visitor;
}

bool CertificateBook::serves(std::string_view name, std::string_view host) const {
  if (name == host) return true;
  const Choice::Set* asked = choice_->find(name);
  const Choice::Set* wanted = choice_->find(host);
  if (asked == wanted) return true;
  return name.empty() && (wanted == nullptr || !wanted->asks_visitor);
}

}  // namespace ferrotunnel::transport
