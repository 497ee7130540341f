// TlsIdentity: a private key, its certificate and, where there is one, the chain above it.
//
// A server without a configured certificate keeps one of its own making in its state directory: ECDSA P-256, self-signed, valid for
// ten years, made once. Clients know it by fingerprint(). Immutable; copies share; any thread.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "transport/tls/fingerprint.h"

struct evp_pkey_st;
struct x509_st;

namespace ferrotunnel::transport {

inline constexpr std::string_view kIdentityFile = "tls-identity.pem";  // key and certificate, mode 0600

class TlsIdentity {
 public:
  // Loads `directory`/tls-identity.pem, or makes it (and the directory, mode 0700) when it is not there. Two processes that start
  // together end up with the same one. Errors: Io, BadInput, with the file and what to do.
  [[nodiscard]] static Result<TlsIdentity> load_or_make(const std::filesystem::path& directory);

  // A certificate (followed by its chain, if any) and its key from PEM files, which may be the same file. A key that others
  // may read is refused; its group may, as Debian's ssl-cert does.
  [[nodiscard]] static Result<TlsIdentity> load(const std::filesystem::path& certificate,
                                                const std::filesystem::path& key);

  // One that lives in memory only.
  [[nodiscard]] static Result<TlsIdentity> make(const std::string& common_name);

  [[nodiscard]] const Fingerprint& fingerprint() const { return fingerprint_; }
  [[nodiscard]] bool fresh() const { return fresh_; }  // load_or_make() made it just now

  [[nodiscard]] evp_pkey_st* key() const { return key_.get(); }
  [[nodiscard]] x509_st* certificate() const { return certificate_.get(); }
  [[nodiscard]] const std::vector<std::shared_ptr<x509_st>>& chain() const { return chain_; }

 private:
  TlsIdentity() = default;
  [[nodiscard]] static Result<TlsIdentity> load_checked(const std::filesystem::path& certificate,
                                                        const std::filesystem::path& key, unsigned forbidden_mode);

  std::shared_ptr<evp_pkey_st> key_;
  std::shared_ptr<x509_st> certificate_;
  std::vector<std::shared_ptr<x509_st>> chain_;
  Fingerprint fingerprint_{};
  bool fresh_ = false;
};

}  // namespace ferrotunnel::transport
