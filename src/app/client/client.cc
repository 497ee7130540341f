// The public Client and its builder: options in, ClientImpl behind.
#include "ferrotunnel/client.h"

#include <stdexcept>

#include "app/client/client_impl.h"
#include "app/client/plan.h"

namespace ferrotunnel {

ClientBuilder::ClientBuilder() : options_(std::make_unique<Options>()) {}
ClientBuilder::ClientBuilder(ClientConfig config) : options_(std::make_unique<Options>()) {
  static_cast<ClientConfig&>(*options_) = std::move(config);
}
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
  TunnelConfig made;
  made.name = std::move(name);
  made.to = std::move(to);
  made.host = std::move(host);
  return tunnel(std::move(made));
}
ClientBuilder& ClientBuilder::tcp(std::string name, std::string to, std::uint16_t port) {
  return tcp(std::move(name), std::move(to), TcpTunnelOptions{.port = port});
}
ClientBuilder& ClientBuilder::tcp(std::string name, std::string to, TcpTunnelOptions options) {
  TunnelConfig made;
  made.kind = TunnelConfig::Kind::Tcp;
  made.name = std::move(name);
  made.to = std::move(to);
  made.port = options.port;
  made.proxy_protocol = options.proxy_protocol;
  made.carry = options.carry;
  return tunnel(std::move(made));
}
ClientBuilder& ClientBuilder::tunnel(TunnelConfig tunnel) {
  options_->tunnels.push_back(std::move(tunnel));
  return *this;
}
ClientBuilder& ClientBuilder::tls_server_name(std::string name) {
  options_->tls_server_name = std::move(name);
  return *this;
}
ClientBuilder& ClientBuilder::tls_skip_verify(bool on) {
  options_->tls_skip_verify = on;
  return *this;
}
ClientBuilder& ClientBuilder::control_socket(std::string path) {
  options_->control_socket = std::move(path);
  return *this;
}
ClientBuilder& ClientBuilder::origin_connect_timeout(std::chrono::milliseconds timeout) {
  options_->origin_connect_timeout = timeout;
  return *this;
}
ClientBuilder& ClientBuilder::threads(unsigned count) {
  options_->threads = count;
  return *this;
}
ClientBuilder& ClientBuilder::memory_limit(std::size_t bytes) {
  options_->memory_limit = bytes;
  return *this;
}
ClientBuilder& ClientBuilder::busy_poll(std::chrono::microseconds time) {
  options_->busy_poll = time;
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
ClientBuilder& ClientBuilder::on_drain_asked(DrainAsked call) {
  options_->on_drain_asked = std::move(call);
  return *this;
}
ClientBuilder& ClientBuilder::on_reload_asked(ReloadAsked call) {
  options_->on_reload_asked = std::move(call);
  return *this;
}

Result<Client> ClientBuilder::build() {
  const auto bad = [](std::string text) {
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(text)));
  };
  if (!options_ || options_->built) return bad("this builder has built already: a builder builds once");
  Options& options = *options_;
  auto plan = app::plan_client(options);
  if (!plan) return std::unexpected(plan.error());
  options.built = true;
  try {
    return Client(std::make_unique<ClientImpl>(std::move(options), std::move(*plan)));
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
  if (impl_) return impl_->start();
  return std::unexpected(
      Error(ErrorCode::BadInput, Side::Local, false, "this client was moved from: there is nothing to start"));
}
bool Client::drain(std::chrono::milliseconds deadline) { return !impl_ || impl_->drain(deadline); }
void Client::stop() {
  if (impl_) impl_->stop();
}
std::optional<Error> Client::wait_failed(std::chrono::milliseconds timeout) {
  return impl_ ? impl_->wait_failed(timeout) : std::nullopt;
}
Result<Reloaded> Client::reload(const ClientConfig& config) {
  if (impl_) return impl_->reload(config);
  return std::unexpected(
      Error(ErrorCode::BadInput, Side::Local, false, "this client was moved from: there is nothing to reload"));
}
ClientStatus Client::status() const { return impl_ ? impl_->status() : ClientStatus{}; }

}  // namespace ferrotunnel
