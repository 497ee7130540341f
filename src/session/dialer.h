// Dialer: one attempt to reach a server and sign in: resolve, connect, TLS, handshake.
//
// Connecting is a race (RFC 8305 in spirit): every address of every name in turn, and the same again, a fresh SYN each kStagger while
// none has answered. So a road that comes back after a cut is found within kStagger, not when the kernel's backed-off SYN
// happens to be due. The first connection that stands is used; the others are dropped.
// Destroying it cancels. The shard's thread only.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "session/negotiation.h"
#include "transport/tcp/socket.h"
#include "transport/tls/tls_context.h"

namespace ferrotunnel::session {

struct DialOptions {
  std::vector<std::string> addresses;  // "host:port"
  std::optional<transport::TlsClientContext> tls;
  std::string server_name;  // that the certificate has to have; "": the host of the address
  ClientHandshakeOptions handshake;
  Duration connect_deadline = std::chrono::seconds(10);
  Duration handshake_deadline = std::chrono::seconds(10);
};

struct Dialed {
  Negotiated peer;
  std::string address;  // that was reached, as text
  std::string host;     // as it was written
};

class Dialer {
 public:
  static constexpr Duration kStagger = std::chrono::milliseconds(400);
  static constexpr std::size_t kMaxRacing = 12;
  // Called once, never from inside start(). May destroy the dialer.
  using OnDone = std::function<void(Result<Dialed>)>;

  Dialer(transport::Shard& shard, DialOptions options, OnDone on_done);
  ~Dialer();
  void start();

 private:
  struct Attempt;
  struct Target {
    transport::SocketAddress address;
    std::string host;  // as written, for TLS
  };
  void resolve_next(std::size_t index);
  void resolved();
  void race();
  void race_after(Duration wait);
  void launch();
  void on_decided(Attempt& attempt);
  void connected(Attempt& attempt);
  void fail(Error error);

  transport::Shard& shard_;
  const DialOptions options_;
  OnDone on_done_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // false once destroyed, for callbacks under way
  boost::asio::ip::tcp::resolver resolver_;
  boost::asio::steady_timer stagger_;
  std::vector<Target> targets_;
  std::size_t next_target_ = 0;
  std::list<std::unique_ptr<Attempt>> attempts_;
  TimePoint give_up_{};
  bool over_ = false;  // failed: what is left of the race is ignored
  std::optional<Error> last_error_;
  std::unique_ptr<Negotiation> negotiation_;
};

// "host:port", "[v6]:port"; a missing port is default_port. Errors: BadInput.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
[[nodiscard]] Result<HostPort> split_host_port(std::string_view text, std::uint16_t default_port);

}  // namespace ferrotunnel::session
