#include "app/server/server_impl.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <malloc.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <future>
#include <stdexcept>
#include <system_error>

#include "app/grant_store.h"
#include "app/limits.h"
#include "app/server/error_pages.h"
#include "app/server/grants.h"
#include "app/server/https_files.h"
#include "app/server/random_name.h"
#include "app/server/server_shard.h"
#include "app/state_dir.h"
#include "app/status_json.h"
#include "app/times.h"
#include "session/dialer.h"
#include "session/join_token.h"
#include "transport/heap_trim.h"
#include "transport/tcp/port_owner.h"
#include "wire/control.h"

namespace ferrotunnel {

using transport::SocketAddress;

namespace {

// How long a drain waits for requests that are half read before it sends the clients away, and how often it looks.
constexpr Duration kRequestGrace = std::chrono::seconds(1);
constexpr Duration kRequestLook = std::chrono::milliseconds(5);

Result<SocketAddress> parse_listen(const std::string& text, std::uint16_t default_port) {
  const auto parts = session::split_host_port(text, default_port);
  if (!parts) return std::unexpected(parts.error());
  return transport::parse_ip(parts->host == "localhost" ? "127.0.0.1" : parts->host, parts->port);
}

// Only at the server's own start, to whoever started it.
Error with_owner(Error error, const SocketAddress& address) {
  const auto owner = error.code == ErrorCode::AddressInUse ? transport::port_owner(address) : std::nullopt;
  if (owner)
    error.context = "cannot listen on " + address.text() + ": port " + std::to_string(address.port()) +
                    " is in use by " + *owner + "; end it, or listen on another port";
  return error;
}

bool is_any(const SocketAddress& address) {
  const std::string ip = address.ip_text();
  return ip == "::" || ip == "0.0.0.0";
}

std::string machine_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

// The first IPv4 and the first IPv6 address of this machine that other machines may reach ("192.0.2.7", "[2001:db8::7]").
std::vector<std::string> machine_addresses(bool with_ipv6) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  std::string v4, v6;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || (at->ifa_flags & IFF_UP) == 0 || (at->ifa_flags & IFF_LOOPBACK) != 0) continue;
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (at->ifa_addr->sa_family == AF_INET && v4.empty()) {
      const auto& address = reinterpret_cast<const sockaddr_in*>(at->ifa_addr)->sin_addr;
      v4 = ::inet_ntop(AF_INET, &address, text.data(), text.size());
    } else if (at->ifa_addr->sa_family == AF_INET6 && v6.empty() && with_ipv6) {
      const auto& address = reinterpret_cast<const sockaddr_in6*>(at->ifa_addr)->sin6_addr;
      if (!IN6_IS_ADDR_LINKLOCAL(&address))
        v6 = "[" + std::string(::inet_ntop(AF_INET6, &address, text.data(), text.size())) + "]";
    }
  }
  ::freeifaddrs(list);
  std::vector<std::string> found;
  for (std::string* one : {&v4, &v6})
    if (!one->empty()) found.push_back(std::move(*one));
  return found;
}

}  // namespace

ServerImpl::ServerImpl(Options options, app::ServerPlan plan)
    : options_(std::move(options)),
      budget_(options_.memory_limit),
      configured_(options_.grants),
      plan_(std::move(plan)),
      via_("ferrotunnel-" + app::random_name()),
      trims_(transport::HeapTrim::kDelay) {}

ServerImpl::~ServerImpl() { stop(); }

// ---- start --------------------------------------------------------------------------------------------------------

