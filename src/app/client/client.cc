// The public Client and its builder: options in, ClientImpl behind.
#include "ferrotunnel/client.h"

#include <set>
#include <stdexcept>

#include "app/client/client_impl.h"
#include "http/host.h"

namespace ferrotunnel {

ClientBuilder::ClientBuilder() : options_(std::make_unique<Options>()) {}
ClientBuilder::ClientBuilder(ClientBuilder&&) noexcept = default;
ClientBuilder& ClientBuilder::operator=(ClientBuilder&&) noexcept = default;
ClientBuilder::~ClientBuilder() = default;

ClientBuilder& ClientBuilder::join(std::string token) {
  options_->join = std::move(token);
  return *this;
}
ClientBuilder& ClientBuilder::server(std::string address) {
  options_->servers.push_back(std::move(address));
  return *this;
}
ClientBuilder& ClientBuilder::grant(std::string name, std::string secret) {
  options_->with_grant = true;
  options_->grant = std::move(name);
  options_->secret = std::move(secret);
  return *this;
}
ClientBuilder& ClientBuilder::tls(bool on) {
  options_->tls = on;
  return *this;
}
ClientBuilder& ClientBuilder::tls_ca(std::string ca_file) {
  options_->tls_ca = std::move(ca_file);
  return *this;
}
ClientBuilder& ClientBuilder::tls_certificate(std::string certificate_file, std::string key_file) {
  options_->tls_certificate = std::move(certificate_file);
  options_->tls_key = std::move(key_file);
  return *this;
}
ClientBuilder& ClientBuilder::http(std::string name, std::string to, std::string host) {
  options_->tunnels.push_back({std::move(name), std::move(to), std::move(host), wire::TunnelProto::Http, 0, {}, {}});
  return *this;
}
ClientBuilder& ClientBuilder::tcp(std::string name, std::string to, std::uint16_t port) {
  return tcp(std::move(name), std::move(to), TcpTunnelOptions{.port = port});
}
ClientBuilder& ClientBuilder::tcp(std::string name, std::string to, TcpTunnelOptions options) {
  options_->tunnels.push_back(
      {std::move(name), std::move(to), {}, wire::TunnelProto::Tcp, options.port, {}, options.proxy_protocol});
  return *this;
}
ClientBuilder& ClientBuilder::origin_connect_timeout(std::chrono::milliseconds timeout) {
  options_->origin_connect_timeout = timeout;
  return *this;
}
ClientBuilder& ClientBuilder::memory_limit(std::size_t bytes) {
  options_->memory_limit = bytes;
  return *this;
}
ClientBuilder& ClientBuilder::fail_fast(bool on) {
  options_->fail_fast = on;
  return *this;
}
ClientBuilder& ClientBuilder::on_connecting(std::function<void(const Connecting&)> call) {
  options_->on_connecting = std::move(call);
  return *this;
}
ClientBuilder& ClientBuilder::on_connected(std::function<void(const Connected&)> call) {
  options_->on_connected = std::move(call);
  return *this;
}
ClientBuilder& ClientBuilder::on_disconnected(std::function<void(const Disconnected&)> call) {
  options_->on_disconnected = std::move(call);
  return *this;
}
ClientBuilder& ClientBuilder::on_tunnel_up(std::function<void(const TunnelUp&)> call) {
  options_->on_tunnel_up = std::move(call);
  return *this;
}
ClientBuilder& ClientBuilder::on_tunnel_failed(std::function<void(const TunnelFailed&)> call) {
  options_->on_tunnel_failed = std::move(call);
  return *this;
}
ClientBuilder& ClientBuilder::on_visitor(std::function<void(const VisitorEvent&)> call) {
  options_->on_visitor = std::move(call);
  return *this;
}
ClientBuilder& ClientBuilder::on_error(std::function<void(const Error&)> call) {
  options_->on_error = std::move(call);
  return *this;
}

namespace {

constexpr std::size_t kLeastMemory = 1u << 20;  // a link that is busy borrows two buffers of 128 KiB

std::unexpected<Error> bad(std::string text) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(text)));
}

transport::ProxyVersion version_of(ProxyProtocol protocol) {
  switch (protocol) {
    case ProxyProtocol::Off: break;
    case ProxyProtocol::V1: return transport::ProxyVersion::V1;
    case ProxyProtocol::V2: return transport::ProxyVersion::V2;
  }
  return transport::ProxyVersion::Off;
}

Result<> check_host(const std::string& host) {
  if (host.empty()) return {};
  const bool wild = host.starts_with("*.");
  std::string name;
  if (!http::normalise_host(wild ? std::string_view(host).substr(2) : std::string_view(host), name) ||
      host.find(':') != std::string::npos)
    return bad("'" + host + "' is not a host name (app.example.com, or *.dev.example.com)");
  return {};
}

// As the server will compare it; check_host() has passed.
std::string spelling_of(std::string_view host) {
  const bool wild = host.starts_with("*.");
  std::string name;
  if (!http::normalise_host(wild ? host.substr(2) : host, name)) return {};
  return wild ? "*." + name : name;
}

