// ClientImpl: the assembly behind Client: one shard and its thread, the link to the server, and the local services behind it.
//
// It dials, signs in, registers its tunnels, and dispatches streams; when the link ends it does all that again after a back-off. Only
// start(), drain(), stop(), wait_failed() and status() are called from outside; all else runs on the shard.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "app/client/options.h"
#include "mux/mux_link.h"
#include "origin/dispatcher.h"
#include "session/dialer.h"
#include "session/link_keeper.h"
#include "transport/shard.h"

namespace ferrotunnel {

class ClientImpl final : private transport::LinkHandler, private origin::DispatcherHost {
 public:
  using Options = ClientBuilder::Options;

  explicit ClientImpl(Options options);
  ~ClientImpl();

  Result<> start();
  bool drain(std::chrono::milliseconds deadline);
  void stop();
  std::optional<Error> wait_failed(std::chrono::milliseconds timeout);
  ClientStatus status() const;

 private:
  struct Tunnel {
    Options::Tunnel options;
    std::uint32_t number = 0;  // the server's, while up
    std::string url;
    std::uint16_t port = 0;
    std::string last_failure;  // told once, until it changes
    bool ask_again = false;    // it was refused for a reason that may pass
    std::uint64_t now = 0, total = 0;
  };

  // The way up.
  void dial();
  void on_dialed(Result<session::Dialed> result);
  [[nodiscard]] bool is_final(const Error& why) const;
  void on_down(const Error& why);
  void register_tunnel(std::size_t index);
  void retry_registering();
  void give_up(const Error& why);
  void report_connected();

  void on_open(transport::Stream& stream, const transport::OpenInfo& info) override;
  void on_control(std::string_view json) override;
  void on_goaway(std::uint32_t code, std::string_view text) override;
  void on_link_closed(const Error& why) override;
  void on_origin_failed(std::uint32_t tunnel, const Error& error) override;
  void on_origin_count(std::uint32_t tunnel, int change, transport::RelayBytes bytes) override;

  void on_registered(const wire::Registered& message);
  void on_rejected(const wire::Rejected& message);
  void on_withdrawn(const wire::Withdrawn& message);
  [[nodiscard]] Tunnel* by_number(std::uint32_t number);
  void end_link();

  // Fixed after construction.
  const Options options_;
  wire::InstanceId instance_{};
  session::AuthKey key_;
  std::optional<transport::TlsClientContext> tls_;

  MemoryBudget budget_;
  transport::Shard shard_;
  std::thread thread_;

  // The shard's.
  session::Backoff backoff_;
  boost::asio::steady_timer retry_;     // of the dial
  boost::asio::steady_timer register_;  // of tunnels whose place was taken
  std::unique_ptr<session::Dialer> dialer_;
  std::unique_ptr<mux::MuxLink> link_;
  std::unique_ptr<session::LinkKeeper> keeper_;
  std::optional<Error> verdict_;  // why the server ends the link, where it said so
  std::unique_ptr<origin::OriginDispatcher> origins_;
  std::vector<Tunnel> tunnels_;
  Connected connected_;
  unsigned attempt_ = 0;
  std::uint64_t connects_ = 0;
  std::uint64_t bytes_in_ = 0, bytes_out_ = 0;  // of links that are gone
  bool stopping_ = false, draining_ = false;

  mutable std::mutex control_mutex_;
  mutable std::mutex state_mutex_;
  std::condition_variable state_changed_;
  bool link_down_ = true;        // under state_mutex_
  bool stop_asked_ = false;      // under state_mutex_: a drain under way ends
  std::optional<Error> failed_;  // under state_mutex_
};

}  // namespace ferrotunnel
