#include "origin/dispatcher.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <optional>

#include "origin/files/file_handler.h"
#include "origin/h2_look.h"
#include "transport/pair_relay.h"
#include "transport/tcp/tcp_stream.h"
#include "transport/tls/tls_stream.h"

namespace ferrotunnel::origin {

using transport::ResetReason;
using transport::Stream;
using transport::StreamEnd;

namespace {
constexpr Duration kConnectAgain = std::chrono::milliseconds(20);

ResetReason reason_of(int error) {
  switch (error) {
    case ECONNREFUSED: return ResetReason::OriginRefused;
    case ETIMEDOUT: return ResetReason::OriginTimeout;
    default: return ResetReason::OriginUnreachable;
  }
}

// Sends from the front; -1 with errno. `more`: other bytes follow at once, and may share its segment.
ssize_t send_some(int fd, ConstBytes bytes, bool more) {
  int flags = MSG_NOSIGNAL;
#ifdef MSG_MORE
  if (more) flags |= MSG_MORE;
#else
  (void)more;
#endif
  ssize_t n;
  do n = ::send(fd, bytes.data(), bytes.size(), flags);
  while (n < 0 && errno == EINTR);
  return n;
}

// The PROXY header that a target is told first.
class Greeting {
 public:
  // Where the visitor arrived is not in OPEN; what the origin is told as destination is its own address, as dialled.
  Greeting(transport::ProxyVersion version, const transport::PeerAddress& visitor,
           const transport::SocketAddress& origin) {
    if (version == transport::ProxyVersion::Off) return;
    const auto write = version == transport::ProxyVersion::V1 ? transport::write_proxy_v1 : transport::write_proxy_v2;
    end_ = write(visitor, transport::to_peer_address(origin), bytes_);
  }
  [[nodiscard]] ConstBytes rest() const { return ConstBytes(bytes_).first(end_).subspan(begin_); }
  void sent(std::size_t n) { begin_ += n; }

