#include "session/dialer.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "transport/tcp/tcp_stream.h"

namespace ferrotunnel::session {

namespace {
constexpr std::uint16_t kDefaultPort = 7835;
}

Result<HostPort> split_host_port(std::string_view text, std::uint16_t default_port) {
  const auto bad = [&](std::string_view why) {
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false,
                                 "'" + std::string(text) + "' is not HOST:PORT: " + std::string(why)));
  };
  HostPort result;
  result.port = default_port;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return bad("a ']' is missing");
    result.host = text.substr(1, close - 1);
    if (close + 1 < text.size()) {
      if (text[close + 1] != ':') return bad("a ':' has to follow the ']'");
      port = text.substr(close + 2);
      if (port.empty()) return bad("the port is missing");
    }
  } else if (const auto colon = text.rfind(':'); colon != std::string_view::npos) {
    if (text.find(':') != colon) return bad("an IPv6 address stands in brackets: [::1]:7835");
    result.host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return bad("the port is missing");
  } else {
    result.host = text;
  }
  if (!port.empty()) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
    if (error != std::errc{} || end != port.data() + port.size() || value > 65535)
      return bad("the port has to be a number from 0 to 65535");
    result.port = static_cast<std::uint16_t>(value);
  }
  return result;
}

struct Dialer::Attempt final : transport::PollHandler {
  Attempt(Dialer& d, transport::UniqueFd f, const Target& t) : dialer(d), fd(std::move(f)), target(t) {}
  ~Attempt() { unwatch(); }
  void on_ready(std::uint32_t what) override {
    if ((what & (transport::kWritable | transport::kFailed)) != 0) dialer.on_decided(*this);
  }
  void unwatch() {
    if (watched) dialer.shard_.poller().remove(fd.get(), *this);
    watched = false;
  }
  Dialer& dialer;
  transport::UniqueFd fd;
  const Target& target;
  bool watched = false;
};

Dialer::Dialer(transport::Shard& shard, DialOptions options, OnDone on_done)
    : shard_(shard),
      options_(std::move(options)),
      on_done_(std::move(on_done)),
      resolver_(shard.io()),
      stagger_(shard.io()) {}

Dialer::~Dialer() { *alive_ = false; }

void Dialer::start() { resolve_next(0); }

void Dialer::resolve_next(std::size_t index) {
  if (index == options_.addresses.size()) return resolved();
  const auto parts = split_host_port(options_.addresses[index], kDefaultPort);
  if (!parts) {
    last_error_ = parts.error();
    return resolve_next(index + 1);
  }
  if (auto numeric = transport::parse_ip(parts->host, parts->port); numeric && !parts->host.empty()) {
    targets_.push_back({*numeric, parts->host});
    return resolve_next(index + 1);
  }
  resolver_.async_resolve(
      parts->host, std::to_string(parts->port),
      [this, alive = alive_, index, host = parts->host](const boost::system::error_code& error, const auto& results) {
        if (!*alive) return;
        if (error) {
          last_error_ = Error(ErrorCode::Resolve, Side::Local, true,
                              "the name " + host + " does not resolve (" + error.message() +
                                  "): check the address and this machine's DNS");
        }
        for (const auto& entry : results) {
          transport::SocketAddress address;
          address.length = static_cast<socklen_t>(entry.endpoint().size());
          std::copy_n(reinterpret_cast<const char*>(entry.endpoint().data()), address.length,
                      reinterpret_cast<char*>(&address.storage));
          targets_.push_back({address, host});
        }
        resolve_next(index + 1);
      });
}

void Dialer::resolved() {
  if (targets_.empty())
    return fail(
        last_error_.value_or(Error(ErrorCode::BadInput, Side::Local, false, "there is no server address to dial")));
  give_up_ = shard_.now() + options_.connect_deadline;  // a slow DNS has not used it up
  race();
}

void Dialer::race() {
  if (shard_.now() >= give_up_) {
    return fail(last_error_.value_or(Error(ErrorCode::Timeout, Side::Tunnel, true,
                                           "the server at " + targets_.front().address.text() +
                                               " does not answer: is it running, is a firewall in between?")));
  }
  if (attempts_.size() < kMaxRacing) launch();
  // The oldest are kept: on a slow road the first answer is theirs.
  race_after(attempts_.empty() ? Duration::zero() : kStagger);
}

void Dialer::race_after(Duration wait) {
  stagger_.expires_after(wait);  // cancels the wait under way
  stagger_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (error || !*alive || over_ || negotiation_) return;
    // Every address was tried and gave its answer at once: waiting before the next round is the back-off's business.
    if (attempts_.empty() && next_target_ >= targets_.size()) return fail(*last_error_);
    race();
  });
}

void Dialer::launch() {
  const Target& target = targets_[next_target_++ % targets_.size()];
  auto connecting = transport::connect_to(target.address);
  if (!connecting) {
    last_error_ = connecting.error();
    last_error_->side = Side::Tunnel;
    last_error_->retry = true;  // no route, a firewall's no: this machine's network may change
    return;
  }
  auto attempt = std::make_unique<Attempt>(*this, std::move(connecting->fd), target);
  const auto added = shard_.poller().add(attempt->fd.get(), *attempt);
  if (!added) {
    last_error_ = added.error();
    return;
  }
  attempt->watched = true;
  attempts_.push_back(std::move(attempt));
}

void Dialer::on_decided(Attempt& attempt) {
  if (const int error = transport::take_error(attempt.fd.get()); error != 0) {
    last_error_ = errno_error(error, Side::Tunnel, "cannot reach the server at " + attempt.target.address.text());
    last_error_->retry = true;
    std::erase_if(attempts_, [&](const auto& a) { return a.get() == &attempt; });
    if (attempts_.empty()) race_after(Duration::zero());
    return;
  }
  connected(attempt);
}

void Dialer::connected(Attempt& attempt) {
  attempt.unwatch();
  stagger_.cancel();
  const Target target = attempt.target;
  transport::UniqueFd fd = std::move(attempt.fd);
  attempts_.clear();
  transport::tune_link(fd.get());
  auto make = [this](std::optional<ExporterKey> exporter) -> std::unique_ptr<HandshakeBase> {
    ClientHandshakeOptions options = options_.handshake;
    options.exporter = exporter;
    return std::make_unique<ClientHandshake>(std::move(options));
  };
  auto done = [this, address = target.address.text(), host = target.host](Result<Negotiated> result) {
    const OnDone on_done = std::move(on_done_);
    if (!result) return on_done(std::unexpected(result.error()));
    on_done(Dialed{std::move(*result), address, host});
  };
  if (options_.tls) {
    auto tls = transport::TlsStream::connect(fd.release(), *options_.tls,
                                             options_.server_name.empty() ? target.host : options_.server_name);
    if (!tls) return fail(tls.error());
    negotiation_ = std::make_unique<Negotiation>(shard_, std::move(*tls), std::move(make), options_.handshake_deadline,
                                                 std::move(done));
  } else {
    negotiation_ = std::make_unique<Negotiation>(shard_, std::make_unique<transport::TcpStream>(std::move(fd)),
                                                 std::move(make), options_.handshake_deadline, std::move(done));
  }
  negotiation_->start();
}

void Dialer::fail(Error error) {
  over_ = true;
  stagger_.cancel();
  attempts_.clear();
  shard_.post([this, alive = alive_, error = std::move(error)] {
    if (!*alive || !on_done_) return;
    const OnDone on_done = std::exchange(on_done_, nullptr);
    on_done(std::unexpected(error));
  });
}

}  // namespace ferrotunnel::session