// What it was built with, and what is in the state directory. A stored "default" is for servers that were told nothing.
Result<> ServerImpl::load_grants() {
  auto grants = app::to_grants(configured_);
  if (!grants) return std::unexpected(grants.error());
  const app::GrantStore store(state_dir_);
  auto stored = store.load();
  if (!stored) return std::unexpected(stored.error());
  if (grants->empty() && stored->empty()) {
    auto made = store.load_or_make("default");
    if (!made) return std::unexpected(made.error());
    state_made_ = state_made_ || made->made;
    stored->push_back(std::move(made->grant));
  }
  const bool told = !grants->empty();
  for (session::Grant& one : *stored) {
    const bool known = std::ranges::find(*grants, one.name, &session::Grant::name) != grants->end();
    if (!known && !(told && one.name == "default")) {
      grants->push_back(std::move(one));
      continue;
    }
    // Who configured a name means that one. It is said once: at the start, or when the one that is stored has counted so far.
    const auto before = grants_.find(one.name);
    const bool counted = before != nullptr && before->secrets.front().bytes == one.secrets.front().bytes;
    if (counted || grants_.all().empty()) say_shadowed(one.name, known);
  }
  descriptors.share(grants->size() > 1);
  grants_.replace(std::move(*grants));
  return {};
}

void ServerImpl::say_shadowed(const std::string& grant, bool same_name) const {
  if (!options_.on_note) return;
  options_.on_note("the grant " + grant +
                   " of the state directory does not count, nor its token: the configuration has " +
                   (same_name ? "one of that name" : "grants of its own"));
}

Result<> ServerImpl::set_grants(const std::vector<GrantOptions>& options) {
  if (auto checked = app::to_grants(options); !checked) return std::unexpected(checked.error());
  const std::lock_guard lock(control_mutex_);
  const auto before = std::exchange(configured_, options);
  auto done = reload_grants_locked();
  if (!done) configured_ = before;
  return done;
}

Result<> ServerImpl::reload_grants() {
  const std::lock_guard lock(control_mutex_);
  return reload_grants_locked();
}

Result<> ServerImpl::reload_grants_locked() {
  if (threads_.empty()) return {};  // start() reads them
  if (auto loaded = load_grants(); !loaded) return loaded;
  on_each_shard([](app::ServerShard& shard) { shard.grants_changed(); });
  settle_shards();
  return {};
}

// What a session told its links on other shards has been done there when this returns.
void ServerImpl::settle_shards() const {
  if (shards() > 1) on_each_shard([](app::ServerShard&) {});
}

// Reads certificate, key and CA; the plan is of this configuration.
Result<app::LivePtr> ServerImpl::make_live(const ServerConfig& config, const app::ServerPlan& plan) {
  auto live = std::make_shared<app::ServerLive>();
  live->config = config;
  live->trusted_proxies = plan.trusted_proxies;
  live->tunnel_limits = plan.tunnel_limits;
  live->visitor_rules = plan.visitor_rules;
  live->public_host = config.public_addresses.empty()
                          ? "localhost"
                          : session::split_host_port(config.public_addresses.front(), 1)->host;
  live->domain = plan.domain;
  if (!config.https_listen.empty()) {
    auto book = load_certificates(config);
    if (!book) return std::unexpected(std::move(book.error()));
    live->https = std::move(*book);
  }
  auto pages = app::load_error_pages(config.error_pages);
  if (!pages) return std::unexpected(std::move(pages.error()));
  live->pages = std::move(*pages);
  if (!config.tls) return live;
  auto identity = config.tls_certificate.empty() ? transport::TlsIdentity::load_or_make(state_dir_)
                                                 : transport::TlsIdentity::load(config.tls_certificate, config.tls_key);
  if (!identity) return std::unexpected(identity.error());
  state_made_ = state_made_ || identity->fresh();
  live->fingerprint = identity->fingerprint();
  transport::TlsServerOptions options;
  if (!config.tls_client_ca.empty()) options.client_ca = config.tls_client_ca;
  auto context = transport::TlsServerContext::make(*identity, options);
  if (!context) return std::unexpected(context.error());
  live->tls = std::move(*context);
  return live;
}

