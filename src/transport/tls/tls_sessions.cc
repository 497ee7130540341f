#include "transport/tls/tls_sessions.h"

#include <ctime>
#include <utility>

#include "transport/tls/openssl.h"

namespace ferrotunnel::transport {
namespace {

// Where a connection says whose sessions it has; made once, lives as long as the process.
int sessions_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool is_single_use(const SSL_SESSION* session) { return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION; }

bool is_old(const SSL_SESSION* session) {
  const long age = static_cast<long>(std::time(nullptr)) - SSL_SESSION_get_time(session);
  return age < 0 || age > TlsSessions::kMaxAge || age > SSL_SESSION_get_timeout(session);
}

}  // namespace

int keep_session(ssl_st* ssl, ssl_session_st* session) {
  auto* sessions = static_cast<TlsSessions*>(SSL_get_ex_data(ssl, sessions_index()));
  if (sessions == nullptr || SSL_SESSION_is_resumable(session) != 1) return 0;
  // A copy: a connection that breaks off marks its own as of no more use, and that may be on another thread.
  if (SSL_SESSION* copy = SSL_SESSION_dup(session); copy != nullptr) sessions->put({copy, &SSL_SESSION_free});
  return 0;  // the original stays the connection's
}

void TlsSessions::attach(ssl_st* ssl) {
  if (SSL_set_ex_data(ssl, sessions_index(), this) != 1) return;
  if (const SessionPtr session = take()) SSL_set_session(ssl, session.get());  // it takes a reference of its own
}

std::size_t TlsSessions::size() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

void TlsSessions::put(SessionPtr session) {
  const std::lock_guard lock(mutex_);
  if (sessions_.size() == kMost) sessions_.pop_front();
  sessions_.push_back(std::move(session));
}

TlsSessions::SessionPtr TlsSessions::take() {
  const std::lock_guard lock(mutex_);
  while (!sessions_.empty()) {
    SessionPtr session = sessions_.back();
    const bool old = is_old(session.get());
    // A ticket that is used twice shows who looks on that the two are one client (RFC 8446 appendix C.4).
    const bool once = is_single_use(session.get());
    if (old || once) sessions_.pop_back();
    if (!old) return once ? session : SessionPtr(SSL_SESSION_dup(session.get()), &SSL_SESSION_free);
  }
  return nullptr;
}

}  // namespace ferrotunnel::transport