 private:
  std::array<std::byte, transport::kMaxProxyV1> bytes_{};
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace

// One stream, or direct link, and its local connection: first the dial, then the relay. Or the files, where a directory is shared.
class OriginDispatcher::Connection final : public boost::intrusive::list_base_hook<>,
                                           private transport::PollHandler,
                                           private transport::StreamHandler,
                                           private transport::RelayOwner,
                                           private transport::PairRelayOwner,
                                           private H2LookOwner,
                                           private files::FileHandlerOwner {
 public:
  Connection(OriginDispatcher& owner, std::uint32_t tunnel) : owner_(owner), tunnel_(tunnel) {}

  ~Connection() {
    if (dial_) {
      unwatch();
      dial_->reset(ResetReason::Cancel);
    }
    if (direct_) --owner_.direct_;
  }

  void start(Stream& stream, TargetPtr target, const transport::PeerAddress& visitor, bool finished) {
    fin_early_ = finished;
    if (target->files) return start_files(stream, target->files);
    stream.set_handler(*this);
    dial_ = std::make_unique<Dial>(*this, std::move(target), visitor,
                                   owner_.shard_.now() + owner_.options_.connect_deadline);
    dial_->stream = &stream;
    begin();
  }

  void start(transport::ByteStreamPtr link, std::string early, TargetPtr target,
             const transport::PeerAddress& visitor) {
    direct_ = true;
    ++owner_.direct_;
    dial_ = std::make_unique<Dial>(*this, std::move(target), visitor,
                                   owner_.shard_.now() + owner_.options_.connect_deadline);
    dial_->link = std::move(link);
    dial_->early = std::move(early);
    begin();
  }

  [[nodiscard]] transport::RelayBytes direct_bytes() const {
    if (!pair_) return {};
    const transport::PairBytes bytes = pair_->bytes();
    return {bytes.to_first, bytes.from_first + early_};
  }

 private:
  // What is needed only while connecting.
  struct Dial final : transport::Deadline, transport::TurnTask, NameWaiter {
    Dial(Connection& c, TargetPtr t, const transport::PeerAddress& from, TimePoint until)
        : connection(c), target(std::move(t)), visitor(from), give_up(until) {}
    // The visitor's side ends, with nothing to be had here.
    void reset(ResetReason reason) {
      if (stream != nullptr) stream->reset(reason);
      if (link) link->abort();
    }
    // Whether the visitor has said something that goes on as soon as the relay starts.
    [[nodiscard]] bool has_said() const { return stream != nullptr ? stream->held() > 0 : !early.empty(); }
    [[nodiscard]] int socket() const { return tls ? tls->fd() : fd.get(); }
    void on_deadline() override { connection.on_deadline(); }
    void run_turn() override { connection.greet(); }
    void on_addresses(const Result<AddressesPtr>& answer) override { connection.on_addresses(answer); }
    [[nodiscard]] std::size_t addresses() const { return found ? found->size() : target->fallback ? 2 : 1; }
    [[nodiscard]] transport::SocketAddress address() const {
      if (!found) return at == 0 ? target->address : *target->fallback;
      transport::SocketAddress address = (*found)[at];
      address.set_port(target->port);
      return address;
    }
    struct Failure {
      Error error;
      ResetReason reason;
    };
    Connection& connection;
    Stream* stream = nullptr;       // or
    transport::ByteStreamPtr link;  // a direct one, and
    std::string early;              // what was read from it
    const TargetPtr target;
    const transport::PeerAddress visitor;
    const TimePoint give_up;
    AddressesPtr found;              // behind the target's name
    std::size_t at = 0;              // the address that is tried
    std::optional<Failure> failure;  // of the addresses before it, the one to be told
    transport::UniqueFd fd;          // none: to be tried again, or the name is being looked up
    bool watched = false;
    std::optional<Greeting> greeting;           // the connection stands, and this was not sent whole yet
    std::unique_ptr<transport::TlsStream> tls;  // it has `fd`; the handshake is under way
  };

  void begin() {
    if (dial_->target->host.empty()) return connect();
    dial_->found = owner_.names_.find(dial_->target->host, *dial_);
    if (dial_->found) return connect();
    owner_.shard_.arm(*dial_, dial_->give_up - owner_.shard_.now());
  }

  void on_addresses(const Result<AddressesPtr>& answer) {
    if (!answer) return fail(answer.error(), ResetReason::OriginUnreachable);
    dial_->found = *answer;
    connect();
  }

  void on_deadline() {
    const Dial& dial = *dial_;
    if (!dial.target->host.empty() && !dial.found) {
      return fail(Error(ErrorCode::Resolve, Side::Origin, true,
                        "the name " + dial.target->host + " of the local service was not resolved in time"),
                  ResetReason::OriginUnreachable);
    }
    if (dial.tls) {
      return fail(Error(ErrorCode::Timeout, Side::Origin, true,
                        dial.target->text + " took the connection, and the TLS handshake was not done in time: does it "
                                            "speak TLS?"),
                  ResetReason::OriginTimeout);
    }
    if (dial.greeting) return fail_greeting(ETIMEDOUT);
    if (!dial.fd && owner_.shard_.now() < dial.give_up) return connect();
    next_or_fail(Error(ErrorCode::Timeout, Side::Origin, true, dial.target->text + " does not answer"),
                 ResetReason::OriginTimeout);
  }

  void connect() {
    const transport::SocketAddress address = dial_->address();
    auto connecting = transport::connect_to(address);
    if (!connecting) {
      // A unix socket's queue of connections is full (EAGAIN): nothing will tell when it no longer is. TCP would try again by itself.
      if (address.family() == AF_UNIX && connecting.error().code == ErrorCode::Io && connecting.error().retry)
        return owner_.shard_.arm(*dial_, kConnectAgain);
      // A path that is not there, or that nobody listens on any more: to the visitor it is a service that does not run.
      const bool refused = address.family() == AF_UNIX && connecting.error().code == ErrorCode::Unreachable;
      return next_or_fail(connecting.error(), refused ? ResetReason::OriginRefused : ResetReason::OriginUnreachable);
    }
    dial_->fd = std::move(connecting->fd);
    if (connecting->done) return connected();
    auto added = owner_.shard_.poller().add(dial_->fd.get(), *this);
    if (!added) return fail(added.error(), ResetReason::OriginUnreachable);
    dial_->watched = true;
    // The addresses of a name share the time: one that swallows what is sent to it leaves some to the next.
    const Duration left = dial_->give_up - owner_.shard_.now();
    owner_.shard_.arm(*dial_, dial_->found ? left / static_cast<int>(dial_->addresses() - dial_->at) : left);
  }

  void start_files(Stream& stream, files::RootPtr root) {
    ++owner_.counters_.connected;
    files_ = std::make_unique<files::FileHandler>(owner_.shard_, std::move(root),
                                                  static_cast<files::FileHandlerOwner&>(*this));
    files_->start(stream);
  }

  void unwatch() {
    if (dial_->watched) owner_.shard_.poller().remove(dial_->socket(), *this);
    dial_->watched = false;
  }

  void on_ready(std::uint32_t what) override {
    if (dial_ && dial_->tls) return shake_hands();
    if ((what & (transport::kWritable | transport::kFailed)) == 0 || !dial_) return;
    if (dial_->greeting) return greet();
    if (const int error = transport::take_error(dial_->fd.get()); error != 0)
      return next_or_fail(errno_error(error, Side::Origin, "cannot connect to " + dial_->target->text),
                          reason_of(error));
    connected();
  }

  // This address failed. What is told in the end is the first refusal, which says most, or else the first failure.
  void next_or_fail(Error error, ResetReason reason) {
    Dial& dial = *dial_;
    if (!dial.failure || (reason == ResetReason::OriginRefused && dial.failure->reason != reason))
      dial.failure = {std::move(error), reason};
    if (dial.at + 1 == dial.addresses() || owner_.shard_.now() >= dial.give_up) {
      const Dial::Failure told = std::move(*dial.failure);
      return fail(told.error, told.reason);
    }
    unwatch();
    dial.fd.reset();
    ++dial.at;
    connect();
  }

  void connected() {
    ++owner_.counters_.connected;
    if (dial_->target->proxy == transport::ProxyVersion::Off) return secure();
    dial_->greeting.emplace(dial_->target->proxy, dial_->visitor, dial_->address());
    if (dial_->watched) return greet();
    owner_.shard_.at_turn_end(*dial_);  // it stands at once: what the visitor said behind OPEN has yet to be read
  }

  // A new connection takes so few bytes at once; where it does not, the rest goes when it can.
  void greet() {
    Dial& dial = *dial_;
    Greeting& greeting = *dial.greeting;
    while (!greeting.rest().empty()) {
      // What the visitor said waits in the stream, and is written by the relay as soon as it starts: in the same segment.
      const ssize_t n = send_some(dial.fd.get(), greeting.rest(), dial.has_said());
      if (n >= 0) {
        greeting.sent(static_cast<std::size_t>(n));
      } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
        return fail_greeting(errno);
      } else if (dial.watched) {
        return owner_.shard_.poller().await(dial.fd.get(), *this, transport::kWritable);
      } else {
        dial.watched = owner_.shard_.poller().add(dial.fd.get(), *this).has_value();
        if (!dial.watched) return fail_greeting(ENOMEM);
        return owner_.shard_.arm(dial, dial.give_up - owner_.shard_.now());
      }
    }
    greeting_sent();
  }