// Those of the HTTPS port.
Result<transport::CertificateBookPtr> ServerImpl::load_certificates(const ServerConfig& config) {
  const auto files = app::https_files(config);
  if (!files) return std::unexpected(files.error());
  transport::CertificateBookOptions options;
  options.minimum =
      config.http_tls_minimum == TlsMinimum::V13 ? transport::TlsVersion::V13 : transport::TlsVersion::V12;
  options.http2 = config.http2;
  options.tickets = ticket_keys_;
  auto book = transport::CertificateBook::load(*files, options);
  if (!book || !options_.on_error) return book;
  for (const std::string& warning : (*book)->warnings())
    options_.on_error(Error(ErrorCode::Tls, Side::Local, false, warning));
  return book;
}

Result<Reloaded> ServerImpl::reload(const ServerConfig& wanted) {
  auto plan = app::plan_server(wanted);
  if (!plan) return std::unexpected(plan.error());
  const std::lock_guard lock(control_mutex_);
  if (threads_.empty())
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "this server does not run"));
  Reloaded told;
  ServerConfig config = wanted;
  // What a server is made of stays as it was.
  const auto keep = [&](auto member, std::string_view key) {
    if (config.*member != options_.*member) told.needs_restart.emplace_back(key);
    config.*member = options_.*member;
  };
  keep(&ServerConfig::listen, "server.listen");
  keep(&ServerConfig::http_listen, "server.http_listen");
  keep(&ServerConfig::https_listen, "server.https_listen");
  if (wanted.https_listen.empty() && !config.https_listen.empty()) {
    // Until the restart that turns it off, the HTTPS port goes on as it was.
    const ServerConfig& now = live_->config;
    config.https_certificate = now.https_certificate;
    config.https_key = now.https_key;
    config.certificates = now.certificates;
    config.certificates_dir = now.certificates_dir;
  }
  keep(&ServerConfig::tcp_listen_host, "server.tcp_listen_host");
  keep(&ServerConfig::state_dir, "server.state");
  keep(&ServerConfig::tls, "server.tls");
  keep(&ServerConfig::threads, "server.threads");
  keep(&ServerConfig::min_visitor_rate, "server.min_visitor_rate");
  keep(&ServerConfig::h2c, "server.h2c");
  auto live = make_live(config, *plan);
  if (!live) return std::unexpected(live.error());
  const auto before = std::exchange(configured_, config.grants);
  if (auto loaded = load_grants(); !loaded) {
    configured_ = before;
    return std::unexpected(loaded.error());
  }
  live_ = std::move(*live);
  budget_.set_limit(config.memory_limit);
  visitors.set_max(app::visitor_limit(config));
  on_each_shard([live = live_](app::ServerShard& shard) {
    shard.set_live(live);
    shard.grants_changed();
  });
  settle_shards();
  if (uses_state()) write_server(make_token());
  return told;
}

unsigned ServerImpl::threads_wanted() const {
  return options_.threads != 0 ? options_.threads : std::max(1u, std::thread::hardware_concurrency());
}

