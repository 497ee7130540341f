// The public Server and its builder: options in, ServerImpl behind.
#include "ferrotunnel/server.h"

#include "app/server/grants.h"
#include "app/server/server_impl.h"
#include "session/dialer.h"
#include "wire/control.h"

namespace ferrotunnel {

ServerBuilder::ServerBuilder() : options_(std::make_unique<Options>()) {}
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
ServerBuilder& ServerBuilder::tcp_listen_host(std::string host) {
  options_->tcp_listen_host = std::move(host);
  return *this;
}
ServerBuilder& ServerBuilder::public_address(std::string address) {
  options_->public_addresses.push_back(std::move(address));
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
  options_->trusted_proxy_networks = std::move(networks);
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

namespace {
constexpr std::size_t kLeastMemory = 1u << 20;  // a link that is busy borrows two buffers of 128 KiB
}

Result<Server> ServerBuilder::build() {
  const auto bad = [](std::string text) {
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(text)));
  };
  if (!options_ || options_->built) return bad("this builder has built already: a builder builds once");
  if (options_->listen.empty()) return bad("the address to listen on is empty");
  for (const std::string* address : {&options_->listen, &options_->http_listen}) {
    if (address->empty()) continue;
    auto parts = session::split_host_port(*address, 1);
    if (!parts) return std::unexpected(parts.error());
    if (address->find_first_not_of("0123456789") == std::string::npos)
      return bad("cannot listen on '" + *address + "': a port alone is written :" + *address);
    if (parts->host != "localhost" && !transport::parse_ip(parts->host, 0))
      return bad("cannot listen on '" + *address +
                 "': the host has to be an IP address of this machine, localhost, or nothing for all");
  }
  if (options_->tcp_listen_host != "localhost" && !transport::parse_ip(options_->tcp_listen_host, 0))
    return bad("cannot listen on '" + options_->tcp_listen_host +
               "' for TCP tunnels: it has to be an IP address of this machine or localhost");
  for (const std::string& address : options_->public_addresses) {
    auto parts = session::split_host_port(address, 1);
    if (!parts) return std::unexpected(parts.error());
    if (parts->host.empty()) return bad("the public address '" + address + "' has no host");
  }
  if (auto grants = app::to_grants(options_->grants); !grants) return std::unexpected(grants.error());
  if (options_->tls_certificate.empty() != options_->tls_key.empty())
    return bad("a TLS certificate and its key go together: give both");
  if (!options_->tls && !options_->tls_certificate.empty()) return bad("a TLS certificate is given, but TLS is off");
  if (!options_->tls && !options_->tls_client_ca.empty()) return bad("mutual TLS needs TLS, which is off");
  if (options_->memory_limit < kLeastMemory) return bad("a memory limit of less than 1 MiB leaves no room to work in");
  if (options_->threads > 256) return bad("at most 256 threads");
  auto proxies = transport::IpSet::parse(options_->trusted_proxy_networks);
  if (!proxies) return bad("trusted proxies: " + proxies.error().context);
  options_->trusted_proxies = std::move(*proxies);
  options_->built = true;
  return Server(std::make_unique<ServerImpl>(std::move(*options_)));
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
ServerStatus Server::status() const { return impl_ ? impl_->status() : ServerStatus{}; }

}  // namespace ferrotunnel
