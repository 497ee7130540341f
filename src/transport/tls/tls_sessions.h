// TlsSessions: what servers gave a client to come back with (session tickets), so that the next connection to the same place costs no signature.
//
// One for each place that is dialled with one TlsClientContext: a resumed connection is not verified anew, so a session must never reach
// another context or another name. Bounded, the oldest goes first; those of TLS 1.3 are used once. Any thread.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>

struct ssl_session_st;
struct ssl_st;

namespace ferrotunnel::transport {

class TlsSessions {
 public:
  static constexpr std::size_t kMost = 16;
  static constexpr long kMaxAge = 3600;  // seconds; whatever the server says

  TlsSessions() = default;
  TlsSessions(const TlsSessions&) = delete;
  TlsSessions& operator=(const TlsSessions&) = delete;

  // The connection, which has to be a client's that has not begun, tries to resume one, and leaves what it is given here. Both have to
  // live as long as the connection.
  void attach(ssl_st* ssl);
  [[nodiscard]] std::size_t size() const;

 private:
  friend int keep_session(ssl_st* ssl, ssl_session_st* session);
  using SessionPtr = std::shared_ptr<ssl_session_st>;
  void put(SessionPtr session);
  [[nodiscard]] SessionPtr take();

  mutable std::mutex mutex_;
  std::deque<SessionPtr> sessions_;  // the newest last
};

// OpenSSL's callback for new sessions, for a context whose connections may have a TlsSessions.
[[nodiscard]] int keep_session(ssl_st* ssl, ssl_session_st* session);

}  // namespace ferrotunnel::transport