Result<> ServerImpl::make_listeners() {
  auto address = parse_listen(options_.listen, 7835);
  if (!address) return std::unexpected(address.error());
  listen_ = *address;
  const bool with_http = !options_.http_listen.empty();
  if (with_http) {
    address = parse_listen(options_.http_listen, 8080);
    if (!address) return std::unexpected(address.error());
    http_listen_ = *address;
  }
  const bool with_https = !options_.https_listen.empty();
  if (with_https) {
    address = parse_listen(options_.https_listen, 443);
    if (!address) return std::unexpected(address.error());
    https_listen_ = *address;
  }
  address = transport::parse_ip(options_.tcp_listen_host == "localhost" ? "127.0.0.1" : options_.tcp_listen_host, 0);
  if (!address) return std::unexpected(address.error());
  tcp_listen_ = *address;

  const unsigned count = threads_wanted();
  const bool share = count > 1;
  // SO_REUSEPORT would let a second server of the same user bind beside us in silence: a plain socket asks first.
  const auto bind = [&](SocketAddress& at) -> Result<transport::UniqueFd> {
    if (share && at.port() != 0) {
      if (auto probe = transport::listen_on(at, false); !probe) return std::unexpected(with_owner(probe.error(), at));
    }
    auto fd = transport::listen_on(at, share);
    if (!fd) return std::unexpected(with_owner(fd.error(), at));
    const auto local = transport::local_address(fd->get());
    if (!local) return std::unexpected(local.error());
    at.set_port(local->port());
    return fd;
  };
  for (unsigned i = 0; i < count; ++i) {
    transport::UniqueFd control, http, https;
    auto fd = i == 0 ? bind(listen_) : transport::listen_on(listen_, share);
    if (!fd) return std::unexpected(fd.error());
    control = std::move(*fd);
    if (with_http) {
      fd = i == 0 ? bind(http_listen_) : transport::listen_on(http_listen_, share);
      if (!fd) return std::unexpected(fd.error());
      http = std::move(*fd);
    }
    if (with_https) {
      fd = i == 0 ? bind(https_listen_) : transport::listen_on(https_listen_, share);
      if (!fd) return std::unexpected(fd.error());
      https = std::move(*fd);
      https_port_ = https_listen_.port();
    }
    try {
      shards_.push_back(std::make_unique<app::ServerShard>(*this, i, budget_, live_));
    } catch (const std::runtime_error& error) {  // no descriptors for its io_context and its epoll set
      return std::unexpected(
          Error(ErrorCode::Io, Side::Local, true, std::string("cannot make a shard: ") + error.what()));
    }
    if (auto listening = shards_.back()->listen(std::move(control), std::move(http), std::move(https)); !listening)
      return listening;
  }
  if (with_http) http_port_ = http_listen_.port();
  return {};
}

std::vector<std::string> ServerImpl::join_addresses() const {
  std::vector<std::string> addresses;
  for (const std::string& text : live_->config.public_addresses) {
    const auto parts = session::split_host_port(text, listen_.port());
    if (!parts) continue;  // build() has refused it
    addresses.push_back((parts->host.find(':') == std::string::npos ? parts->host : "[" + parts->host + "]") + ":" +
                        std::to_string(parts->port));
  }
  if (!addresses.empty()) return addresses;
  if (!is_any(listen_)) return {listen_.text()};
  // Which of these others can use, only they know: the client tries them all.
  const std::string port = ":" + std::to_string(listen_.port());
  addresses.push_back(machine_name() + port);
  for (const std::string& address : machine_addresses(listen_.family() == AF_INET6))
    addresses.push_back(address + port);
  return addresses;
}

Result<ServerReady> ServerImpl::start() {
  const std::lock_guard lock(control_mutex_);
  if (started_)
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "this server was started before"));
  started_ = true;
  stopping_ = false;  // by a stop() before there was anything to stop
  worker_ = std::make_shared<plugin::Worker>();
  started_at_ = Clock::now();
  state_dir_ = options_.state_dir.empty() ? app::default_state_dir().string() : options_.state_dir;
  if (auto loaded = load_grants(); !loaded) return std::unexpected(loaded.error());
  auto live = make_live(options_, std::exchange(plan_, {}));
  if (!live) return std::unexpected(live.error());
  live_ = std::move(*live);
  visitors.set_max(app::visitor_limit(options_));
  if (auto made = make_listeners(); !made) {
    shards_.clear();
    return std::unexpected(made.error());
  }

  const session::JoinToken token = make_token();
  auto text = session::encode(token);
  if (!text) {
    shards_.clear();
    return std::unexpected(text.error());
  }
  if (uses_state()) {
    write_server(token);
    open_control();
  }
  set_descriptor_lines();

  try {
    for (auto& shard : shards_) threads_.emplace_back([&shard = *shard] { shard.run(); });
  } catch (const std::system_error& error) {
    for (auto& shard : shards_) shard->shard().stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    shards_.clear();
    return std::unexpected(errno_error(error.code().value(), Side::Local, "cannot start a thread"));
  }
  ServerReady ready;
  ready.listen = listen_.text();
  if (http_port_ != 0) ready.http_listen = http_listen_.text();
  if (https_port_ != 0) ready.https_listen = https_listen_.text();
  ready.join_token = std::move(*text);
  ready.state_dir = state_dir_;
  ready.state_made = state_made_;
  ready.tls = options_.tls;
  ready.public_host = live_->public_host;
  return ready;
}

