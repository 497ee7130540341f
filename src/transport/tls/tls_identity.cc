#include "transport/tls/tls_identity.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/random.h"
#include "transport/tcp/socket.h"
#include "transport/tls/openssl.h"

namespace ferrotunnel::transport {
namespace {

namespace fs = std::filesystem;

constexpr long kLifetime = 10L * 365 * 24 * 3600;  // seconds
constexpr long kBackdate = 24L * 3600;             // for clients whose clock is behind
constexpr off_t kMaxPemFile = 1 << 20;
constexpr mode_t kForbiddenOnOwn = 077;
constexpr mode_t kForbiddenOnGiven = 027;

Error bad(std::string text) { return {ErrorCode::BadInput, Side::Local, false, std::move(text)}; }
Error io(int err, const std::string& what) {
  Error error = errno_error(err, Side::Local, what);
  error.code = ErrorCode::Io;
  error.retry = false;
  return error;
}
Error openssl(std::string_view what) {
  return {ErrorCode::Tls, Side::Local, false, std::string(what) + ": " + take_openssl_error()};
}

std::string octal(mode_t mode) {
  std::string text = "0";
  for (int shift = 6; shift >= 0; shift -= 3) text += static_cast<char>('0' + ((mode >> shift) & 7));
  return text;
}

// The whole file; its mode is checked on the descriptor that is read, so that nobody swaps it in between.
Result<std::string> read_pem(const fs::path& file, mode_t forbidden) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return std::unexpected(io(errno, "cannot read " + file.string()));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return std::unexpected(io(errno, "cannot read " + file.string()));
  if (!S_ISREG(info.st_mode)) return std::unexpected(bad(file.string() + " is not a file"));
  if ((info.st_mode & forbidden) != 0) {
    return std::unexpected(bad("the private key " + file.string() + " is open to others (mode " +
                               octal(info.st_mode & 0777) + "). If nobody else has read it: chmod 600 " +
                               file.string() + "; else replace it"));
  }
  if (info.st_size > kMaxPemFile) return std::unexpected(bad(file.string() + " is too large to be a PEM file"));
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t n = ::read(fd.get(), text.data() + have, text.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(io(errno, "cannot read " + file.string()));
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  text.resize(have);
  return text;
}

BioPtr memory_bio(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// A password on a key would be asked for on the terminal, in the middle of a start.
int no_password(char*, int, int, void*) { return -1; }

Result<X509Ptr> self_signed(EVP_PKEY* key, const std::string& common_name) {
  X509Ptr certificate(X509_new());
  X509* x = certificate.get();
  std::array<std::byte, 8> serial{};
  fill_random(serial);
  X509_NAME* name = x != nullptr ? X509_get_subject_name(x) : nullptr;
  const bool ok =
      name != nullptr && X509_set_version(x, X509_VERSION_3) == 1 &&
      ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), load_be<std::uint64_t>(serial.data()) >> 1) == 1 &&
      X509_gmtime_adj(X509_getm_notBefore(x), -kBackdate) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(x), kLifetime) != nullptr && X509_set_pubkey(x, key) == 1 &&
      X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common_name.c_str()),
                                 -1, -1, 0) == 1 &&
      X509_set_issuer_name(x, name) == 1 && X509_sign(x, key, EVP_sha256()) > 0;
  if (!ok) return std::unexpected(openssl("cannot make a certificate"));
  return certificate;
}

Result<std::string> to_pem(EVP_PKEY* key, X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      PEM_write_bio_X509(out.get(), certificate) != 1) {
    return std::unexpected(openssl("cannot write a private key"));
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  std::string text(data, static_cast<std::size_t>(size));
  OPENSSL_cleanse(data, static_cast<std::size_t>(size));
  return text;
}

int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return ::fsync(fd) == 0 ? 0 : errno;
}

// Puts `text` under `file` whole or not at all. An existing one stays: somebody else was first, and its key may be in a token already.
Result<> publish(const fs::path& file, const std::string& text) {
  std::string temporary = file.string() + ".XXXXXX";
  const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  if (!fd) return std::unexpected(io(errno, "cannot write in " + file.parent_path().string()));
  int err = write_all(fd.get(), text);
  if (err == 0 && ::link(temporary.c_str(), file.c_str()) != 0) {
    err = errno == EEXIST ? 0 : errno;
    // A file system without hard links: rename() is as whole, only not exclusive.
    if (err != 0 && ::rename(temporary.c_str(), file.c_str()) == 0) err = 0;
  }
  ::unlink(temporary.c_str());
  if (err != 0) return std::unexpected(io(err, "cannot write " + file.string()));
  const UniqueFd directory(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) ::fsync(directory.get());
  return {};
}