  void greeting_sent() {
    dial_->greeting.reset();
    secure();
  }

  // The connection stands. Over TLS that is half the way.
  void secure() {
    Dial& dial = *dial_;
    const OriginTarget& target = *dial.target;
    if (!target.secure) return relay();
    if (!target.tls)
      return fail(Error(ErrorCode::Internal, Side::Origin, false, target.text + " was never set up for TLS"),
                  ResetReason::OriginTls);
    unwatch();  // before the descriptor has another owner, who closes it where he fails
    auto made =
        transport::TlsStream::connect(dial.fd.release(), target.tls->context, target.tls->name, target.tls->sessions);
    if (!made) return fail(made.error(), ResetReason::OriginTls);
    dial.tls = std::move(*made);
    const auto added = owner_.shard_.poller().add(dial.tls->fd(), *this);
    if (!added) return fail(added.error(), ResetReason::OriginUnreachable);
    dial.watched = true;
    owner_.shard_.arm(dial, dial.give_up - owner_.shard_.now());  // all of the time that is left
    shake_hands();
  }

  void shake_hands() {
    Dial& dial = *dial_;
    const auto progress = dial.tls->handshake();
    if (!progress) return fail(explain(dial.tls->fault(), *dial.target), ResetReason::OriginTls);
    if (*progress == transport::TlsProgress::Done) {
      if (dial.tls->resumed()) ++owner_.counters_.tls_resumed;
      secure_target_ = dial.target;
      return relay();
    }
    owner_.shard_.poller().await(
        dial.tls->fd(), *this,
        *progress == transport::TlsProgress::WantRead ? transport::kReadable : transport::kWritable);
  }

