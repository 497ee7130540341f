// TicketKeys: what session tickets of the HTTPS port are sealed with (RFC 5077, RFC 8446 section 4.6.1).
//
// A ticket lets a visitor who comes back skip the certificate. Keys live in memory only: a new one each hour, and the one before it opens what it
// sealed for an hour more; what both are gone for is a full handshake, no error. One for the server, over all its shards and
// reloads; any thread (a lock, once a handshake).
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>

#include "base/bytes.h"
#include "base/clock.h"

struct ssl_ctx_st;

namespace ferrotunnel::transport {

class TicketKeys {
 public:
  static constexpr Duration kRotation = std::chrono::hours(1);
  static constexpr std::size_t kNameSize = 16;

  struct Key {
    std::array<std::byte, kNameSize> name{};
    std::array<std::byte, 32> cipher{}, mac{};
    TimePoint made{};

    Key() = default;
    Key(const Key&) = delete;
    Key& operator=(const Key&) = delete;
    ~Key();  // wiped
  };
  using KeyPtr = std::shared_ptr<const Key>;

  explicit TicketKeys(std::function<TimePoint()> clock = &Clock::now) : clock_(std::move(clock)) {}

  // What to seal a new ticket with.
  [[nodiscard]] KeyPtr current();
  // What opens a ticket of a key of this name; none: it is too old, or of another server.
  struct Found {
    KeyPtr key;
    bool renew = false;  // of the key before: the visitor is to get a new one
  };
  [[nodiscard]] Found find(ConstBytes name);

  // Connections of the context use these, which it keeps alive.
  static void install(ssl_ctx_st* context, const std::shared_ptr<TicketKeys>& keys);

 private:
  void rotate();

  const std::function<TimePoint()> clock_;
  std::mutex mutex_;
  KeyPtr current_, previous_;
};

}  // namespace ferrotunnel::transport
