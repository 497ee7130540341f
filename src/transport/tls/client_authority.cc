#include "transport/tls/client_authority.h"

#include <openssl/pem.h>

#include <algorithm>
#include <fstream>

#include "transport/tls/openssl.h"

namespace ferrotunnel::transport {
namespace {

using StorePtr = std::unique_ptr<X509_STORE, OpensslFree<&X509_STORE_free>>;
using HashPtr = std::unique_ptr<EVP_MD_CTX, OpensslFree<&EVP_MD_CTX_free>>;
using Digest = std::array<unsigned char, 32>;

Error bad(std::string text) { return {ErrorCode::BadInput, Side::Local, false, std::move(text)}; }

Error too_long() {
  return bad("the authorities of visitors' certificates have more than " + std::to_string(ClientAuthority::kMostPem) +
             " bytes of PEM");
}

Result<std::string> to_pem(const std::vector<std::shared_ptr<X509>>& certificates) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  bool memory = out != nullptr;
  for (const auto& one : certificates) memory = memory && PEM_write_bio_X509(out.get(), one.get()) == 1;
  if (!memory) return std::unexpected(Error(ErrorCode::Tls, Side::Local, true, "no memory for certificates"));
  char* text = nullptr;
  const auto size = static_cast<std::size_t>(BIO_get_mem_data(out.get(), &text));
  if (size > ClientAuthority::kMostPem) return std::unexpected(too_long());
  return std::string(text, size);
}

// A password is asked for nowhere.
int no_password(char*, int, int, void*) { return -1; }

std::string subject_of(const X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  constexpr unsigned long kFlags = XN_FLAG_RFC2253;  // escapes controls, quotes, and all that is not ASCII
  if (!out || X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, kFlags) < 0) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string hex(const Digest& digest) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) text.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return text;
}

}  // namespace

Result<ClientAuthorityPtr> ClientAuthority::parse(std::string_view pem) {
  if (pem.size() > kMostPem) return std::unexpected(too_long());
  std::shared_ptr<ClientAuthority> made(new ClientAuthority);
  StorePtr store(X509_STORE_new());
  const HashPtr hash(EVP_MD_CTX_new());
  const BioPtr in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  bool memory = store && hash && in && EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) == 1;
  while (memory) {
    X509Ptr one(PEM_read_bio_X509(in.get(), nullptr, &no_password, nullptr));
    if (!one) break;
    if (made->certificates_.size() == kMostCertificates)
      return std::unexpected(
          bad("there are more than " + std::to_string(kMostCertificates) + " authorities of visitors' certificates"));
    Digest digest{};
    memory = X509_digest(one.get(), EVP_sha256(), digest.data(), nullptr) == 1 &&
             EVP_DigestUpdate(hash.get(), digest.data(), digest.size()) == 1 &&
             X509_STORE_add_cert(store.get(), one.get()) == 1;
    made->certificates_.emplace_back(one.release(), &X509_free);
  }
  const unsigned long last = ERR_peek_last_error();
  const bool clean = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  memory = memory && EVP_DigestFinal_ex(hash.get(), made->id_.data(), nullptr) == 1;
  if (!memory) return std::unexpected(Error(ErrorCode::Tls, Side::Local, true, "no memory for certificates"));
  if (!clean || made->certificates_.empty())
    return std::unexpected(
        bad("the authorities of visitors' certificates cannot be read: they are certificates in PEM"));
  made->store_ = std::shared_ptr<X509_STORE>(store.release(), &X509_STORE_free);
  return ClientAuthorityPtr(std::move(made));
}

Result<std::string> ClientAuthority::read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string pem(kMostPem + 1, '\0');
  in.read(pem.data(), static_cast<std::streamsize>(pem.size()));
  pem.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  if (pem.empty())
    return std::unexpected(Error(ErrorCode::Io, Side::Local, false, file.string() + " cannot be read, or is empty"));
  const auto wrong = [&file](Error error) {
    error.context = file.string() + ": " + error.context;
    return std::unexpected(std::move(error));
  };
  auto parsed = parse(pem);
  OPENSSL_cleanse(pem.data(), pem.size());
  if (!parsed) return wrong(std::move(parsed.error()));
  auto written = to_pem((*parsed)->certificates_);
  if (!written) return wrong(std::move(written.error()));
  return written;
}

bool ClientAuthority::ask(SSL* ssl, bool required) const {
  STACK_OF(X509_NAME)* names = sk_X509_NAME_new_null();
  if (names == nullptr) return false;
  for (const auto& one : certificates_) {
    X509_NAME* name = X509_NAME_dup(X509_get_subject_name(one.get()));
    if (name != nullptr && sk_X509_NAME_push(names, name) > 0) continue;
    X509_NAME_free(name);
    sk_X509_NAME_pop_free(names, &X509_NAME_free);
    return false;
  }
  SSL_set_client_CA_list(ssl, names);  // takes it over
  SSL_set_verify(ssl, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  return SSL_set1_verify_cert_store(ssl, store_.get()) == 1;
}

VisitorCertificatePtr visitor_certificate(SSL* ssl, ClientAuthorityPtr authority) {
  const X509Ptr shown(SSL_get1_peer_certificate(ssl));
  if (!shown || SSL_get_verify_result(ssl) != X509_V_OK) return nullptr;
  Digest digest{};
  if (X509_digest(shown.get(), EVP_sha256(), digest.data(), nullptr) != 1) return nullptr;
  VisitorCertificate made;
  made.authority = std::move(authority);
  made.told = "Hash=" + hex(digest) + ";Subject=\"" + subject_of(shown.get()) + "\"";
  return std::make_shared<const VisitorCertificate>(std::move(made));
}

}  // namespace ferrotunnel::transport
