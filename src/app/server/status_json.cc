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
          {"proxy_headers_refused", status.proxy_headers_refused},
          {"buffer_bytes", status.buffer_bytes},
          {"draining", status.draining}};
}

namespace {

// Reads members of one object into fields.
class From {
 public:
  explicit From(const json::value& value) : object_(value.is_object() ? &value.get_object() : nullptr) {}
  explicit From(const json::object& object) : object_(&object) {}

  void text(std::string_view key, std::string& into) const {
    if (const json::value* value = find(key); value != nullptr && value->is_string()) into = value->get_string();
  }
  template <class Number>
  void number(std::string_view key, Number& into) const {
    boost::system::error_code error;
    const json::value* value = find(key);
    if (value == nullptr) return;
    if (const auto number = value->to_number<Number>(error); !error) into = number;
  }
  void seconds(std::string_view key, std::chrono::seconds& into) const {
    std::int64_t count = 0;
    number(key, count);
    into = std::chrono::seconds(count);
  }
  void boolean(std::string_view key, bool& into) const {
    if (const json::value* value = find(key); value != nullptr && value->is_bool()) into = value->get_bool();
  }
  void each(std::string_view key, const auto& use) const {
    const json::value* list = find(key);
    if (list == nullptr || !list->is_array()) return;
    for (const json::value& one : list->get_array()) use(From(one));
  }

 private:
  [[nodiscard]] const json::value* find(std::string_view key) const {
    return object_ == nullptr ? nullptr : object_->if_contains(key);
  }
  const json::object* object_;
};

}  // namespace

ServerStatus status_from_json(const json::object& object) {
  ServerStatus status;
  const From from(object);
  from.each("sessions", [&status](const From& one) {
    SessionStatus& session = status.sessions.emplace_back();
    one.text("id", session.id);
    one.text("grant", session.grant);
    one.text("address", session.address);
    one.text("version", session.version);
    one.text("transport", session.transport);
    one.seconds("up_s", session.up);
    one.number("streams", session.streams);
    one.number("bytes_in", session.bytes_in);
    one.number("bytes_out", session.bytes_out);
    double milliseconds = 0;
    one.number("rtt_ms", milliseconds);
    session.rtt = std::chrono::microseconds(static_cast<std::int64_t>(milliseconds * 1000));
  });
  from.each("tunnels", [&status](const From& one) {
    TunnelStatus& tunnel = status.tunnels.emplace_back();
    one.text("name", tunnel.name);
    one.text("session", tunnel.session);
    one.text("url", tunnel.url);
    one.number("visitors_now", tunnel.visitors_now);
    one.number("visitors", tunnel.visitors);
  });
  from.seconds("up_s", status.up);
  from.number("sign_ins", status.sign_ins);
  from.number("sign_ins_refused", status.sign_ins_refused);
  from.number("sign_ins_throttled", status.sign_ins_throttled);
  from.number("handshakes_failed", status.handshakes_failed);
  from.number("handshakes_waiting", status.handshakes_waiting);
  from.number("proxy_headers_refused", status.proxy_headers_refused);
  from.number("buffer_bytes", status.buffer_bytes);
  from.boolean("draining", status.draining);
  return status;
}

}  // namespace ferrotunnel::app