Result<> ensure_directory(const fs::path& directory) {
  std::error_code ec;
  if (!fs::exists(directory, ec)) {
    if (directory.has_parent_path()) fs::create_directories(directory.parent_path(), ec);
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
      return std::unexpected(io(errno, "cannot make the state directory " + directory.string()));
  }
  struct stat info{};
  if (::stat(directory.c_str(), &info) != 0)
    return std::unexpected(io(errno, "cannot use the state directory " + directory.string()));
  if (!S_ISDIR(info.st_mode))
    return std::unexpected(bad("the state directory " + directory.string() + " is not a directory"));
  if ((info.st_mode & 02) != 0) {
    return std::unexpected(bad("the state directory " + directory.string() + " is writable by everybody (mode " +
                               octal(info.st_mode & 0777) + "): chmod 700 " + directory.string()));
  }
  return {};
}

}  // namespace

Result<TlsIdentity> TlsIdentity::make(const std::string& common_name) {
  TlsIdentity identity;
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return std::unexpected(openssl("cannot make a key"));
  auto certificate = self_signed(key.get(), common_name);
  if (!certificate) return std::unexpected(std::move(certificate.error()));
  if (!fingerprint_of(certificate->get(), identity.fingerprint_)) return std::unexpected(openssl("cannot hash a key"));
  identity.key_.reset(key.release(), &EVP_PKEY_free);
  identity.certificate_.reset(certificate->release(), &X509_free);
  return identity;
}

Result<TlsIdentity> TlsIdentity::load(const fs::path& certificate, const fs::path& key) {
  return load_checked(certificate, key, kForbiddenOnGiven);
}

Result<TlsIdentity> TlsIdentity::load_checked(const fs::path& certificate, const fs::path& key,
                                              unsigned forbidden_mode) {
  auto key_text = read_pem(key, forbidden_mode);
  if (!key_text) return std::unexpected(std::move(key_text.error()));
  auto certificate_text = certificate == key ? *key_text : read_pem(certificate, 0);
  if (!certificate_text) return std::unexpected(std::move(certificate_text.error()));

  ERR_clear_error();
  TlsIdentity identity;
  const BioPtr key_bio = memory_bio(*key_text);
  KeyPtr private_key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, &no_password, nullptr));
  OPENSSL_cleanse(key_text->data(), key_text->size());
  if (!private_key) {
    return std::unexpected(
        bad("no private key without a password can be read from " + key.string() + " (" + take_openssl_error() + ")"));
  }
  const BioPtr bio = memory_bio(*certificate_text);
  while (X509* x = PEM_read_bio_X509(bio.get(), nullptr, &no_password, nullptr)) {
    std::shared_ptr<X509> owned(x, &X509_free);
    if (!identity.certificate_) {
      identity.certificate_ = std::move(owned);
    } else {
      identity.chain_.push_back(std::move(owned));
    }
  }
  // The loop ends at "no start line", which is how PEM says that there is no more; anything else is a broken block.
  const bool broken = ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
  const std::string reason = take_openssl_error();
  if (!identity.certificate_ || broken)
    return std::unexpected(
        bad("no certificate can be read from " + certificate.string() + " (" + reason + "); it has to be PEM"));
  if (X509_check_private_key(identity.certificate_.get(), private_key.get()) != 1) {
    ERR_clear_error();
    return std::unexpected(bad("the private key " + key.string() + " does not belong to the certificate " +
                               certificate.string() + "; the server's own certificate has to come first in its file"));
  }
  if (!fingerprint_of(identity.certificate_.get(), identity.fingerprint_))
    return std::unexpected(openssl("cannot hash a key"));
  identity.key_.reset(private_key.release(), &EVP_PKEY_free);
  return identity;
}

Result<TlsIdentity> TlsIdentity::load_or_make(const fs::path& given) {
  const fs::path directory = given.has_filename() ? given : given.parent_path();  // without a trailing slash
  if (auto ready = ensure_directory(directory); !ready) return std::unexpected(std::move(ready.error()));
  const fs::path file = directory / kIdentityFile;
  bool fresh = false;
  if (::access(file.c_str(), F_OK) != 0 && errno == ENOENT) {
    auto made = make("ferrotunnel");
    if (!made) return made;
    auto pem = to_pem(made->key(), made->certificate());
    if (!pem) return std::unexpected(std::move(pem.error()));
    auto published = publish(file, *pem);
    OPENSSL_cleanse(pem->data(), pem->size());
    if (!published) return std::unexpected(std::move(published.error()));
    fresh = true;
  }
  // What was just made is read back too: of two processes that start together, both use the file that won.
  auto identity = load_checked(file, file, kForbiddenOnOwn);
  if (!identity) {
    if (identity.error().code == ErrorCode::BadInput &&
        identity.error().context.find("open to others") == std::string::npos)
      identity.error().context +=
          ". Restore it from a backup, or remove it for a new one (tokens given out so far stop working)";
    return identity;
  }
  identity->fresh_ = fresh;
  return identity;
}

}  // namespace ferrotunnel::transport