// What is open by now is in use for as long as it runs. Pipes, which carry bytes where there are any to be had, come and go.
void ServerImpl::set_descriptor_lines() {
  const std::uint64_t all = descriptor_limit();
  if (all == UINT64_MAX) return;
  const std::uint64_t pipes =
      std::min<std::uint64_t>(transport::PipePool::default_most() * 2 * shards_.size(), all / 8);
  descriptors.set(descriptor_lines(all, descriptors_in_use() + pipes));
}

void ServerImpl::say_starved(int error) {
  if (!starved_.due(Clock::now()) || !options_.on_error) return;
  options_.on_error(
      Error(ErrorCode::Limit, Side::Local, true, app::starved_text(error, descriptor_limit(), descriptors)));
}

void ServerImpl::say_uncertified(const std::string& tunnel, const std::string& host) const {
  if (options_.on_error)
    options_.on_error(Error(ErrorCode::Tls, Side::Local, false,
                            "no certificate has the name " + host + ", which the tunnel " + tunnel +
                                " has over HTTPS alone: visitors get no answer until https_cert (for all names), "
                                "[certificates.NAME] or certificates_dir has one"));
}

void ServerImpl::say_short() {
  if (!short_.due(Clock::now()) || !options_.on_error) return;
  options_.on_error(Error(ErrorCode::Limit, Side::Local, true, app::short_text(descriptor_limit(), descriptors)));
}

bool ServerImpl::trim_heap() {
#if defined(__GLIBC__)
  return trims_.due(Clock::now()) && worker_->run({}, [] { ::malloc_trim(0); }).has_value();
#else
  return true;  // there is nobody to ask
#endif
}

// Who brings grants and keys of its own, and names no directory, gets nothing written.
bool ServerImpl::uses_state() const {
  return !options_.state_dir.empty() || options_.grants.empty() || (options_.tls && options_.tls_certificate.empty());
}

// The token that is shown is for "default", or for the first that has not expired.
session::JoinToken ServerImpl::make_token() const {
  auto grant = grants_.find("default");
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  if (grant == nullptr) {
    const auto all = grants_.all();
    const auto good = std::ranges::find_if(all, [now](const auto& one) { return !one->expired(now); });
    grant = good == all.end() ? all.front() : *good;
  }
  return make_token(*grant);
}

session::JoinToken ServerImpl::make_token(const session::Grant& grant) const {
  session::JoinToken token;
  token.addresses = join_addresses();
  token.grant = grant.name;
  token.secret = grant.secrets.back();  // of two, the newer
  token.fingerprint = live_->fingerprint;
  token.tls = options_.tls;
  return token;
}

// It and the control socket are for the commands of this user; a server works without them.
void ServerImpl::write_server(const session::JoinToken& token) {
  const auto written = app::GrantStore(state_dir_).write_server(token);
  if (!written && options_.on_error) options_.on_error(written.error());
}

void ServerImpl::open_control() {
  auto control = app::ControlSocket::open(
      std::filesystem::path(state_dir_) / "control.sock",
      [this](const boost::json::object& question) -> Result<boost::json::object> { return answer(question); });
  if (!control) {
    if (options_.on_error) options_.on_error(control.error());
    return;
  }
  const std::lock_guard lock(control_socket_mutex_);
  control_socket_ = std::move(*control);
}