  void fail_greeting(int error) {
    fail(errno_error(error, Side::Origin, "cannot send the PROXY header to " + dial_->target->text),
         ResetReason::OriginUnreachable);
  }

  void relay() {
    unwatch();
    const std::unique_ptr<Dial> dial = std::move(dial_);
    transport::ByteStreamPtr socket = std::move(dial->tls);
    if (!socket) socket = std::make_unique<transport::TcpStream>(std::move(dial->fd));
    if (dial->link) {
      early_ = dial->early.size();
      pair_ = std::make_unique<transport::PairRelay>(owner_.shard_, std::move(dial->link), std::move(socket),
                                                     static_cast<transport::PairRelayOwner&>(*this));
      return pair_->start({}, as_bytes(dial->early));
    }
    relay_.emplace(owner_.shard_, std::move(socket), static_cast<transport::RelayOwner&>(*this));
    if (dial->target->h2) {
      h2_target_ = dial->target;
      h2_look_ = std::make_unique<H2Look>(relay_->handler(), static_cast<H2LookOwner&>(*this));
    }
    relay_->start(*dial->stream, h2_look_.get());
    if (fin_early_) relay_->end_input();
  }

  void fail(const Error& error, ResetReason reason) {
    auto& counters = owner_.counters_;
    ++(reason == ResetReason::OriginTls       ? counters.tls_failed
       : reason == ResetReason::OriginTimeout ? counters.timed_out
       : reason == ResetReason::OriginRefused ? counters.refused
                                              : counters.unreachable);
    unwatch();
    const std::unique_ptr<Dial> dial = std::move(dial_);
    dial->reset(reason);
    owner_.host_.on_origin_failed(tunnel_, error);
    owner_.remove(*this, {});
  }

  // As the stream's handler, while dialling: what comes waits in the stream.
  std::size_t on_data(Stream&, ConstBytes) override { return 0; }
  void on_fin(Stream&) override { fin_early_ = true; }
  void on_end(Stream&, StreamEnd) override {
    unwatch();
    dial_.reset();
    owner_.remove(*this, {});
  }
  transport::Fill fill(Stream&, MutBytes) override { return {}; }

