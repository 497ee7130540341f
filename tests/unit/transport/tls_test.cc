// TLS: who is let in, what arrives, how each kind of end looks, and where a server's key comes from.
//
// Over socket pairs and loopback TCP, in one thread; certificates are made on the spot.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/random.h"
#include "transport/tcp/socket.h"
#include "transport/tls/tls_stream.h"

namespace ferrotunnel::transport {
namespace {

namespace fs = std::filesystem;

// --- support: files, certificates, connections ---

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
FdPair unix_pair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}
// The two ends of a TCP connection over loopback. `buffer` > 0: small socket buffers, so that writes are met by "full" all the time.
FdPair tcp_pair(int buffer = 0) {
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

void wait_for(int fd, short events, int ms = 5000) {
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

iovec piece(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }
IoResult write_text(TlsStream& stream, std::string_view text) {
  const iovec p = piece(text);
  return stream.write({&p, 1});
}
// Reads until `size` bytes, the end or an error.
IoResult read_text(TlsStream& stream, std::string& into, std::size_t size) {
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
IoResult read_end(TlsStream& stream) {
  std::string rest;
  return read_text(stream, rest, 1);
}

// --- handshake ---

const TlsIdentity& server_identity() {
  static const TlsIdentity identity = TlsIdentity::make("server").value();
  return identity;
}
TlsServerContext server_context(const TlsServerOptions& options = {}) {
  return TlsServerContext::make(server_identity(), options).value();
}
TlsClientContext pinned_client(TlsVersion minimum = TlsVersion::V13) {
  TlsClientOptions options;
  options.minimum = minimum;
  options.pin = server_identity().fingerprint();
  return TlsClientContext::make(options).value();
}

TEST(TlsHandshake, PinnedOverUnixAndTcp) {
  for (const bool tcp : {false, true}) {
    TlsPair pair(tcp ? tcp_pair() : unix_pair(), pinned_client(), server_context());
    pair.handshake();
    ASSERT_TRUE(pair.up());
    EXPECT_EQ(pair.client->version(), "TLSv1.3");
    EXPECT_FALSE(pair.client->cipher().empty());
    EXPECT_FALSE(pair.client->plain());
    EXPECT_GT(pair.client->socket_bytes_in(), 500u);
    EXPECT_EQ(pair.client->socket_bytes_in(), pair.server->socket_bytes_out());
    EXPECT_EQ(*pair.client->handshake(), TlsProgress::Done);  // may be asked again
  }
}

TEST(TlsHandshake, ExporterIsThatOfThisConnectionAndLabel) {
  const auto connect = [] {
    TlsPair pair(unix_pair(), pinned_client(), server_context());
    EXPECT_FALSE(pair.client->exporter("EXPORTER-x"));
    pair.handshake();
    return pair;
  };
  const TlsPair one = connect(), two = connect();
  ASSERT_TRUE(one.up() && two.up());
  const auto key = one.client->exporter("EXPORTER-ferrotunnel-v1").value();
  EXPECT_EQ(key, one.server->exporter("EXPORTER-ferrotunnel-v1").value());
  EXPECT_NE(key, one.server->exporter("EXPORTER-ferrotunnel-v2").value());
  EXPECT_NE(key, two.client->exporter("EXPORTER-ferrotunnel-v1").value());
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

TEST(TlsHandshake, ByteByByte) {
  Middle middle;
  TlsPair pair(middle.ends(), pinned_client(), server_context());
  pair.handshake([&] { middle.carry(1); });
  EXPECT_TRUE(pair.up());
}

TEST(TlsHandshake, AByteChangedOnTheWayNeverMakesTwoConnectionsOfOne) {
  int broken = 0;
  for (std::size_t at = 0; at < 1200; at += 13) {
    Middle middle;
    middle.corrupt_at = at;
    TlsPair pair(middle.ends(), pinned_client(), server_context());
    bool failed = false, up = false;
    for (int round = 0; round < 100 && !failed && !up;
         ++round) {  // a longer length makes an end wait: then neither happens
      const auto c = pair.client->handshake(), s = pair.server->handshake();
      middle.carry(4096);
      failed = !c || !s;
      up = !failed && *c == TlsProgress::Done && *s == TlsProgress::Done;
    }
    broken += up ? 0 : 1;
    // A record's legacy version may be anything, and the last bytes may lie behind what both have seen.
    if (up) {
      EXPECT_EQ(pair.client->exporter("EXPORTER-x").value(), pair.server->exporter("EXPORTER-x").value()) << at;
    }
  }
  EXPECT_GT(broken, 60);
}

TEST(TlsHandshake, AnotherKeyThanThePinned) {
  TlsClientOptions options;
  options.pin = TlsIdentity::make("other").value().fingerprint();
  TlsPair pair(tcp_pair(), TlsClientContext::make(options).value(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.client_error);
  EXPECT_EQ(pair.client_error->code, ErrorCode::PinMismatch);
  EXPECT_FALSE(pair.client_error->retry);
  EXPECT_EQ(pair.client_error->context,
            "the server's key is not the one in your token. Either the server was reinstalled (ask for a new token) or "
            "someone is in between.");
  EXPECT_FALSE(pair.client->handshake());  // it stays so
}

TEST(TlsHandshake, ACaAndAName) {
  TestCa ca("ca"), other("other ca");
  const TlsIdentity leaf = ca.issue("DNS:a.test,DNS:*.w.test,IP:127.0.0.1,IP:::1");
  const auto server = TlsServerContext::make(leaf).value();
  const auto attempt = [&](const fs::path& trusted, const std::string& host) {
    TlsClientOptions options;
    options.ca = trusted;
    TlsPair pair(unix_pair(), TlsClientContext::make(options).value(), server, host);
    pair.handshake();
    EXPECT_TRUE(pair.client_done || pair.client_error->code == ErrorCode::Tls);
    return pair.client_done ? std::string("up") : pair.client_error->context;
  };
  for (const char* host : {"a.test", "x.w.test", "127.0.0.1", "::1"}) EXPECT_EQ(attempt(ca.file(), host), "up") << host;
  EXPECT_NE(attempt(ca.file(), "b.test").find("hostname mismatch"), std::string::npos);
  EXPECT_NE(attempt(ca.file(), "x.y.w.test").find("hostname mismatch"), std::string::npos);
  EXPECT_NE(attempt(ca.file(), "127.0.0.2").find("IP address mismatch"), std::string::npos);
  EXPECT_NE(attempt(other.file(), "a.test").find("not accepted"), std::string::npos);

  // The system's store knows neither, and a name is always asked for.
  const auto system = TlsClientContext::make({});
  ASSERT_TRUE(system);
  TlsPair pair(unix_pair(), *system, server);
  pair.handshake();
  ASSERT_TRUE(pair.client_error);
  EXPECT_EQ(pair.client_error->code, ErrorCode::Tls);
  EXPECT_FALSE(TlsStream::connect(unix_pair().a.release(), *system, ""));
}

TEST(TlsHandshake, MutualTls) {
  TestCa ca("client ca"), other("other ca");
  TlsServerOptions demand;
  demand.client_ca = ca.file();
  const auto attempt = [&](std::optional<TlsIdentity> identity) {
    TlsClientOptions options;
    options.pin = server_identity().fingerprint();
    options.identity = std::move(identity);
    TlsPair pair(tcp_pair(), TlsClientContext::make(options).value(), server_context(demand));
    pair.handshake();
    return pair;
  };
  EXPECT_TRUE(attempt(ca.issue("")).up());

  const TlsPair without = attempt(std::nullopt);
  ASSERT_TRUE(without.server_error);
  EXPECT_NE(without.server_error->context.find("the client showed no certificate"), std::string::npos);
  // In TLS 1.3 the client is done before the server looks: it is told by an alert.
  ASSERT_TRUE(without.client_done);
  EXPECT_EQ(read_end(*without.client).status, IoStatus::Error);
  EXPECT_NE(without.client->failure().context.find("asks for a client certificate"), std::string::npos);

  const TlsPair wrong = attempt(other.issue(""));
  ASSERT_TRUE(wrong.server_error);
  EXPECT_NE(wrong.server_error->context.find("certificate was not accepted"), std::string::npos);
  EXPECT_EQ(read_end(*wrong.client).status, IoStatus::Error);
}

TEST(TlsHandshake, Tls12OnlyWhereBothAskForIt) {
  for (const bool server_allows : {false, true}) {
    TlsServerOptions options;
    if (server_allows) options.minimum = TlsVersion::V12;
    const auto client = pinned_client(TlsVersion::V12);
    SSL_CTX_set_max_proto_version(client.native(), TLS1_2_VERSION);
    TlsPair pair(unix_pair(), client, server_context(options));
    pair.handshake();
    ASSERT_EQ(pair.up(), server_allows);
    if (server_allows) {
      EXPECT_EQ(pair.client->version(), "TLSv1.2");
      EXPECT_EQ(pair.client->exporter("EXPORTER-x").value(), pair.server->exporter("EXPORTER-x").value());
    } else {
      EXPECT_NE(pair.client_error->context.find("no TLS version in common"), std::string::npos);
      EXPECT_NE(pair.server_error->context.find("no TLS version in common"), std::string::npos);
    }
  }
}

TEST(TlsHandshake, AnEndThatDoesNotSpeakTls) {
  for (const std::string_view said :
       {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "FTUN\1\0\0\0\0\0\0\0\0\0\0\0", "SSH-2.0-x\r\n"}) {
    FdPair fds = tcp_pair();
    ASSERT_GT(::send(fds.a.get(), said.data(), said.size(), 0), 0);
    auto server = TlsStream::accept(fds.b.release(), server_context()).value();
    wait_for(server->fd(), POLLIN);
    const auto progress = server->handshake();
    ASSERT_FALSE(progress) << said;
    EXPECT_NE(progress.error().context.find("does not speak TLS"), std::string::npos)
        << said << ": " << progress.error().context;
  }
  FdPair fds = tcp_pair();
  auto client = TlsStream::connect(fds.a.release(), pinned_client(), "").value();
  EXPECT_EQ(client->handshake().value(), TlsProgress::WantRead);
  fds.b.reset();  // with the ClientHello unread: an RST
  wait_for(client->fd(), POLLIN);
  const auto reset = client->handshake();
  ASSERT_FALSE(reset);
  EXPECT_EQ(reset.error().code, ErrorCode::Io);
  EXPECT_TRUE(reset.error().retry);

  FdPair closing = tcp_pair();
  auto waiting = TlsStream::accept(closing.b.release(), server_context()).value();
  closing.a.reset();
  wait_for(waiting->fd(), POLLIN);
  const auto closed = waiting->handshake();
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().code, ErrorCode::Closed);
}

// --- bytes ---

// Sends `data` in pieces of changing sizes; `offset` is how far it has come. Returns false once everything is out.
bool send_some(TlsStream& stream, ConstBytes data, std::size_t& offset, JitterRng& rng) {
  if (offset == data.size()) return false;
  std::array<iovec, 8> pieces{};
  std::size_t count = 0, at = offset;
  while (count < pieces.size() && at < data.size()) {
    const std::uint64_t kind = rng.below(4);
    const std::size_t want = kind == 0   ? 1 + rng.below(9)
                             : kind == 1 ? rng.below(3000)
                             : kind == 2 ? 8 + rng.below(20'000)
                                         : rng.below(200'000);
    const std::size_t n = std::min(want, data.size() - at);
    pieces[count++] = {const_cast<std::byte*>(data.data() + at), n};
    at += n;
  }
  if (at == offset) return true;
  const IoResult wrote = stream.write(std::span(pieces).first(count));
  EXPECT_NE(wrote.status, IoStatus::Error) << std::strerror(wrote.error);
  if (wrote.status == IoStatus::Ok) {
    EXPECT_GT(wrote.n, 0u);
    EXPECT_LE(wrote.n, at - offset);
    offset += wrote.n;
  }
  return wrote.status != IoStatus::Error;
}

void receive_some(TlsStream& stream, std::vector<std::byte>& sink, JitterRng& rng, bool& eof) {
  static std::array<std::byte, 100'000> buffer;
  const MutBytes into = MutBytes(buffer).first(1 + rng.below(buffer.size()));
  const IoResult got = stream.read(into);
  ASSERT_NE(got.status, IoStatus::Error) << std::strerror(got.error) << " " << stream.failure().context;
  if (got.status == IoStatus::Ok)
    sink.insert(sink.end(), into.begin(), into.begin() + static_cast<std::ptrdiff_t>(got.n));
  if (got.status == IoStatus::Eof) eof = true;
}

TEST(TlsBytes, EightMegabytesEachWayAtOnce) {
  std::vector<std::byte> up(8 << 20), down(8 << 20);
  fill_random(up);
  fill_random(down);
  for (const int kind : {0, 1, 2}) {  // unix, TCP, TCP with buffers that are always full
    TlsPair pair(kind == 0 ? unix_pair() : tcp_pair(kind == 2 ? 4096 : 0), pinned_client(), server_context());
    pair.handshake();
    ASSERT_TRUE(pair.up());
    JitterRng rng(static_cast<std::uint64_t>(kind) + 1);
    std::size_t up_at = 0, down_at = 0;
    std::vector<std::byte> got_up, got_down;
    bool up_eof = false, down_eof = false, up_shut = false, down_shut = false;
    const TimePoint give_up = Clock::now() + std::chrono::seconds(100);
    while (!(up_eof && down_eof) && !HasFatalFailure()) {
      ASSERT_LT(Clock::now(), give_up);
      if (!up_shut && !send_some(*pair.client, up, up_at, rng)) {
        pair.client->shutdown_write();
        up_shut = true;
      }
      if (!down_shut && !send_some(*pair.server, down, down_at, rng)) {
        pair.server->shutdown_write();
        down_shut = true;
      }
      if (!up_eof) receive_some(*pair.server, got_up, rng, up_eof);
      if (!down_eof) receive_some(*pair.client, got_down, rng, down_eof);
    }
    EXPECT_EQ(got_up.size(), up.size());
    EXPECT_EQ(got_down.size(), down.size());
    EXPECT_TRUE(got_up == up && got_down == down);
  }
}

TEST(TlsBytes, SmallPiecesShareARecord) {
  TlsPair pair(unix_pair(), pinned_client(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.up());
  std::vector<iovec> pieces(100, piece("0123456789"));
  pieces[50] = {nullptr, 0};
  const auto before = pair.client->socket_bytes_out();
  const IoResult wrote = pair.client->write(pieces);
  EXPECT_EQ(wrote.status, IoStatus::Ok);
  EXPECT_EQ(wrote.n, 990u);
  EXPECT_LT(pair.client->socket_bytes_out() - before, 990u + 40);
  std::string got;
  read_text(*pair.server, got, 990);
  EXPECT_EQ(got.substr(980), "0123456789");
  EXPECT_EQ(pair.client->write({}).status, IoStatus::WouldBlock);  // nothing asked, nothing moved
}

TEST(TlsBytes, AFullSocketLeavesAtLeastAByteToComeBackWith) {
  TlsPair pair(tcp_pair(4096), pinned_client(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.up());
  std::string data(1 << 20, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 31 + (i >> 8));
  std::size_t sent = 0;
  while (true) {
    const IoResult wrote = write_text(*pair.client, std::string_view(data).substr(sent));
    if (wrote.status == IoStatus::WouldBlock) break;
    ASSERT_EQ(wrote.status, IoStatus::Ok);
    sent += wrote.n;
    ASSERT_LT(sent, data.size());
  }
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(write_text(*pair.client, std::string_view(data).substr(sent, 1)).status, IoStatus::WouldBlock);
  // Once the peer reads, a retry with other memory and another length goes on where it was.
  std::string got;
  const TimePoint give_up = Clock::now() + std::chrono::seconds(20);
  while (got.size() < data.size()) {
    ASSERT_LT(Clock::now(), give_up);
    std::array<std::byte, 3000> buffer;
    const IoResult n = pair.server->read(buffer);
    ASSERT_NE(n.status, IoStatus::Error);
    if (n.status == IoStatus::Ok) got.append(as_text(ConstBytes(buffer).first(n.n)));
    if (sent == data.size()) continue;
    const std::string copy = data.substr(sent, 1 + got.size() % 7000);
    const IoResult wrote = write_text(*pair.client, copy);
    ASSERT_NE(wrote.status, IoStatus::Error);
    sent += wrote.n;
  }
  EXPECT_TRUE(got == data);
}

TEST(TlsBytes, ReadPendingTellsOfBytesInsideAndOnlyOfThose) {
  Middle middle;
  TlsPair pair(middle.ends(), pinned_client(), server_context());
  pair.handshake([&] { middle.carry(4096); });
  ASSERT_TRUE(pair.up());
  EXPECT_EQ(write_text(*pair.client, std::string(1000, 'a')).n, 1000u);
  std::array<std::byte, 300> buffer;
  // A record that is there in part is nothing yet, and nothing to spin on.
  middle.carry(100);
  EXPECT_EQ(pair.server->read(buffer).status, IoStatus::WouldBlock);
  EXPECT_FALSE(pair.server->read_pending());
  middle.carry(4096);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(pair.server->read(buffer).n, 300u);
    EXPECT_TRUE(pair.server->read_pending());
  }
  EXPECT_EQ(pair.server->read(buffer).n, 100u);
  EXPECT_FALSE(pair.server->read_pending());
  EXPECT_EQ(pair.server->read(buffer).status, IoStatus::WouldBlock);
}

TEST(TlsBytes, AnEndBehindBytesIsPending) {
  for (const bool clean : {true, false}) {
    TlsPair pair(unix_pair(), pinned_client(), server_context());
    pair.handshake();
    ASSERT_TRUE(pair.up());
    EXPECT_EQ(write_text(*pair.client, "last").n, 4u);
    if (clean) {
      pair.client->shutdown_write();
    } else {
      ::shutdown(pair.client->fd(), SHUT_RDWR);
    }
    std::array<std::byte, 300> buffer;
    const IoResult got = pair.server->read(buffer);
    EXPECT_EQ(got.status, IoStatus::Ok);
    EXPECT_EQ(got.n, 4u);
    EXPECT_TRUE(pair.server->read_pending()) << "the edge that told of the end is used up";
    const IoResult end = pair.server->read(buffer);
    EXPECT_EQ(end.status, clean ? IoStatus::Eof : IoStatus::Error);
    EXPECT_FALSE(pair.server->read_pending());
    EXPECT_EQ(pair.server->read(buffer).status, end.status);  // and again
  }
}

TEST(TlsBytes, ACorruptRecordIsAnError) {
  Middle middle;
  TlsPair pair(middle.ends(), pinned_client(), server_context());
  pair.handshake([&] { middle.carry(4096); });
  ASSERT_TRUE(pair.up());
  middle.corrupt_at = middle.carried + 20;
  EXPECT_EQ(write_text(*pair.client, "text").n, 4u);
  middle.carry(4096);
  std::array<std::byte, 300> buffer;
  const IoResult got = pair.server->read(buffer);
  EXPECT_EQ(got.status, IoStatus::Error);
  EXPECT_EQ(got.error, EPROTO);
  EXPECT_EQ(pair.server->failure().code, ErrorCode::Tls);
  EXPECT_EQ(write_text(*pair.server, "x").status, IoStatus::Error);
  EXPECT_FALSE(pair.server->read_pending());
}

// --- ends ---

TEST(TlsEnd, HalfCloseLeavesTheOtherDirectionOpen) {
  TlsPair pair(tcp_pair(), pinned_client(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.up());
  EXPECT_EQ(write_text(*pair.client, "request").n, 7u);
  pair.client->shutdown_write();
  pair.client->shutdown_write();  // twice is once
  std::string request;
  EXPECT_EQ(read_text(*pair.server, request, 100).status, IoStatus::Eof);
  EXPECT_EQ(request, "request");

  const std::string answer(1 << 20, 'y');
  std::string got;
  std::size_t sent = 0;
  while (got.size() < answer.size()) {
    if (sent < answer.size()) {
      const IoResult wrote = write_text(*pair.server, std::string_view(answer).substr(sent));
      ASSERT_NE(wrote.status, IoStatus::Error);
      sent += wrote.n;
    }
    const IoResult read = read_text(*pair.client, got, std::min(got.size() + 4000, sent));
    ASSERT_EQ(read.status, IoStatus::Ok);
  }
  EXPECT_TRUE(got == answer);
  pair.server->shutdown_write();
  EXPECT_EQ(read_end(*pair.client).status, IoStatus::Eof);
}

TEST(TlsEnd, ACutIsNotTakenForAFin) {
  TlsPair pair(tcp_pair(), pinned_client(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.up());
  ::shutdown(pair.client->fd(), SHUT_WR);  // TCP's FIN without a close_notify
  const IoResult end = read_end(*pair.server);
  EXPECT_EQ(end.status, IoStatus::Error);
  EXPECT_EQ(end.error, ECONNRESET);
  EXPECT_NE(pair.server->failure().context.find("without a close"), std::string::npos);
}

TEST(TlsEnd, DestroyedIsClosedAndAbortedIsReset) {
  for (const bool abort : {false, true}) {
    TlsPair pair(tcp_pair(), pinned_client(), server_context());
    pair.handshake();
    ASSERT_TRUE(pair.up());
    if (abort) pair.client->abort();
    pair.client.reset();
    const IoResult end = read_end(*pair.server);
    EXPECT_EQ(end.status, abort ? IoStatus::Error : IoStatus::Eof);
    if (abort) {
      EXPECT_EQ(end.error, ECONNRESET);
    }
  }
}

TEST(TlsEnd, WritingToAConnectionThatIsGoneIsAnErrorAndNoSignal) {
  TlsPair pair(tcp_pair(), pinned_client(), server_context());
  pair.handshake();
  ASSERT_TRUE(pair.up());
  pair.client->abort();
  pair.client.reset();
  IoResult wrote;
  for (int i = 0; i < 100 && wrote.status != IoStatus::Error; ++i) {
    wrote = write_text(*pair.server, "x");
    ::usleep(1000);
  }
  EXPECT_EQ(wrote.status, IoStatus::Error);
  EXPECT_TRUE(wrote.error == ECONNRESET || wrote.error == EPIPE) << wrote.error;
}

TEST(TlsEnd, ContextsMayGoBeforeTheirStreams) {
  std::optional<TlsClientContext> client = pinned_client();
  std::optional<TlsServerContext> server = server_context();
  TlsPair pair(unix_pair(), *client, *server);
  client.reset();
  server.reset();
  pair.handshake();
  EXPECT_TRUE(pair.up());
}

// --- identity ---

mode_t mode_of(const fs::path& path) {
  struct stat info{};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}
void write_file(const fs::path& path, const std::string& text, mode_t mode = 0600) {
  std::ofstream(path) << text;
  ::chmod(path.c_str(), mode);
}
std::string complaint(const Result<TlsIdentity>& result) {
  EXPECT_FALSE(result);
  if (result) return {};
  EXPECT_EQ(result.error().side, Side::Local);
  EXPECT_FALSE(result.error().retry);
  return result.error().context;
}

TEST(TlsIdentity, MadeOnceThenFound) {
  const TemporaryDirectory directory;
  const fs::path state = directory / "a" / "state";
  const auto made = TlsIdentity::load_or_make(state);
  ASSERT_TRUE(made) << made.error().context;
  EXPECT_TRUE(made->fresh());
  EXPECT_EQ(mode_of(state), 0700u);
  EXPECT_EQ(mode_of(state / kIdentityFile), 0600u);
  EXPECT_EQ(std::distance(fs::directory_iterator(state), fs::directory_iterator()), 1);  // nothing temporary is left

  const auto found = TlsIdentity::load_or_make(state.string() + "/");
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->fresh());
  EXPECT_EQ(found->fingerprint(), made->fingerprint());
  EXPECT_TRUE(to_string(found->fingerprint()).starts_with("sha256:"));
  EXPECT_EQ(to_string(found->fingerprint()).size(), 7u + 64);

  // What is written is an ordinary PEM pair.
  const auto loaded = TlsIdentity::load(state / kIdentityFile, state / kIdentityFile);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->fingerprint(), made->fingerprint());
  ASN1_TIME* in_nine_years = X509_gmtime_adj(nullptr, 9L * 365 * 24 * 3600);
  EXPECT_GT(ASN1_TIME_compare(X509_get0_notAfter(found->certificate()), in_nine_years), 0);
  ASN1_TIME_free(in_nine_years);
}

TEST(TlsIdentity, ManyStartTogetherAndAgree) {
  const TemporaryDirectory directory;
  std::array<std::optional<Fingerprint>, 8> seen;
  std::vector<std::thread> threads;
  for (auto& mine : seen) {
    threads.emplace_back([&mine, &directory] {
      const auto identity = TlsIdentity::load_or_make(directory / "state");
      if (identity) mine = identity->fingerprint();
    });
  }
  for (std::thread& t : threads) t.join();
  for (const auto& one : seen) {
    ASSERT_TRUE(one);
    EXPECT_EQ(*one, *seen[0]);
  }
}

TEST(TlsIdentity, ALooseKeyIsRefused) {
  const TemporaryDirectory directory;
  const fs::path state = directory / "state";
  ASSERT_TRUE(TlsIdentity::load_or_make(state));
  const fs::path file = state / kIdentityFile;
  for (const mode_t mode : {0640u, 0604u, 0666u}) {
    ::chmod(file.c_str(), mode);
    const std::string text = complaint(TlsIdentity::load_or_make(state));
    EXPECT_NE(text.find(file.string()), std::string::npos);
    EXPECT_NE(text.find("chmod 600"), std::string::npos);
  }
  ::chmod(file.c_str(), 0640);  // a given key may be read by its group
  EXPECT_TRUE(TlsIdentity::load(file, file));
  ::chmod(file.c_str(), 0644);
  EXPECT_NE(complaint(TlsIdentity::load(file, file)).find("chmod 600"), std::string::npos);
  ::chmod(file.c_str(), 0400);
  EXPECT_TRUE(TlsIdentity::load_or_make(state));
}

TEST(TlsIdentity, DamagedOrInTheWay) {
  const TemporaryDirectory directory;
  const fs::path state = directory / "state";
  ASSERT_TRUE(TlsIdentity::load_or_make(state));
  const fs::path file = state / kIdentityFile;
  std::string whole;
  std::getline(std::ifstream(file), whole, '\0');
  for (std::size_t n = 0; n + 1 < whole.size(); n += 7) {  // a last newline may be missing
    write_file(file, whole.substr(0, n));
    EXPECT_NE(complaint(TlsIdentity::load_or_make(state)).find(file.string()), std::string::npos) << n;
  }
  write_file(file, "rubbish");
  EXPECT_NE(complaint(TlsIdentity::load_or_make(state)).find("remove it for a new one"), std::string::npos);
  write_file(file, std::string(2 << 20, 'x'));
  EXPECT_NE(complaint(TlsIdentity::load_or_make(state)).find("too large"), std::string::npos);

  fs::remove(file);
  fs::create_directory(file);
  EXPECT_NE(complaint(TlsIdentity::load_or_make(state)).find("not a file"), std::string::npos);
  write_file(directory / "plain", "");
  EXPECT_NE(complaint(TlsIdentity::load_or_make(directory / "plain")).find("not a directory"), std::string::npos);
  EXPECT_NE(complaint(TlsIdentity::load_or_make(directory / "plain" / "x")).find((directory / "plain").string()),
            std::string::npos);
  fs::create_directory(directory / "open");
  ::chmod((directory / "open").c_str(), 0777);
  EXPECT_NE(complaint(TlsIdentity::load_or_make(directory / "open")).find("writable by everybody"), std::string::npos);
}

TEST(TlsIdentity, FromFiles) {
  const TemporaryDirectory directory;
  EVP_PKEY* key = EVP_EC_gen("P-256");
  TestCa::write_key(directory / "other.key", key);
  EVP_PKEY_free(key);
  const auto identity = TlsIdentity::make("a").value();
  TestCa::write_key(directory / "key", identity.key());
  TestCa::write_certificate(directory / "cert", identity.certificate());

  const auto loaded = TlsIdentity::load(directory / "cert", directory / "key");
  ASSERT_TRUE(loaded) << loaded.error().context;
  EXPECT_EQ(loaded->fingerprint(), identity.fingerprint());
  EXPECT_TRUE(loaded->chain().empty());
  EXPECT_NE(complaint(TlsIdentity::load(directory / "cert", directory / "other.key")).find("does not belong"),
            std::string::npos);
  EXPECT_NE(complaint(TlsIdentity::load(directory / "none", directory / "key")).find("none"), std::string::npos);
  EXPECT_NE(complaint(TlsIdentity::load(directory / "cert", directory / "none")).find("none"), std::string::npos);
  EXPECT_NE(complaint(TlsIdentity::load(directory / "key", directory / "key")).find("no certificate"),
            std::string::npos);
  EXPECT_NE(complaint(TlsIdentity::load(directory / "cert", directory / "cert")).find("private key"),
            std::string::npos);

  const auto above = TlsIdentity::make("above").value();
  TestCa::write_certificate(directory / "cert", above.certificate());  // appended
  const auto chained = TlsIdentity::load(directory / "cert", directory / "key");
  ASSERT_TRUE(chained);
  EXPECT_EQ(chained->chain().size(), 1u);
  EXPECT_EQ(chained->fingerprint(), identity.fingerprint());
}

}  // namespace
}  // namespace ferrotunnel::transport