Result<boost::json::object> ServerImpl::answer(const boost::json::object& question) {
  const auto text = [&question](std::string_view key) -> std::string {
    const boost::json::value* value = question.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
  };
  const std::string what = text("do");
  if (what == "status") return app::status_json(status());
  if (what == "reload-grants") {
    if (auto done = reload_grants(); !done) return std::unexpected(done.error());
    return boost::json::object();
  }
  if (what == "token") return answer_token(text("name"));
  if (what == "may-store") return answer_may_store(text("name"));
  if (what == "drain") return drain_answer_.answer(question, options_.on_drain_asked);
  if (what == "reload") return app::answer_reload(options_.on_reload_asked);
  if (what == "kick") {
    const std::size_t kicked = kick(text("name"));
    if (kicked == 0) {
      return std::unexpected(
          Error(ErrorCode::BadInput, Side::Local, false,
                "no client is signed in as '" + text("name") + "': a session's id or a grant's name"));
    }
    return boost::json::object{{"kicked", kicked}};
  }
  return std::unexpected(
      Error(ErrorCode::BadInput, Side::Local, false, "this server does not know what '" + text("do") + "' is"));
}

Result<boost::json::object> ServerImpl::answer_token(const std::string& name) const {
  const std::lock_guard lock(control_mutex_);
  const auto grant = grants_.find(name);
  if (grant == nullptr)
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, "this server has no grant named " + name));
  auto token = session::encode(make_token(*grant));
  if (!token) return std::unexpected(token.error());
  return boost::json::object{{"token", *token}};
}

Result<boost::json::object> ServerImpl::answer_may_store(const std::string& name) const {
  const std::lock_guard lock(control_mutex_);
  const bool configured = std::ranges::find(configured_, name, &GrantOptions::name) != configured_.end();
  if (configured || (name == "default" && !configured_.empty())) {
    return std::unexpected(
        Error(ErrorCode::BadInput, Side::Local, false,
              "the server that runs has a grant " + name +
                  " in its configuration, and one that is stored would not count: choose another name"));
  }
  return boost::json::object();
}

std::size_t ServerImpl::kick(const std::string& name) {
  const std::lock_guard lock(control_mutex_);
  if (threads_.empty() || name.empty()) return 0;
  std::atomic<std::size_t> kicked{0};
  on_each_shard([&](app::ServerShard& shard) { kicked += shard.kick(name); });
  return kicked;
}

// ---- who is signed in ---------------------------------------------------------------------------------------------

Result<std::optional<ServerImpl::Place>> ServerImpl::enter(const std::string& owner, const std::string& grant_name,
                                                           Place place) {
  const auto grant = grants_.find(grant_name);
  auto use = grants_.use(grant_name);
  const std::lock_guard lock(owners_mutex_);
  if (const auto found = owners_.find(owner); found != owners_.end()) return std::exchange(found->second.place, place);
  // Gone since it was proved: the session finds out by itself.
  if (grant != nullptr && use != nullptr && !session::GrantUse::take(use->sessions, grant->limits.sessions)) {
    return std::unexpected(Error(ErrorCode::Limit, Side::Tunnel, true,
                                 "the grant " + grant_name + " has " + std::to_string(grant->limits.sessions) +
                                     " clients, and may have no more (max_sessions)"));
  }
  owners_.emplace(owner, Owner{place, grant != nullptr ? std::move(use) : nullptr});
  return std::nullopt;
}

void ServerImpl::leave(const std::string& owner, route::SessionId session) {
  const std::lock_guard lock(owners_mutex_);
  const auto found = owners_.find(owner);
  if (found != owners_.end() && found->second.place.session == session) {
    if (found->second.use != nullptr) session::GrantUse::give_back(found->second.use->sessions);
    owners_.erase(found);
  }
  if (owners_.empty()) owners_changed_.notify_all();
}

void ServerImpl::probe(const std::string& grant, route::SessionId asking, const std::optional<route::Place>& host,
                       std::uint16_t port) {
  for (const auto& shard : shards_) {
    shard->shard().post([&shard = *shard, grant, asking, host, port] { shard.probe(grant, asking, host, port); });
  }
}

// ---- ending, status -----------------------------------------------------------------------------------------------

