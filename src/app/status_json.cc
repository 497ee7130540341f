#include "app/status_json.h"

#include <array>
#include <boost/json.hpp>
#include <utility>

namespace ferrotunnel::app {

namespace json = boost::json;

namespace {

// The counters by reason, in the one spelling for both ways.
constexpr std::array<std::pair<std::string_view, std::uint64_t RefusedVisitors::*>, 6> kReasons{{
    {"denied", &RefusedVisitors::denied},
    {"tunnel_limit", &RefusedVisitors::tunnel_limit},
    {"address_limit", &RefusedVisitors::address_limit},
    {"rate", &RefusedVisitors::rate},
    {"server_limit", &RefusedVisitors::server_limit},
    {"memory", &RefusedVisitors::memory},
}};

constexpr std::array<std::pair<std::string_view, std::uint64_t VisitorTlsStatus::*>, 6> kVisitorTls{{
    {"done", &VisitorTlsStatus::done},
    {"resumed", &VisitorTlsStatus::resumed},
    {"failed", &VisitorTlsStatus::failed},
    {"timed_out", &VisitorTlsStatus::timed_out},
    {"crowded_out", &VisitorTlsStatus::crowded_out},
    {"plain_http", &VisitorTlsStatus::plain_http},
}};

constexpr std::array<std::pair<std::string_view, std::uint64_t HttpStatus::*>, 30> kHttp{{
    {"visitors", &HttpStatus::visitors},
    {"h2_visitors", &HttpStatus::h2_visitors},
    {"upgraded", &HttpStatus::upgraded},
    {"idle_origins", &HttpStatus::idle_origins},
    {"accepted", &HttpStatus::accepted},
    {"moved", &HttpStatus::moved},
    {"requests", &HttpStatus::requests},
    {"h2_requests", &HttpStatus::h2_requests},
    {"errors", &HttpStatus::errors},
    {"redirects", &HttpStatus::redirects},
    {"cut", &HttpStatus::cut},
    {"timeouts", &HttpStatus::timeouts},
    {"too_slow", &HttpStatus::too_slow},
    {"half_closed", &HttpStatus::half_closed},
    {"made_room", &HttpStatus::made_room},
    {"no_memory", &HttpStatus::no_memory},
    {"retries", &HttpStatus::retries},
    {"origins_opened", &HttpStatus::origins_opened},
    {"origins_reused", &HttpStatus::origins_reused},
    {"origins_dropped", &HttpStatus::origins_dropped},
    {"rule_timeouts", &HttpStatus::rule_timeouts},
    {"auth_busy", &HttpStatus::auth_busy},
    {"auth_limited", &HttpStatus::auth_limited},
    {"h2_upgrades", &HttpStatus::h2_upgrades},
    {"h2_malformed", &HttpStatus::h2_malformed},
    {"h2_stalled", &HttpStatus::h2_stalled},
    {"h2_origin_abuse", &HttpStatus::h2_origin_abuse},
    {"compressed", &HttpStatus::compressed},
    {"compressed_in", &HttpStatus::compressed_in},
    {"compressed_out", &HttpStatus::compressed_out},
}};

constexpr std::array<std::pair<std::string_view, std::uint64_t Http2Abuse::*>, 11> kH2Abuse{{
    {"resets", &Http2Abuse::resets},
    {"made_resets", &Http2Abuse::made_resets},
    {"settings", &Http2Abuse::settings},
    {"pings", &Http2Abuse::pings},
    {"empty_frames", &Http2Abuse::empty_frames},
    {"priorities", &Http2Abuse::priorities},
    {"window_updates", &Http2Abuse::window_updates},
    {"continuations", &Http2Abuse::continuations},
    {"header_bytes", &Http2Abuse::header_bytes},
    {"queued", &Http2Abuse::queued},
    {"unknown", &Http2Abuse::unknown},
}};

json::object http_json(const HttpStatus& http) {
  json::object object, abuse;
  for (const auto& [name, count] : kHttp) object[name] = http.*count;
  for (const auto& [name, count] : kH2Abuse) abuse[name] = http.h2_abuse.*count;
  object["h2_abuse"] = std::move(abuse);
  return object;
}

json::object visitor_tls_json(const VisitorTlsStatus& tls) {
  json::object object{{"waiting", tls.waiting}};
  for (const auto& [name, count] : kVisitorTls) object[name] = tls.*count;
  return object;
}

json::object refused_json(const RefusedVisitors& refused) {
  json::object object;
  for (const auto& [name, count] : kReasons) object[name] = refused.*count;
  return object;
}

constexpr std::array<std::pair<std::string_view, std::uint64_t DescriptorUses::*>, 5> kUses{
    {{"visitors", &DescriptorUses::visitors},
     {"data", &DescriptorUses::data},
     {"clients", &DescriptorUses::clients},
     {"ports", &DescriptorUses::ports},
     {"handshakes", &DescriptorUses::handshakes}}};
constexpr std::array<std::pair<std::string_view, std::uint64_t DescriptorStatus::*>, 5> kDescriptors{
    {{"limit", &DescriptorStatus::limit},
     {"visitors_line", &DescriptorStatus::visitors_line},
     {"data_line", &DescriptorStatus::data_line},
     {"clients_line", &DescriptorStatus::clients_line},
     {"refused_share", &DescriptorStatus::refused_share}}};

json::object descriptors_json(const DescriptorStatus& status) {
  json::object object, now, refused;
  for (const auto& [name, count] : kDescriptors) object[name] = status.*count;
  for (const auto& [name, count] : kUses) {
    now[name] = status.now.*count;
    refused[name] = status.refused.*count;
  }
  object["now"] = std::move(now);
  object["refused"] = std::move(refused);
  return object;
}

}  // namespace

void add(HttpStatus& to, const HttpStatus& part) {
  for (const auto& [name, count] : kHttp) to.*count += part.*count;
  for (const auto& [name, count] : kH2Abuse) to.h2_abuse.*count += part.h2_abuse.*count;
}

json::object status_json(const ServerStatus& status) {
  json::array sessions, tunnels;
  for (const SessionStatus& one : status.sessions) {
    json::object session{{"id", one.id},
                         {"grant", one.grant},
                         {"address", one.address},
                         {"version", one.version},
                         {"transport", one.transport},
                         {"up_s", one.up.count()},
                         {"streams", one.streams},
                         {"links", one.links},
                         {"bytes_in", one.bytes_in},
                         {"bytes_out", one.bytes_out},
                         {"direct", one.direct},
                         {"direct_warm", one.direct_warm},
                         {"direct_taken", one.direct_taken},
                         {"direct_missed", one.direct_missed},
                         {"direct_limited", one.direct_limited}};
    if (one.rtt.count() > 0) session["rtt_ms"] = static_cast<double>(one.rtt.count()) / 1000;
    sessions.push_back(std::move(session));
  }
  for (const TunnelStatus& one : status.tunnels) {
    tunnels.push_back(json::object{{"name", one.name},
                                   {"session", one.session},
                                   {"url", one.url},
                                   {"visitors_now", one.visitors_now},
                                   {"visitors", one.visitors},
                                   {"refused", refused_json(one.refused)},
                                   {"idle_ended", one.idle_ended},
                                   {"throttled", one.throttled}});
  }
  return {{"sessions", std::move(sessions)},
          {"tunnels", std::move(tunnels)},
          {"up_s", status.up.count()},
          {"sign_ins", status.sign_ins},
          {"sign_ins_refused", status.sign_ins_refused},
          {"sign_ins_throttled", status.sign_ins_throttled},
          {"tunnels_rejected", status.tunnels_rejected},
          {"over_tunnel_bytes", status.over_tunnel_bytes},
          {"direct_refused", status.direct_refused},
          {"handshakes_failed", status.handshakes_failed},
          {"handshakes_waiting", status.handshakes_waiting},
          {"handshakes_crowded_out", status.handshakes_crowded_out},
          {"handshakes_crowded_out_address", status.handshakes_crowded_out_address},
          {"proxy_headers_refused", status.proxy_headers_refused},
          {"buffer_bytes", status.buffer_bytes},
          {"memory_resets", status.memory_resets},
          {"visitors", status.visitors},
          {"max_visitors", status.max_visitors},
          {"refused", refused_json(status.refused)},
          {"idle_ended", status.idle_ended},
          {"throttled", status.throttled},
          {"accepts_failed", status.accepts_failed},
          {"descriptors", descriptors_json(status.descriptors)},
          {"visitor_tls", visitor_tls_json(status.visitor_tls)},
          {"http", http_json(status.http)},
          {"draining", status.draining}};
}

json::object status_json(const ClientStatus& status) {
  json::array tunnels;
  for (const ClientStatus::Tunnel& one : status.tunnels)
    tunnels.push_back(json::object{{"name", one.name}, {"url", one.public_url}, {"to", one.to}, {"up", one.up}});
  json::object object{{"connected", status.connected},
                      {"address", status.address},
                      {"session", status.session},
                      {"transport", status.transport},
                      {"visitors_now", status.visitors_now},
                      {"visitors", status.visitors},
                      {"bytes_in", status.bytes_in},
                      {"bytes_out", status.bytes_out},
                      {"connects", status.connects},
                      {"links", status.links},
                      {"memory_resets", status.memory_resets},
                      {"direct_limited", status.direct_limited},
                      {"links_limited", status.links_limited},
                      {"tunnels", std::move(tunnels)}};
  if (status.rtt.count() > 0) object["rtt_ms"] = static_cast<double>(status.rtt.count()) / 1000;
  return object;
}

json::object reloaded_json(const Reloaded& reloaded) {
  json::array keys;
  for (const std::string& key : reloaded.needs_restart) keys.emplace_back(key);
  return {{"needs_restart", std::move(keys)}};
}

Reloaded reloaded_from_json(const json::object& object) {
  Reloaded reloaded;
  const json::value* keys = object.if_contains("needs_restart");
  if (keys == nullptr || !keys->is_array()) return reloaded;
  for (const json::value& key : keys->get_array())
    if (key.is_string()) reloaded.needs_restart.emplace_back(key.get_string());
  return reloaded;
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
  void inside(std::string_view key, const auto& use) const {
    if (const json::value* value = find(key); value != nullptr && value->is_object()) use(From(*value));
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

void read_refused(const From& from, RefusedVisitors& into) {
  from.inside("refused", [&into](const From& refused) {
    for (const auto& [name, count] : kReasons) refused.number(name, into.*count);
  });
}

std::chrono::microseconds rtt_of(const From& from) {
  double milliseconds = 0;
  from.number("rtt_ms", milliseconds);
  return std::chrono::microseconds(static_cast<std::int64_t>(milliseconds * 1000));
}

}  // namespace

ClientStatus client_status_from_json(const json::object& object) {
  ClientStatus status;
  const From from(object);
  from.boolean("connected", status.connected);
  from.text("address", status.address);
  from.text("session", status.session);
  from.text("transport", status.transport);
  status.rtt = rtt_of(from);
  from.number("visitors_now", status.visitors_now);
  from.number("visitors", status.visitors);
  from.number("bytes_in", status.bytes_in);
  from.number("bytes_out", status.bytes_out);
  from.number("connects", status.connects);
  from.number("links", status.links);
  from.number("memory_resets", status.memory_resets);
  from.number("direct_limited", status.direct_limited);
  from.number("links_limited", status.links_limited);
  from.each("tunnels", [&status](const From& one) {
    ClientStatus::Tunnel& tunnel = status.tunnels.emplace_back();
    one.text("name", tunnel.name);
    one.text("url", tunnel.public_url);
    one.text("to", tunnel.to);
    one.boolean("up", tunnel.up);
  });
  return status;
}

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
    one.number("links", session.links);
    one.number("bytes_in", session.bytes_in);
    one.number("bytes_out", session.bytes_out);
    one.number("direct", session.direct);
    one.number("direct_warm", session.direct_warm);
    one.number("direct_taken", session.direct_taken);
    one.number("direct_missed", session.direct_missed);
    one.number("direct_limited", session.direct_limited);
    session.rtt = rtt_of(one);
  });
  from.each("tunnels", [&status](const From& one) {
    TunnelStatus& tunnel = status.tunnels.emplace_back();
    one.text("name", tunnel.name);
    one.text("session", tunnel.session);
    one.text("url", tunnel.url);
    one.number("visitors_now", tunnel.visitors_now);
    one.number("visitors", tunnel.visitors);
    read_refused(one, tunnel.refused);
    one.number("idle_ended", tunnel.idle_ended);
    one.number("throttled", tunnel.throttled);
  });
  from.seconds("up_s", status.up);
  from.number("sign_ins", status.sign_ins);
  from.number("sign_ins_refused", status.sign_ins_refused);
  from.number("sign_ins_throttled", status.sign_ins_throttled);
  from.number("tunnels_rejected", status.tunnels_rejected);
  from.number("over_tunnel_bytes", status.over_tunnel_bytes);
  from.number("direct_refused", status.direct_refused);
  from.number("handshakes_failed", status.handshakes_failed);
  from.number("handshakes_waiting", status.handshakes_waiting);
  from.number("handshakes_crowded_out", status.handshakes_crowded_out);
  from.number("handshakes_crowded_out_address", status.handshakes_crowded_out_address);
  from.number("proxy_headers_refused", status.proxy_headers_refused);
  from.number("buffer_bytes", status.buffer_bytes);
  from.number("memory_resets", status.memory_resets);
  from.number("visitors", status.visitors);
  from.number("max_visitors", status.max_visitors);
  read_refused(from, status.refused);
  from.number("idle_ended", status.idle_ended);
  from.number("throttled", status.throttled);
  from.number("accepts_failed", status.accepts_failed);
  from.inside("descriptors", [&status](const From& one) {
    for (const auto& [name, count] : kDescriptors) one.number(name, status.descriptors.*count);
    const auto read = [&one](std::string_view key, DescriptorUses& into) {
      one.inside(key, [&into](const From& uses) {
        for (const auto& [name, count] : kUses) uses.number(name, into.*count);
      });
    };
    read("now", status.descriptors.now);
    read("refused", status.descriptors.refused);
  });
  from.inside("visitor_tls", [&status](const From& tls) {
    tls.number("waiting", status.visitor_tls.waiting);
    for (const auto& [name, count] : kVisitorTls) tls.number(name, status.visitor_tls.*count);
  });
  from.inside("http", [&status](const From& http) {
    for (const auto& [name, count] : kHttp) http.number(name, status.http.*count);
    http.inside("h2_abuse", [&status](const From& abuse) {
      for (const auto& [name, count] : kH2Abuse) abuse.number(name, status.http.h2_abuse.*count);
    });
  });
  from.boolean("draining", status.draining);
  return status;
}

}  // namespace ferrotunnel::app
