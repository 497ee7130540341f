#include "app/server/status_json.h"

#include <boost/json.hpp>

namespace ferrotunnel::app {

namespace json = boost::json;

json::object status_json(const ServerStatus& status) {
  json::array sessions, tunnels;
  for (const SessionStatus& one : status.sessions) {
    json::object session{{"id", one.id},           {"grant", one.grant},         {"address", one.address},
                         {"version", one.version}, {"transport", one.transport}, {"up_s", one.up.count()},
                         {"streams", one.streams}, {"bytes_in", one.bytes_in},   {"bytes_out", one.bytes_out}};
    if (one.rtt.count() > 0) session["rtt_ms"] = static_cast<double>(one.rtt.count()) / 1000;
    sessions.push_back(std::move(session));
  }
  for (const TunnelStatus& one : status.tunnels) {
    tunnels.push_back(json::object{{"name", one.name},
                                   {"session", one.session},
                                   {"url", one.url},
                                   {"visitors_now", one.visitors_now},
                                   {"visitors", one.visitors}});
  }
  return {{"sessions", std::move(sessions)},
          {"tunnels", std::move(tunnels)},
          {"up_s", status.up.count()},
          {"sign_ins", status.sign_ins},
          {"sign_ins_refused", status.sign_ins_refused},
          {"sign_ins_throttled", status.sign_ins_throttled},
          {"handshakes_failed", status.handshakes_failed},
          {"handshakes_waiting", status.handshakes_waiting},
          {"buffer_bytes", status.buffer_bytes},
          {"draining", status.draining}};
}

}  // namespace ferrotunnel::app
