#include "origin/dispatcher.h"

#include <cerrno>
#include <optional>

#include "transport/tcp/tcp_stream.h"

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

}  // namespace

// One stream and its local connection: first the dial, then the relay.
class OriginDispatcher::Connection final : public boost::intrusive::list_base_hook<>,
                                           private transport::PollHandler,
                                           private transport::StreamHandler,
                                           private transport::RelayOwner {
 public:
  Connection(OriginDispatcher& owner, std::uint32_t tunnel) : owner_(owner), tunnel_(tunnel) {}

  ~Connection() {
    if (dial_) {
      unwatch();
      dial_->stream.reset(ResetReason::Cancel);
    }
  }

  void start(Stream& stream, TargetPtr target) {
    stream.set_handler(*this);
    dial_ = std::make_unique<Dial>(*this, stream, std::move(target),
                                   owner_.shard_.now() + owner_.options_.connect_deadline);
    connect();
  }

 private:
  // What is needed only while connecting.
  struct Dial final : transport::Deadline {
    Dial(Connection& c, Stream& s, TargetPtr t, TimePoint until)
        : connection(c), stream(s), target(std::move(t)), give_up(until) {}
    void on_deadline() override {
      if (!fd && connection.owner_.shard_.now() < give_up) return connection.connect();
      connection.fail(Error(ErrorCode::Timeout, Side::Origin, true, target->text + " does not answer"),
                      ResetReason::OriginTimeout);
    }
    Connection& connection;
    Stream& stream;
    const TargetPtr target;
    const TimePoint give_up;
    transport::UniqueFd fd;  // none: to be tried again
    bool watched = false;
  };

  void connect() {
    const transport::SocketAddress& address = dial_->target->address;
    auto connecting = transport::connect_to(address);
    if (!connecting) {
      // A unix socket's queue of connections is full (EAGAIN): nothing will tell when it no longer is. TCP would try again by itself.
      if (address.family() == AF_UNIX && connecting.error().code == ErrorCode::Io && connecting.error().retry)
        return owner_.shard_.arm(*dial_, kConnectAgain);
      // A path that is not there, or that nobody listens on any more: to the visitor it is a service that does not run.
      const bool refused = address.family() == AF_UNIX && connecting.error().code == ErrorCode::Unreachable;
      return fail(connecting.error(), refused ? ResetReason::OriginRefused : ResetReason::OriginUnreachable);
    }
    dial_->fd = std::move(connecting->fd);
    if (connecting->done) return connected();
    auto added = owner_.shard_.poller().add(dial_->fd.get(), *this);
    if (!added) return fail(added.error(), ResetReason::OriginUnreachable);
    dial_->watched = true;
    owner_.shard_.arm(*dial_, dial_->give_up - owner_.shard_.now());
  }

  void unwatch() {
    if (dial_->watched) owner_.shard_.poller().remove(dial_->fd.get(), *this);
    dial_->watched = false;
  }

  void on_ready(std::uint32_t what) override {
    if ((what & (transport::kWritable | transport::kFailed)) == 0 || !dial_) return;
    if (const int error = transport::take_error(dial_->fd.get()); error != 0)
      return fail(errno_error(error, Side::Origin, "cannot connect to " + dial_->target->text), reason_of(error));
    connected();
  }

  void connected() {
    unwatch();
    ++owner_.counters_.connected;
    const std::unique_ptr<Dial> dial = std::move(dial_);
    relay_.emplace(owner_.shard_, std::make_unique<transport::TcpStream>(std::move(dial->fd)),
                   static_cast<transport::RelayOwner&>(*this));
    relay_->start(dial->stream);
    if (fin_early_) relay_->end_input();
  }

  void fail(const Error& error, ResetReason reason) {
    auto& counters = owner_.counters_;
    ++(reason == ResetReason::OriginTimeout   ? counters.timed_out
       : reason == ResetReason::OriginRefused ? counters.refused
                                              : counters.unreachable);
    unwatch();
    const std::unique_ptr<Dial> dial = std::move(dial_);
    dial->stream.reset(reason);
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

  void on_relay_end(transport::Relay& relay, StreamEnd) override { owner_.remove(*this, relay.bytes()); }

  OriginDispatcher& owner_;
  const std::uint32_t tunnel_;
  std::unique_ptr<Dial> dial_;
  std::optional<transport::Relay> relay_;
  bool fin_early_ = false;
  friend class OriginDispatcher;
};

OriginDispatcher::OriginDispatcher(transport::Shard& shard, const DispatcherOptions& options, DispatcherHost& host)
    : shard_(shard), options_(options), host_(host), connections_(std::make_unique<Connections>()) {}

OriginDispatcher::~OriginDispatcher() {
  connections_->clear_and_dispose([](Connection* connection) { delete connection; });
}

void OriginDispatcher::dispatch(Stream& stream, std::uint32_t tunnel, TargetPtr target) {
  ++counters_.opened;
  ++active_;
  auto* connection = new Connection(*this, tunnel);
  connections_->push_back(*connection);
  host_.on_origin_count(tunnel, 1, {});
  connection->start(stream, std::move(target));
}

void OriginDispatcher::remove(Connection& connection, transport::RelayBytes bytes) {
  --active_;
  ++counters_.ended;
  counters_.bytes_in += bytes.to_socket;
  counters_.bytes_out += bytes.from_socket;
  host_.on_origin_count(connection.tunnel_, -1, bytes);
  connections_->erase(connections_->iterator_to(connection));
  delete &connection;
}

}  // namespace ferrotunnel::origin