// Token and options become one JoinToken.
Result<session::JoinToken> what_to_join(const std::string& join, const std::vector<std::string>& servers,
                                        const std::string& grant, const std::string& secret, bool with_grant,
                                        std::optional<bool> tls) {
  session::JoinToken token;
  if (!join.empty()) {
    auto decoded = session::decode_join_token(join);
    if (!decoded) return decoded;
    token = std::move(*decoded);
    if (tls && *tls != token.tls)
      return bad(token.tls ? "the token is for a server that speaks TLS: leave TLS on"
                           : "the token is for a server without TLS");
  } else {
    token.tls = tls.value_or(true);
  }
  if (!servers.empty()) token.addresses = servers;
  if (with_grant) {
    token.grant = grant;
    token.secret = session::Secret(as_bytes(secret));
    if (!token.secret.valid()) return bad("the secret of grant " + grant + " has to have 16 to 64 bytes");
  }
  if (token.addresses.empty())
    return std::unexpected(Error(ErrorCode::Unauthorized, Side::Local, false,
                                 "which server? give its join token, or its address with a grant and a secret"));
  if (!token.secret.valid())
    return std::unexpected(
        Error(ErrorCode::Unauthorized, Side::Local, false,
              "a secret of 16 to 64 bytes is needed to sign in: give the server's join token, or a grant"));
  if (!wire::valid_name(token.grant))
    return bad("a grant's name is 1 to 64 of A-Z a-z 0-9 . _ - (the first not . or -)");
  for (const std::string& address : token.addresses) {
    auto parts = session::split_host_port(address, 7835);
    if (!parts) return std::unexpected(parts.error());
    if (parts->host.empty() || parts->port == 0) return bad("'" + address + "' is not HOST:PORT of a server");
  }
  return token;
}

}  // namespace

Result<Client> ClientBuilder::build() {
  if (!options_ || options_->built) return bad("this builder has built already: a builder builds once");
  Options& options = *options_;
  if (options.tls_certificate.empty() != options.tls_key.empty())
    return bad("a TLS certificate and its key go together: give both");
  if (options.origin_connect_timeout <= std::chrono::milliseconds::zero())
    return bad("the timeout for connecting to a local service has to be more than 0");
  if (options.memory_limit < kLeastMemory) return bad("a memory limit of less than 1 MiB leaves no room to work in");
  if (options.tunnels.empty()) return bad("there is no tunnel to make: add one with http() or tcp()");
  std::set<std::string> names, hosts;
  std::set<std::uint16_t> ports;
  for (Options::Tunnel& tunnel : options.tunnels) {
    if (!wire::valid_name(tunnel.name))
      return bad("a tunnel's name is 1 to 64 of A-Z a-z 0-9 . _ - (the first not . or -), not '" + tunnel.name + "'");
    if (!names.insert(tunnel.name).second) return bad("two tunnels are named " + tunnel.name);
    if (auto checked = check_host(tunnel.host); !checked) return std::unexpected(checked.error());
    if (!tunnel.host.empty() && !hosts.insert(spelling_of(tunnel.host)).second)
      return bad("two tunnels ask for the host " + tunnel.host + ": a host leads to one of them");
    if (tunnel.port != 0 && !ports.insert(tunnel.port).second)
      return bad("two tunnels ask for port " + std::to_string(tunnel.port) + ": a port leads to one of them");
    auto target = origin::parse_target(tunnel.to, wire::to_string(tunnel.proto));
    if (!target) return std::unexpected(target.error());
    if (tunnel.proxy_protocol != ProxyProtocol::Off && tunnel.proto != wire::TunnelProto::Tcp)
      return bad("the tunnel " + tunnel.name +
                 " is an http one: its service reads the visitor's address in X-Forwarded-For, not in a PROXY header");
    target->proxy = version_of(tunnel.proxy_protocol);
    tunnel.target = std::make_shared<const origin::OriginTarget>(std::move(*target));
  }
  // Last, so that whoever has no token yet hears of the other mistakes first.
  auto token =
      what_to_join(options.join, options.servers, options.grant, options.secret, options.with_grant, options.tls);
  if (!token) return std::unexpected(token.error());
  options.token = std::move(*token);
  if (!options.token.tls && !(options.tls_ca.empty() && options.tls_certificate.empty()))
    return bad("a TLS CA or certificate is given, but the connection to the server would be without TLS");
  options.built = true;
  try {
    return Client(std::make_unique<ClientImpl>(std::move(options)));
  } catch (const std::runtime_error& error) {  // no descriptors for its io_context and its epoll set
    return std::unexpected(
        Error(ErrorCode::Io, Side::Local, true, std::string("cannot make a client: ") + error.what()));
  }
}

Client::Client(std::unique_ptr<ClientImpl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

// One that was moved from has nothing behind it.
Result<> Client::start() {
  return impl_ ? impl_->start() : bad("this client was moved from: there is nothing to start");
}
bool Client::drain(std::chrono::milliseconds deadline) { return !impl_ || impl_->drain(deadline); }
void Client::stop() {
  if (impl_) impl_->stop();
}
std::optional<Error> Client::wait_failed(std::chrono::milliseconds timeout) {
  return impl_ ? impl_->wait_failed(timeout) : std::nullopt;
}
ClientStatus Client::status() const { return impl_ ? impl_->status() : ClientStatus{}; }

}  // namespace ferrotunnel
