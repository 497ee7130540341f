// The public Server and its builder: options in, ServerImpl behind.
#include "ferrotunnel/server.h"

#include "app/server/plan.h"
#include "app/server/server_impl.h"

namespace ferrotunnel {

ServerBuilder::ServerBuilder() : options_(std::make_unique<Options>()) {}
ServerBuilder::ServerBuilder(ServerConfig config) : options_(std::make_unique<Options>()) {
  static_cast<ServerConfig&>(*options_) = std::move(config);
}
ServerBuilder::ServerBuilder(ServerBuilder&&) noexcept = default;
ServerBuilder& ServerBuilder::operator=(ServerBuilder&&) noexcept = default;
ServerBuilder::~ServerBuilder() = default;

ServerBuilder& ServerBuilder::listen(std::string address) {
  options_->listen = std::move(address);
  return *this;
}
ServerBuilder& ServerBuilder::http_listen(std::string address) {
  options_->http_listen = std::move(address);
  return *this;
}
ServerBuilder& ServerBuilder::https_listen(std::string address) {
  options_->https_listen = std::move(address);
  return *this;
}
ServerBuilder& ServerBuilder::https_certificate(std::string certificate_file, std::string key_file) {
  options_->https_certificate = std::move(certificate_file);
  options_->https_key = std::move(key_file);
  return *this;
}
ServerBuilder& ServerBuilder::certificate(HttpsCertificate files) {
  options_->certificates.push_back(std::move(files));
  return *this;
}
ServerBuilder& ServerBuilder::certificates_dir(std::string path) {
  options_->certificates_dir = std::move(path);
  return *this;
}
ServerBuilder& ServerBuilder::http_tls_minimum(TlsMinimum minimum) {
  options_->http_tls_minimum = minimum;
  return *this;
}
ServerBuilder& ServerBuilder::error_pages(std::string path) {
  options_->error_pages = std::move(path);
  return *this;
}
ServerBuilder& ServerBuilder::h2c(H2c what) {
  options_->h2c = what;
  return *this;
}
ServerBuilder& ServerBuilder::http2(bool on) {
  options_->http2 = on;
  return *this;
}
ServerBuilder& ServerBuilder::https_redirect(bool on) {
  options_->https_redirect = on;
  return *this;
}
ServerBuilder& ServerBuilder::hsts(std::chrono::milliseconds time) {
  options_->hsts = time;
  return *this;
}
ServerBuilder& ServerBuilder::tcp_listen_host(std::string host) {
  options_->tcp_listen_host = std::move(host);
  return *this;
}
ServerBuilder& ServerBuilder::public_address(std::string address) {
  options_->public_addresses.push_back(std::move(address));
  return *this;
}
ServerBuilder& ServerBuilder::domain(std::string name) {
  options_->domain = std::move(name);
  return *this;
}
ServerBuilder& ServerBuilder::state_dir(std::string path) {
  options_->state_dir = std::move(path);
  return *this;
}
ServerBuilder& ServerBuilder::tls(bool on) {
  options_->tls = on;
  return *this;
}
ServerBuilder& ServerBuilder::tls_certificate(std::string certificate_file, std::string key_file) {
  options_->tls_certificate = std::move(certificate_file);
  options_->tls_key = std::move(key_file);
  return *this;
}
ServerBuilder& ServerBuilder::tls_client_ca(std::string ca_file) {
  options_->tls_client_ca = std::move(ca_file);
  return *this;
}
ServerBuilder& ServerBuilder::grant(GrantOptions grant) {
  options_->grants.push_back(std::move(grant));
  return *this;
}
ServerBuilder& ServerBuilder::grant(std::string name, std::string secret) {
  GrantOptions one;
  one.name = std::move(name);
  one.secrets.push_back(std::move(secret));
  return grant(std::move(one));
}
ServerBuilder& ServerBuilder::trusted_proxies(std::vector<std::string> networks) {
  options_->trusted_proxies = std::move(networks);
  return *this;
}
ServerBuilder& ServerBuilder::threads(unsigned count) {
  options_->threads = count;
  return *this;
}
ServerBuilder& ServerBuilder::memory_limit(std::size_t bytes) {
  options_->memory_limit = bytes;
  return *this;
}
ServerBuilder& ServerBuilder::busy_poll(std::chrono::microseconds time) {
  options_->busy_poll = time;
  return *this;
}
ServerBuilder& ServerBuilder::max_visitors(std::uint32_t count) {
  options_->max_visitors = count;
  return *this;
}
ServerBuilder& ServerBuilder::min_visitor_rate(std::uint32_t bytes_per_second) {
  options_->min_visitor_rate = bytes_per_second;
  return *this;
}
ServerBuilder& ServerBuilder::max_direct(std::uint32_t count) {
  options_->max_direct = count;
  return *this;
}
ServerBuilder& ServerBuilder::host_lease(std::chrono::milliseconds time) {
  options_->host_lease = time;
  return *this;
}
ServerBuilder& ServerBuilder::tcp_keepalive(std::chrono::milliseconds time) {
  options_->tcp_keepalive = time;
  return *this;
}
ServerBuilder& ServerBuilder::tunnel_limits(TunnelLimits limits) {
  options_->tunnel_limits = std::move(limits);
  return *this;
}
ServerBuilder& ServerBuilder::on_session(std::function<void(const SessionEvent&)> call) {
  options_->on_session = std::move(call);
  return *this;
}
ServerBuilder& ServerBuilder::on_tunnel(std::function<void(const TunnelEvent&)> call) {
  options_->on_tunnel = std::move(call);
  return *this;
}
ServerBuilder& ServerBuilder::on_visitor(std::function<void(const VisitorEvent&)> call) {
  options_->on_visitor = std::move(call);
  return *this;
}
ServerBuilder& ServerBuilder::on_request(std::function<void(const RequestEvent&)> call) {
  options_->on_request = std::move(call);
  return *this;
}
ServerBuilder& ServerBuilder::on_error(std::function<void(const Error&)> call) {
  options_->on_error = std::move(call);
  return *this;
}
ServerBuilder& ServerBuilder::on_note(std::function<void(const std::string&)> call) {
  options_->on_note = std::move(call);
  return *this;
}
ServerBuilder& ServerBuilder::on_drain_asked(DrainAsked call) {
  options_->on_drain_asked = std::move(call);
  return *this;
}
ServerBuilder& ServerBuilder::on_reload_asked(ReloadAsked call) {
  options_->on_reload_asked = std::move(call);
  return *this;
}

Result<Server> ServerBuilder::build() {
  if (!options_ || options_->built) {
    return std::unexpected(
        Error(ErrorCode::BadInput, Side::Local, false, "this builder has built already: a builder builds once"));
  }
  auto plan = app::plan_server(*options_);
  if (!plan) return std::unexpected(plan.error());
  options_->built = true;
  return Server(std::make_unique<ServerImpl>(std::move(*options_), std::move(*plan)));
}

Server::Server(std::unique_ptr<ServerImpl> impl) : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;
Server::~Server() = default;

// One that was moved from has nothing behind it.
Result<ServerReady> Server::start() {
  if (impl_) return impl_->start();
  return std::unexpected(
      Error(ErrorCode::BadInput, Side::Local, false, "this server was moved from: there is nothing to start"));
}
bool Server::drain(std::chrono::milliseconds deadline) { return !impl_ || impl_->drain(deadline); }
void Server::stop() {
  if (impl_) impl_->stop();
}
Result<> Server::set_grants(const std::vector<GrantOptions>& grants) {
  if (impl_) return impl_->set_grants(grants);
  return std::unexpected(
      Error(ErrorCode::BadInput, Side::Local, false, "this server was moved from: it has no grants"));
}
Result<Reloaded> Server::reload(const ServerConfig& config) {
  if (impl_) return impl_->reload(config);
  return std::unexpected(
      Error(ErrorCode::BadInput, Side::Local, false, "this server was moved from: there is nothing to reload"));
}
ServerStatus Server::status() const { return impl_ ? impl_->status() : ServerStatus{}; }

}  // namespace ferrotunnel
