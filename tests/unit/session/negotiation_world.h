// What the tests of Negotiation and Dialer share: a shard that runs in the test's thread, socket pairs, a stream whose calls fail on
// demand, and the options of two ends that know each other.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memory_secrets.h"
#include "session/negotiation.h"
#include "transport/tcp/tcp_stream.h"
#include "transport/tls/tls_context.h"
#include "transport/tls/tls_identity.h"

namespace ferrotunnel::session::test {

using namespace std::chrono_literals;

// Runs the shard in this thread until `done` or the deadline; true when done.
template <class Done>
bool run_until(transport::Shard& shard, Done done, Duration limit = 20s) {
  const TimePoint end = Clock::now() + limit;
  while (!done()) {
    if (Clock::now() >= end) return false;
    shard.io().run_one_for(20ms);
  }
  return true;
}
// Lets everything that is ready run.
inline void settle(transport::Shard& shard) {
  for (int i = 0; i < 10; ++i) shard.io().poll();
}

inline std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

struct FdPair {
  transport::UniqueFd a, b;
};
inline FdPair socket_pair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  return {transport::UniqueFd(fds[0]), transport::UniqueFd(fds[1])};
}

inline std::string read_all_there_is(int fd) {
  std::string all;
  char buffer[4096];
  ssize_t n;
  while ((n = ::recv(fd, buffer, sizeof buffer, 0)) > 0) all.append(buffer, static_cast<std::size_t>(n));
  return all;
}
inline void send_all(int fd, ConstBytes bytes) {
  ASSERT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
}

enum class Fault { Error, Eof, Short, WouldBlock };

// A plain stream whose k-th call of read or write (counted from 0, both together) goes wrong.
class FaultyStream final : public transport::ByteStream {
 public:
  FaultyStream(transport::UniqueFd fd, Fault fault, int at, int& calls)
      : inner_(std::move(fd)), fault_(fault), at_(at), calls_(calls) {}
  [[nodiscard]] int fd() const override { return inner_.fd(); }
  [[nodiscard]] transport::IoResult read(MutBytes into) override {
    if (calls_++ != at_) return inner_.read(into);
    switch (fault_) {
      case Fault::Error: return {transport::IoStatus::Error, 0, ECONNRESET};
      case Fault::Eof: return {transport::IoStatus::Eof, 0, 0};
      case Fault::WouldBlock: return {transport::IoStatus::WouldBlock, 0, 0};
      case Fault::Short: break;
    }
    return inner_.read(into.first(1));
  }
  [[nodiscard]] transport::IoResult write(std::span<const iovec> pieces) override {
    if (calls_++ != at_) return inner_.write(pieces);
    switch (fault_) {
      case Fault::Error:
      case Fault::Eof: return {transport::IoStatus::Error, 0, EPIPE};
      case Fault::WouldBlock: return {transport::IoStatus::WouldBlock, 0, 0};
      case Fault::Short: break;
    }
    const iovec first{pieces[0].iov_base, 1};
    return inner_.write({&first, 1});
  }
  void shutdown_write() override { inner_.shutdown_write(); }
  void abort() override { inner_.abort(); }

 private:
  transport::TcpStream inner_;
  const Fault fault_;
  const int at_;
  int& calls_;
};

// The two ends' options, and what TLS needs.
struct Credentials {
  Credentials() {
    secrets.add("default", secret);
    client.grant = "default";
    client.key = AuthKey::of(secret);
    client.version = "client 1";
    client.instance.fill(std::byte{7});
    server.version = "server 1";
    server.session = "s1";
    server.heartbeat_ms = 2500;
  }
  [[nodiscard]] Negotiation::MakeHandshake make_server() {
    return [this](std::optional<ExporterKey> exporter) {
      ServerHandshakeOptions options = server;
      options.exporter = exporter;
      return std::make_unique<ServerHandshake>(options, secrets);
    };
  }
  [[nodiscard]] Negotiation::MakeHandshake make_client() {
    return [this](std::optional<ExporterKey> exporter) {
      ClientHandshakeOptions options = client;
      options.exporter = exporter;
      return std::make_unique<ClientHandshake>(options);
    };
  }

  Secret secret = Secret(as_bytes("0123456789abcdef0123456789abcdef"));
  MemorySecrets secrets;
  ServerHandshakeOptions server;
  ClientHandshakeOptions client;
};

struct TlsPair {
  TlsPair() {
    auto identity = transport::TlsIdentity::make("test");
    EXPECT_TRUE(identity);
    server = *transport::TlsServerContext::make(*identity);
    transport::TlsClientOptions options;
    options.pin = identity->fingerprint();
    client = *transport::TlsClientContext::make(options);
  }
  transport::TlsServerContext server;
  transport::TlsClientContext client;
};

// One negotiation and what it said.
struct End {
  std::unique_ptr<Negotiation> negotiation;
  int calls = 0;
  std::optional<Result<Negotiated>> result;
  std::function<void()> also;  // in the callback

  [[nodiscard]] Negotiation::OnDone on_done() {
    return [this](Result<Negotiated> r) {
      ++calls;
      result.emplace(std::move(r));
      if (also) also();
    };
  }
  void plain(transport::Shard& shard, transport::UniqueFd fd, Negotiation::MakeHandshake make,
             Duration deadline = 30s) {
    stream(shard, std::make_unique<transport::TcpStream>(std::move(fd)), std::move(make), deadline);
  }
  void stream(transport::Shard& shard, transport::ByteStreamPtr bytes, Negotiation::MakeHandshake make,
              Duration deadline = 30s) {
    negotiation = std::make_unique<Negotiation>(shard, std::move(bytes), std::move(make), deadline, on_done());
  }
  void tls(transport::Shard& shard, std::unique_ptr<transport::TlsStream> bytes, Negotiation::MakeHandshake make,
           Duration deadline = 30s) {
    negotiation = std::make_unique<Negotiation>(shard, std::move(bytes), std::move(make), deadline, on_done());
  }
  [[nodiscard]] bool ok() const { return result && *result; }
  [[nodiscard]] ErrorCode code() const { return result && !*result ? result->error().code : ErrorCode::Internal; }
};

}  // namespace ferrotunnel::session::test
