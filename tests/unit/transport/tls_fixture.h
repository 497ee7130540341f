// What the TLS tests share: certificates made on the spot, socket pairs, a pair of TLS streams, and a middle that carries their bytes.
//
// All of it runs in one thread.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "transport/tcp/socket.h"
#include "transport/tls/tls_stream.h"

namespace ferrotunnel::transport::test {

namespace fs = std::filesystem;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = "/tmp/ft_tls_XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ec;
    fs::remove_all(path_, ec);
  }
  [[nodiscard]] fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

// A CA that signs server and client certificates, as files.
class TestCa {
 public:
  explicit TestCa(const std::string& name)
      : key_(EVP_EC_gen("P-256")), certificate_(make(name, key_, nullptr, nullptr, "CA:TRUE", "")) {
    write_certificate(directory_ / "ca.pem", certificate_);
  }
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;
  ~TestCa() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }

  [[nodiscard]] fs::path file() const { return directory_ / "ca.pem"; }

  // `names`: "DNS:a.test,IP:127.0.0.1"; "" for a client.
  [[nodiscard]] TlsIdentity issue(const std::string& names) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = make("leaf", key, certificate_, key_, "CA:FALSE", names);
    const auto key_file = directory_ / ("key" + std::to_string(++issued_)),
               file = directory_ / ("cert" + std::to_string(issued_));
    write_key(key_file, key);
    write_certificate(file, certificate);
    X509_free(certificate);
    EVP_PKEY_free(key);
    auto identity = TlsIdentity::load(file, key_file);
    EXPECT_TRUE(identity) << identity.error().context;
    return *identity;
  }

  static void write_key(const fs::path& file, EVP_PKEY* key) {
    FILE* out = std::fopen(file.c_str(), "w");
    PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(out);
    fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  }
  static void write_certificate(const fs::path& file, X509* certificate) {
    FILE* out = std::fopen(file.c_str(), "a");
    PEM_write_X509(out, certificate);
    std::fclose(out);
  }

 private:
  static void extend(X509* to, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    X509_add_ext(to, extension, -1);
    X509_EXTENSION_free(extension);
  }
  static X509* make(const std::string& name, EVP_PKEY* key, X509* issuer, EVP_PKEY* signer,
                    const std::string& constraints, const std::string& names) {
    static int serial = 0;
    X509* x = X509_new();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(x, issuer != nullptr ? X509_get_subject_name(issuer) : X509_get_subject_name(x));
    extend(x, issuer != nullptr ? issuer : x, NID_basic_constraints, "critical," + constraints);
    if (!names.empty()) extend(x, issuer != nullptr ? issuer : x, NID_subject_alt_name, names);
    X509_sign(x, signer != nullptr ? signer : key, EVP_sha256());
    return x;
  }

  TemporaryDirectory directory_;
  EVP_PKEY* key_;
  X509* certificate_;
  int issued_ = 0;
};

struct FdPair {
  UniqueFd a, b;
};
inline FdPair unix_pair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}
// The two ends of a TCP connection over loopback. `buffer` > 0: small socket buffers, so that writes are met by "full" all the time.
inline FdPair tcp_pair(int buffer = 0) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (buffer > 0) ::setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  FdPair pair;
  pair.a.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (buffer > 0) ::setsockopt(pair.a.get(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  EXPECT_EQ(::connect(pair.a.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  pair.b.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  ::fcntl(pair.a.get(), F_SETFL, O_NONBLOCK);
  for (const int fd : {pair.a.get(), pair.b.get()}) {
    set_nodelay(fd);
    if (buffer > 0) ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  }
  return pair;
}

inline void wait_for(int fd, short events, int ms = 5000) {
  pollfd p{fd, events, 0};
  ASSERT_GT(::poll(&p, 1, ms), 0) << "nothing came";
}

struct TlsPair {
  std::unique_ptr<TlsStream> client, server;
  std::optional<Error> client_error, server_error;
  bool client_done = false, server_done = false;

  TlsPair(FdPair fds, const TlsClientContext& client_context, const TlsServerContext& server_context,
          const std::string& host = "a.test") {
    auto c = TlsStream::connect(fds.a.release(), client_context, host);
    auto s = TlsStream::accept(fds.b.release(), server_context);
    EXPECT_TRUE(c && s);
    client = std::move(*c);
    server = std::move(*s);
  }

  // Until both have come to an end. `between` runs after every round (a relay that carries the bytes, say).
  template <class Between>
  void handshake(Between between) {
    for (int round = 0; round < 100'000; ++round) {
      step(*client, client_done, client_error);
      step(*server, server_done, server_error);
      between();
      if ((client_done || client_error) && (server_done || server_error)) return;
    }
    FAIL() << "the handshake does not end";
  }
  void handshake() {
    handshake([] { ::usleep(20); });
  }
  [[nodiscard]] bool up() const { return client_done && server_done; }

 private:
  static void step(TlsStream& stream, bool& done, std::optional<Error>& error) {
    if (done || error) return;
    const auto progress = stream.handshake();
    if (!progress) {
      error = progress.error();
      stream.shutdown_write();
    } else {
      done = *progress == TlsProgress::Done;
    }
  }
};

inline iovec piece(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }
inline IoResult write_text(TlsStream& stream, std::string_view text) {
  const iovec p = piece(text);
  return stream.write({&p, 1});
}
// Reads until `size` bytes, the end or an error.
inline IoResult read_text(TlsStream& stream, std::string& into, std::size_t size) {
  IoResult last;
  while (into.size() < size) {
    std::array<std::byte, 5000> buffer;
    last = stream.read(MutBytes(buffer).first(std::min(buffer.size(), size - into.size())));
    if (last.status == IoStatus::Ok) into.append(as_text(ConstBytes(buffer).first(last.n)));
    if (last.status == IoStatus::WouldBlock) wait_for(stream.fd(), POLLIN);
    if (last.status == IoStatus::Eof || last.status == IoStatus::Error || ::testing::Test::HasFatalFailure()) break;
  }
  return last;
}
inline IoResult read_end(TlsStream& stream) {
  std::string rest;
  return read_text(stream, rest, 1);
}

inline const TlsIdentity& server_identity() {
  static const TlsIdentity identity = TlsIdentity::make("server").value();
  return identity;
}
inline TlsServerContext server_context(const TlsServerOptions& options = {}) {
  return TlsServerContext::make(server_identity(), options).value();
}
inline TlsClientContext pinned_client(TlsVersion minimum = TlsVersion::V13) {
  TlsClientOptions options;
  options.minimum = minimum;
  options.pin = server_identity().fingerprint();
  return TlsClientContext::make(options).value();
}

// Everything between the two ends passes through here, as many bytes at a time as told.
struct Middle {
  FdPair left = unix_pair(), right = unix_pair();
  std::size_t carried = 0;
  std::size_t corrupt_at = SIZE_MAX;

  FdPair ends() { return {std::move(left.a), std::move(right.a)}; }
  void carry(std::size_t chunk) {
    for (const auto& [from, to] : {std::pair(left.b.get(), right.b.get()), std::pair(right.b.get(), left.b.get())}) {
      std::array<char, 4096> buffer;
      const ssize_t n = ::recv(from, buffer.data(), std::min(chunk, buffer.size()), 0);
      if (n <= 0) continue;
      for (ssize_t i = 0; i < n; ++i)
        if (carried++ == corrupt_at) buffer[static_cast<std::size_t>(i)] ^= 1;
      EXPECT_EQ(::send(to, buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL), n);
    }
  }
};

}  // namespace ferrotunnel::transport::test