template <class Function>
void ServerImpl::on_each_shard(const Function& function) const {
  std::vector<std::future<void>> done;
  for (const auto& shard : shards_) {
    auto promise = std::make_shared<std::promise<void>>();
    done.push_back(promise->get_future());
    shard->shard().post([promise, function, &shard = *shard] {
      function(shard);
      promise->set_value();
    });
  }
  for (auto& one : done) one.wait();
}

namespace {

void add(VisitorTlsStatus& to, const VisitorTlsStatus& part) {
  to.done += part.done;
  to.resumed += part.resumed;
  to.failed += part.failed;
  to.timed_out += part.timed_out;
  to.crowded_out += part.crowded_out;
  to.plain_http += part.plain_http;
  to.waiting += part.waiting;
}

// What is on other shards is added to the session, or tunnel, that it belongs to.
void merge(std::vector<app::ShardStatus>& parts, ServerStatus& status) {
  std::unordered_map<std::string, std::size_t> sessions;
  std::unordered_map<ingress::TunnelKey, std::size_t, ingress::TunnelKeyHash> tunnels;
  for (app::ShardStatus& part : parts) {
    for (const SessionStatus& one : part.status.sessions) sessions.emplace(one.id, sessions.size());
    for (const ingress::TunnelKey& one : part.keys) tunnels.emplace(one, tunnels.size());
    std::ranges::move(part.status.sessions, std::back_inserter(status.sessions));
    std::ranges::move(part.status.tunnels, std::back_inserter(status.tunnels));
    status.proxy_headers_refused += part.status.proxy_headers_refused;
    status.idle_ended += part.status.idle_ended;
    status.throttled += part.status.throttled;
    status.accepts_failed += part.status.accepts_failed;
    status.handshakes_waiting += part.status.handshakes_waiting;
    status.handshakes_crowded_out += part.status.handshakes_crowded_out;
    status.handshakes_crowded_out_address += part.status.handshakes_crowded_out_address;
    status.handshakes_failed += part.status.handshakes_failed;
    add(status.visitor_tls, part.status.visitor_tls);
    app::add(status.http, part.status.http);
  }
  for (const app::ShardStatus& part : parts) {
    for (const SessionStatus& one : part.further) {
      const auto found = sessions.find(one.id);
      if (found == sessions.end()) continue;  // it has ended, and the link is about to
      SessionStatus& session = status.sessions[found->second];
      session.links += one.links;
      session.streams += one.streams;
      session.bytes_in += one.bytes_in;
      session.bytes_out += one.bytes_out;
    }
    for (const auto& [key, requests] : part.requests) {
      if (const auto found = tunnels.find(key); found != tunnels.end())
        status.tunnels[found->second].visitors_now += requests;
    }
  }
}

}  // namespace

