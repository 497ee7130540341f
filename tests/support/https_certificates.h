// Certificates of HTTPS for tests, made on the spot as files: of either kind of key, for any names and time, with OCSP responses; and a visitor
// who speaks TLS as he is told to.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace ferrotunnel::test {

enum class KeyKind { Ec, Rsa };

// A CA, and what it issues: NAME.crt and NAME.key in a directory that goes with it.
class HttpsCa {
 public:
  explicit HttpsCa(std::filesystem::path directory) : directory_(std::move(directory)), key_(EVP_EC_gen("P-256")) {
    certificate_ = make("CA", key_, "CA:TRUE", "", -3600, 24 * 3600);
    write(directory_ / "ca.pem", [this](FILE* out) { PEM_write_X509(out, certificate_); });
  }
  HttpsCa(const HttpsCa&) = delete;
  HttpsCa& operator=(const HttpsCa&) = delete;
  ~HttpsCa() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }

  struct Issue {
    KeyKind kind = KeyKind::Ec;
    long begin = -3600, end = 24 * 3600;  // seconds from now
    std::optional<long> ocsp_until = {};  // NAME.ocsp, good until then
  };
  struct Files {
    std::filesystem::path certificate, key;
  };
  // `names`: "DNS:a.test,DNS:*.b.test"; "" for none.
  Files issue(const std::string& name, const std::string& names, const Issue& how) {
    EVP_PKEY* key = how.kind == KeyKind::Ec ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
    X509* x = make(name, key, "CA:FALSE", names, how.begin, how.end);
    const Files files{directory_ / (name + ".crt"), directory_ / (name + ".key")};
    write(files.key, [key](FILE* out) { PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr); });
    ::chmod(files.key.c_str(), 0600);
    write(files.certificate, [x, this](FILE* out) {
      PEM_write_X509(out, x);
      PEM_write_X509(out, certificate_);
    });
    if (how.ocsp_until) write_ocsp(directory_ / (name + ".ocsp"), x, *how.ocsp_until);
    X509_free(x);
    EVP_PKEY_free(key);
    return files;
  }
  Files issue(const std::string& name, const std::string& names) { return issue(name, names, {}); }

  [[nodiscard]] std::filesystem::path file() const { return directory_ / "ca.pem"; }
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

 private:
  template <class Write>
  static void write(const std::filesystem::path& file, Write write) {
    // Another file in its place, as those who renew certificates do it.
    const std::filesystem::path next = file.string() + ".new";
    FILE* out = std::fopen(next.c_str(), "w");
    ASSERT_NE(out, nullptr) << file;
    write(out);
    std::fclose(out);
    std::filesystem::rename(next, file);
  }
  void extend(X509* to, int nid, const std::string& value) const {
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate_ != nullptr ? certificate_ : to, to, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    ASSERT_NE(extension, nullptr) << value;
    X509_add_ext(to, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509* make(const std::string& name, EVP_PKEY* key, const std::string& constraints, const std::string& names,
             long begin, long end) {
    X509* x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(x), begin);
    X509_gmtime_adj(X509_getm_notAfter(x), end);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(certificate_ != nullptr ? certificate_ : x));
    extend(x, NID_basic_constraints, "critical," + constraints);
    if (!names.empty()) extend(x, NID_subject_alt_name, names);
    X509_sign(x, key_, EVP_sha256());
    return x;
  }
  void write_ocsp(const std::filesystem::path& file, X509* certificate, long until) {
    OCSP_BASICRESP* basic = OCSP_BASICRESP_new();
    OCSP_CERTID* id = OCSP_cert_to_id(EVP_sha1(), certificate, certificate_);
    ASN1_TIME* since = X509_gmtime_adj(nullptr, -7200);
    ASN1_TIME* next = X509_gmtime_adj(nullptr, until);
    OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, nullptr, since, next);
    OCSP_basic_sign(basic, certificate_, key_, EVP_sha256(), nullptr, OCSP_NOCERTS);
    OCSP_RESPONSE* response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char* der = nullptr;
    const int size = i2d_OCSP_RESPONSE(response, &der);
    write(file, [&](FILE* out) { std::fwrite(der, 1, static_cast<std::size_t>(size), out); });
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(since);
    ASN1_TIME_free(next);
  }

  std::filesystem::path directory_;
  EVP_PKEY* key_;
  X509* certificate_ = nullptr;
  long serial_ = 0;
};

// A visitor's side of TLS, without a verdict of its own on what it is shown.
struct TlsVisitor {
  std::string name;             // asked for; "": none
  int version = 0;              // TLS1_2_VERSION, TLS1_3_VERSION; 0: the best
  std::string signatures = {};  // "RSA-PSS+SHA256": what he can verify
  std::string alpn = {};        // "\x02h2\x08http/1.1"
  bool wants_ocsp = false;
  HttpsCa::Files certificate{};  // to show
  SSL_SESSION* session = nullptr;

  using ContextPtr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
  using SslPtr = std::unique_ptr<SSL, decltype(&SSL_free)>;

  [[nodiscard]] ContextPtr context() const {
    ContextPtr made(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
    SSL_CTX_set_verify(made.get(), SSL_VERIFY_NONE, nullptr);
    if (version != 0) {
      SSL_CTX_set_min_proto_version(made.get(), version);
      SSL_CTX_set_max_proto_version(made.get(), version);
    }
    if (!certificate.certificate.empty()) {
      EXPECT_EQ(SSL_CTX_use_certificate_chain_file(made.get(), certificate.certificate.c_str()), 1);
      EXPECT_EQ(SSL_CTX_use_PrivateKey_file(made.get(), certificate.key.c_str(), SSL_FILETYPE_PEM), 1);
    }
    return made;
  }
  // On a connected descriptor, which stays the caller's.
  [[nodiscard]] SslPtr connect(SSL_CTX* in, int fd) const {
    SslPtr made(SSL_new(in), &SSL_free);
    SSL_set_fd(made.get(), fd);
    if (!name.empty()) SSL_set_tlsext_host_name(made.get(), name.c_str());
    if (!signatures.empty()) EXPECT_EQ(SSL_set1_sigalgs_list(made.get(), signatures.c_str()), 1);
    if (!alpn.empty())
      SSL_set_alpn_protos(made.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                          static_cast<unsigned>(alpn.size()));
    if (wants_ocsp) SSL_set_tlsext_status_type(made.get(), TLSEXT_STATUSTYPE_ocsp);
    if (session != nullptr) SSL_set_session(made.get(), session);
    SSL_set_connect_state(made.get());
    return made;
  }
};

}  // namespace ferrotunnel::test
