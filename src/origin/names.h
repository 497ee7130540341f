// Names: the addresses behind the host names of local services: looked up without waiting, remembered for kRemembered.
//
// Who asks while a look-up is under way waits for that one, so a burst of visitors costs one. A failure is told to those who wait and is
// not remembered. One per dispatcher; the link's shard only. Destroying it is safe at any time: what is under way answers nobody.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/intrusive/list.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "transport/shard.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::origin {

using Addresses = std::vector<transport::SocketAddress>;  // without ports
using AddressesPtr = std::shared_ptr<const Addresses>;
// Calls `done` once, on the shard, never from inside.
using Lookup = std::function<void(const std::string& host, std::function<void(Result<Addresses>)> done)>;

// One that dies, or was answered, waits no more.
class NameWaiter {
 public:
  NameWaiter() = default;
  NameWaiter(const NameWaiter&) = delete;
  NameWaiter& operator=(const NameWaiter&) = delete;

  virtual void on_addresses(const Result<AddressesPtr>& found) = 0;  // at least one address; may destroy it

 protected:
  ~NameWaiter() = default;

 private:
  friend class Names;
  boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> hook_;
};

class Names final {
 public:
  static constexpr Duration kRemembered = std::chrono::seconds(5);
  static constexpr std::size_t kMaxAddresses = 8;

  Names(transport::Shard& shard, Lookup lookup);  // none: the system's resolver
  ~Names() { *alive_ = false; }
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;

  // What is remembered; where that is nothing, null, and the waiter hears later.
  [[nodiscard]] AddressesPtr find(const std::string& host, NameWaiter& waiter);

 private:
  using Waiters = boost::intrusive::list<
      NameWaiter,
      boost::intrusive::member_hook<
          NameWaiter, boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>,
          &NameWaiter::hook_>,
      boost::intrusive::constant_time_size<false>>;
  struct Entry {
    AddressesPtr addresses;
    TimePoint good_until{};
    bool asking = false;
    Waiters waiters;
  };
  void ask_system(const std::string& host, std::function<void(Result<Addresses>)> done);
  void answered(const std::string& host, Result<Addresses> result);

  transport::Shard& shard_;
  const Lookup lookup_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // false once destroyed, for look-ups under way
  boost::asio::ip::tcp::resolver resolver_;
  std::map<std::string, Entry> entries_;  // as many as the targets have names
};

}  // namespace ferrotunnel::origin