// They end a little after their sessions, and say so of their visitors.
void ServerImpl::wait_for_further_links(TimePoint until) const {
  while (shards() > 1 && Clock::now() < until) {
    std::atomic<std::size_t> links{0};
    on_each_shard([&links](app::ServerShard& shard) { links += shard.further(); });
    if (links == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// Requests that are half read, or on their way from one shard to another, get their stream before the links take no more.
void ServerImpl::let_requests_in(TimePoint until) {
  until = std::min(until, Clock::now() + kRequestGrace);
  // Twice, for one that was between two shards at the first look.
  for (int none = 0; none < 2 && Clock::now() < until;) {
    std::atomic<std::size_t> reading{0};
    on_each_shard([&reading](app::ServerShard& shard) { reading += shard.requests_being_read(); });
    none = reading == 0 ? none + 1 : 0;
    if (none < 2) std::this_thread::sleep_for(kRequestLook);
  }
}

// A visitor over HTTP/2 goes on opening windows while he reads his last answers, and closes then. Closed by us before, those are lost.
void ServerImpl::let_answers_out(TimePoint until) {
  while (Clock::now() < until) {
    std::atomic<std::size_t> left{0};
    {
      const std::lock_guard lock(control_mutex_);
      if (threads_.empty()) return;  // stopped meanwhile
      on_each_shard([&left](app::ServerShard& shard) { left += shard.http2_visitors(); });
    }
    if (left == 0) return;
    std::this_thread::sleep_for(kRequestLook);
  }
}

bool ServerImpl::drain(std::chrono::milliseconds deadline) {
  bool finished = true;
  std::unique_lock lock(control_mutex_);
  if (!threads_.empty()) {
    const TimePoint until = Clock::now() + app::patience_of(deadline);
    draining_.store(true);
    on_each_shard([](app::ServerShard& shard) { shard.turn_newcomers_away(); });
    let_requests_in(until);
    on_each_shard([](app::ServerShard& shard) { shard.drain(); });
    // The wait locks nobody out: status() shows how it goes, stop() cuts it short.
    lock.unlock();
    std::unique_lock owners(owners_mutex_);
    owners_changed_.wait_until(owners, until, [this] { return owners_.empty() || stopping_; });
    finished = owners_.empty() && !stopping_;
    owners.unlock();
    if (finished) let_answers_out(until);
  }
  if (lock) lock.unlock();
  stop();
  return finished;
}

void ServerImpl::stop() {
  stop_shards();
  // Last, so that whoever waits for the end by asking learns of it when it has come; and without the lock that its answers take.
  std::unique_ptr<app::ControlSocket> control;
  {
    const std::lock_guard lock(control_socket_mutex_);
    control = std::move(control_socket_);
  }
  control.reset();
}

void ServerImpl::stop_shards() {
  {
    const std::lock_guard owners(owners_mutex_);
    stopping_ = true;
    owners_changed_.notify_all();
  }
  const std::lock_guard lock(control_mutex_);
  if (threads_.empty()) return;
  draining_.store(true);
  const Error why(ErrorCode::Cancelled, Side::Tunnel, true, "the server stops");
  on_each_shard([&why](app::ServerShard& shard) { shard.close_all(why); });
  {
    // Links end in a turn of their own; they are given a moment to say so.
    std::unique_lock owners(owners_mutex_);
    owners_changed_.wait_for(owners, std::chrono::seconds(1), [this] { return owners_.empty(); });
  }
  wait_for_further_links(Clock::now() + std::chrono::seconds(1));
  for (auto& shard : shards_) shard->shard().stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  worker_->stop();  // what runs there resumes visitors on the shards
  shards_.clear();
}

ServerStatus ServerImpl::status() const {
  const std::lock_guard lock(control_mutex_);
  ServerStatus status;
  if (threads_.empty()) return status;
  std::mutex mutex;
  std::vector<app::ShardStatus> parts;
  on_each_shard([&](app::ServerShard& shard) {
    app::ShardStatus part;
    shard.fill_status(part);
    const std::lock_guard locked(mutex);
    parts.push_back(std::move(part));
  });
  merge(parts, status);
  status.up = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - started_at_);
  status.sign_ins = counters.sign_ins.load(std::memory_order_relaxed);
  status.sign_ins_refused = counters.refused.load(std::memory_order_relaxed);
  status.handshakes_failed += counters.failed.load(std::memory_order_relaxed);
  status.sign_ins_throttled = throttle_.refused();
  status.direct_refused = attachable_.refused();
  status.tunnels_rejected = counters.tunnels_rejected.load(std::memory_order_relaxed);
  status.over_tunnel_bytes = counters.over_tunnel_bytes.load(std::memory_order_relaxed);
  status.buffer_bytes = budget_.used();
  status.memory_resets = budget_.resets();
  status.draining = draining();
  status.visitors = visitors.now();
  status.max_visitors = visitors.max();
  status.descriptors = app::to_status(descriptors);
  ingress::RefusalCounts refused{};
  for (std::size_t i = 0; i < refused.size(); ++i)
    refused[i] = counters.visitors_refused[i].load(std::memory_order_relaxed);
  status.refused = app::to_status(refused);
  return status;
}

}  // namespace ferrotunnel