  void on_relay_end(transport::Relay& relay, StreamEnd) override {
    // In TLS 1.3 a service that does not like our certificate says so behind the handshake.
    if (const Error* why = relay.failure(); why != nullptr && why->code == ErrorCode::Tls && secure_target_) {
      ++owner_.counters_.tls_failed;
      owner_.host_.on_origin_failed(
          tunnel_, Error(ErrorCode::Tls, Side::Origin, false, secure_target_->text + ": " + why->context));
    }
    owner_.remove(*this, relay.bytes());
  }

  void on_no_http2() override {
    owner_.host_.on_origin_failed(tunnel_,
                                  Error(ErrorCode::Protocol, Side::Origin, false,
                                        h2_target_->text + " does not answer in HTTP/2: share it as " +
                                            (h2_target_->secure ? "https://" : "http://") + ", which is for HTTP/1.1"));
  }

  void on_pair_end(transport::PairRelay&, StreamEnd) override { owner_.remove(*this, direct_bytes()); }

  void on_files_end(files::FileHandler& handler) override { owner_.remove(*this, handler.bytes()); }

  OriginDispatcher& owner_;
  const std::uint32_t tunnel_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<H2Look> h2_look_;  // in front of the relay to a service that is to speak HTTP/2
  TargetPtr h2_target_;              // that service
  std::optional<transport::Relay> relay_;
  std::unique_ptr<transport::PairRelay> pair_;  // in place of it, of a direct link
  std::uint64_t early_ = 0;                     // bytes that went ahead of it
  std::unique_ptr<files::FileHandler> files_;
  TargetPtr secure_target_;  // of one over TLS that stands
  bool fin_early_ = false;
  bool direct_ = false;
  friend class OriginDispatcher;
};

OriginDispatcher::OriginDispatcher(transport::Shard& shard, const DispatcherOptions& options, DispatcherHost& host)
    : shard_(shard),
      options_(options),
      host_(host),
      names_(shard, options.lookup),
      connections_(std::make_unique<Connections>()) {}

OriginDispatcher::~OriginDispatcher() {
  connections_->clear_and_dispose([](Connection* connection) { delete connection; });
}

OriginDispatcher::Connection& OriginDispatcher::add(std::uint32_t tunnel) {
  ++counters_.opened;
  ++active_;
  auto* connection = new Connection(*this, tunnel);
  connections_->push_back(*connection);
  host_.on_origin_count(tunnel, 1, {});
  return *connection;
}

void OriginDispatcher::dispatch(Stream& stream, std::uint32_t tunnel, TargetPtr target,
                                const transport::PeerAddress& visitor, bool finished) {
  add(tunnel).start(stream, std::move(target), visitor, finished);
}

void OriginDispatcher::dispatch(transport::ByteStreamPtr link, std::string early, std::uint32_t tunnel,
                                TargetPtr target, const transport::PeerAddress& visitor) {
  // Files are answered in HTTP, and no HTTP tunnel has direct links.
  if (target->files || early.size() > transport::PairRelay::kMaxHead) return link->abort();
  add(tunnel).start(std::move(link), std::move(early), std::move(target), visitor);
}

transport::RelayBytes OriginDispatcher::direct_bytes() const {
  transport::RelayBytes sum;
  for (const Connection& connection : *connections_) {
    sum.from_socket += connection.direct_bytes().from_socket;
    sum.to_socket += connection.direct_bytes().to_socket;
  }
  return sum;
}

void OriginDispatcher::remove(Connection& connection, transport::RelayBytes bytes) {
  --active_;
  ++counters_.ended;
  counters_.bytes_in += bytes.to_socket;
  counters_.bytes_out += bytes.from_socket;
  const bool direct = connection.direct_;
  const std::uint32_t tunnel = connection.tunnel_;
  connections_->erase(connections_->iterator_to(connection));
  delete &connection;
  if (direct) host_.on_direct_end(bytes);
  host_.on_origin_count(tunnel, -1, bytes);
}

}  // namespace ferrotunnel::origin
