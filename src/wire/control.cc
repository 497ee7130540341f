#include "wire/control.h"

#include <algorithm>
#include <boost/json.hpp>
#include <type_traits>

#include "wire/control_fields.h"
#include "wire/control_writer.h"
#include "wire/tunnel_fields.h"

namespace ferrotunnel::wire {
namespace {

// Most messages need no more than this; a larger one goes on from the heap and is given back as one.
constexpr std::size_t kScratch = 4096;

void read(Fields& f, Challenge& m) {
  f.bytes("nonce", m.nonce);
  m.version = f.text("version", kMaxVersion);
}
void read(Fields& f, Auth& m) {
  m.grant = f.name("grant");
  f.bytes("nonce", m.nonce);
  f.bytes("proof", m.proof);
  f.bytes("instance", m.instance);
  m.version = f.text("version", kMaxVersion);
  if (!f.has("attach")) return;
  f.bytes("attach", m.attach.emplace());
  if (!f.has("as")) return;
  const std::string as = f.text("as", kMaxCode);
  if (as == to_string(AttachAs::Link)) {
    m.as = AttachAs::Link;
  } else if (as != to_string(AttachAs::Direct)) {
    f.wrong("as", "is not \"direct\" or \"link\"");
  }
}
void read(Fields& f, Welcome& m) {
  f.bytes("proof", m.proof);
  m.session = f.text("session", kMaxSession);
  f.number("heartbeat_ms", m.heartbeat_ms, kMinHeartbeatMs, kMaxHeartbeatMs);
  if (f.has("attach")) f.bytes("attach", m.attach.emplace());
}
void read(Fields& f, Refused& m) {
  m.code = f.text("code", kMaxCode);
  m.text = f.text("text", kMaxText);
}
void read(Fields& f, Register& m) {
  f.number("req", m.req, 0, kMaxU32);
  m.name = f.name("name");
  const std::string proto = f.text("proto", kMaxCode);
  // Only the field that this kind of tunnel has is looked at; the other is as good as unknown.
  if (proto == "http") {
    m.proto = TunnelProto::Http;
    m.host = f.text("host", kMaxHost);
    if (f.has("origin")) m.origin = read_origin(f);
    if (f.has("hosts")) m.hosts = f.texts("hosts", kMaxHosts, kMaxHost);
    if (f.has("paths")) m.paths = f.texts("paths", kMaxPaths, kMaxPath);
    if (f.has("methods")) m.methods = f.texts("methods", kMaxPaths, kMaxName);
    if (f.has("headers")) m.headers = f.texts("headers", kMaxPaths, kMaxPath);
    if (f.has("single_use")) m.single_use = f.flag("single_use");
    if (f.has("connect")) m.connect = f.flag("connect");
    if (f.has("client_ca")) m.client_ca = f.text("client_ca", kMaxClientCa);
    if (f.has("rules")) m.rules = read_rules(f);
  } else if (proto == "tcp") {
    m.proto = TunnelProto::Tcp;
    f.number("port", m.port, 0, kMaxPort);
    if (f.has("carry")) m.carry = read_carry(f);
  } else {
    f.wrong("proto", "is not \"tcp\" or \"http\"");
  }
  if (f.has("limits")) m.limits = read_limits(f);
}
void read(Fields& f, Registered& m) {
  f.number("req", m.req, 0, kMaxU32);
  f.number("tunnel", m.tunnel, 1, kMaxU32);
  m.url = f.text("url", kMaxUrl);
  if (f.has("port")) f.number("port", m.port, 0, kMaxPort);
}
void read(Fields& f, Rejected& m) {
  f.number("req", m.req, 0, kMaxU32);
  m.code = f.text("code", kMaxCode);
  m.text = f.text("text", kMaxText);
}
void read(Fields& f, Unregister& m) { f.number("tunnel", m.tunnel, 1, kMaxU32); }
void read(Fields& f, Withdrawn& m) {
  f.number("tunnel", m.tunnel, 1, kMaxU32);
  m.code = f.text("code", kMaxCode);
  m.text = f.text("text", kMaxText);
}

void read(Fields& f, Update& m) {
  f.number("tunnel", m.tunnel, 1, kMaxU32);
  m.new_origin = f.flag("new_origin");
  if (f.has("limits")) m.limits = read_limits(f);
  if (f.has("carry")) m.carry = read_carry(f);
  if (f.has("rules")) m.rules = read_rules(f);
}
void read(Fields& f, DirectWanted& m) { f.number("want", m.want, 0, kMaxDirectWanted); }
void read(Fields& f, LinksWanted& m) { f.number("want", m.want, 0, kMaxLinksWanted); }
void read(Fields& f, Road& m) { f.number("loss_ppm", m.loss_ppm, 0, 1'000'000); }

std::string write(const Challenge& m) {
  Writer w("challenge");
  w.bytes("nonce", m.nonce);
  w.text("version", clean_text(m.version, kMaxVersion));
  return w.finish();
}
std::string write(const Auth& m) {
  Writer w("auth");
  w.text("grant", m.grant);
  w.bytes("nonce", m.nonce);
  w.bytes("proof", m.proof);
  w.bytes("instance", m.instance);
  w.text("version", clean_text(m.version, kMaxVersion));
  if (m.attach) w.bytes("attach", *m.attach);
  if (m.attach && m.as != AttachAs::Direct) w.text("as", to_string(m.as));
  return w.finish();
}
std::string write(const Welcome& m) {
  Writer w("welcome");
  w.bytes("proof", m.proof);
  w.text("session", clean_text(m.session, kMaxSession));
  w.number("heartbeat_ms", m.heartbeat_ms);
  if (m.attach) w.bytes("attach", *m.attach);
  return w.finish();
}
std::string write(const Refused& m) {
  Writer w("refused");
  w.text("code", m.code);
  w.text("text", clean_text(m.text, kMaxText));
  return w.finish();
}
std::string write(const Register& m) {
  Writer w("register");
  w.number("req", m.req);
  w.text("name", m.name);
  w.text("proto", to_string(m.proto));
  if (m.proto == TunnelProto::Http) {
    w.text("host", m.host);
    if (m.origin != OriginProto::H1) w.text("origin", to_string(m.origin));
    if (!m.hosts.empty()) w.texts("hosts", m.hosts);
    if (!m.paths.empty()) w.texts("paths", m.paths);
    if (!m.methods.empty()) w.texts("methods", m.methods);
    if (!m.headers.empty()) w.texts("headers", m.headers);
    if (m.single_use) w.flag("single_use");
    if (m.connect) w.flag("connect");
    if (!m.client_ca.empty()) w.text("client_ca", m.client_ca);
    if (!m.rules.empty()) write_rules(w, m.rules);
  } else {
    w.number("port", m.port);
    if (m.carry != Carry::Auto) w.text("carry", to_string(m.carry));
  }
  if (m.limits != Limits{}) write_limits(w, m.limits);
  return w.finish();
}
std::string write(const Registered& m) {
  Writer w("registered");
  w.number("req", m.req);
  w.number("tunnel", m.tunnel);
  w.text("url", m.url);
  if (m.port != 0) w.number("port", m.port);
  return w.finish();
}
std::string write(const Rejected& m) {
  Writer w("rejected");
  w.number("req", m.req);
  w.text("code", m.code);
  w.text("text", clean_text(m.text, kMaxText));
  return w.finish();
}
std::string write(const Unregister& m) {
  Writer w("unregister");
  w.number("tunnel", m.tunnel);
  return w.finish();
}
std::string write(const Update& m) {
  Writer w("update");
  w.number("tunnel", m.tunnel);
  if (m.new_origin) w.flag("new_origin");
  if (m.limits) write_limits(w, *m.limits);
  if (m.carry) w.text("carry", to_string(*m.carry));
  if (m.rules) write_rules(w, *m.rules);
  return w.finish();
}
std::string write(const DirectWanted& m) {
  Writer w("direct");
  w.number("want", m.want);
  return w.finish();
}
std::string write(const LinksWanted& m) {
  Writer w("links");
  w.number("want", m.want);
  return w.finish();
}
std::string write(const Road& m) {
  Writer w("road");
  w.number("loss_ppm", m.loss_ppm);
  return w.finish();
}
std::string write(const Withdrawn& m) {
  Writer w("withdrawn");
  w.number("tunnel", m.tunnel);
  w.text("code", m.code);
  w.text("text", clean_text(m.text));
  return w.finish();
}

template <class Message>
Result<std::optional<ControlMessage>> read_as(std::string_view type, const json::object& object) {
  Fields fields(type, object);
  Message message;
  read(fields, message);
  if (fields.error()) return std::unexpected(*fields.error());
  return ControlMessage(std::move(message));
}

using Reader = Result<std::optional<ControlMessage>> (*)(std::string_view, const json::object&);
struct Known {
  std::string_view type;
  Reader reader;
};
constexpr std::array<Known, 13> kKnown{{
    {"challenge", &read_as<Challenge>},
    {"auth", &read_as<Auth>},
    {"welcome", &read_as<Welcome>},
    {"refused", &read_as<Refused>},
    {"register", &read_as<Register>},
    {"registered", &read_as<Registered>},
    {"rejected", &read_as<Rejected>},
    {"unregister", &read_as<Unregister>},
    {"withdrawn", &read_as<Withdrawn>},
    {"update", &read_as<Update>},
    {"direct", &read_as<DirectWanted>},
    {"links", &read_as<LinksWanted>},
    {"road", &read_as<Road>},
}};

}  // namespace

std::string_view to_string(Carry carry) {
  switch (carry) {
    case Carry::Auto: break;
    case Carry::Mux: return "mux";
    case Carry::Direct: return "direct";
  }
  return "auto";
}

std::string_view to_string(OriginProto proto) {
  switch (proto) {
    case OriginProto::H1: return "h1";
    case OriginProto::H2: return "h2";
    case OriginProto::H2Tls: return "h2s";
    case OriginProto::Other: break;
  }
  return "other";
}

std::size_t size_of(const Rule& rule) {
  std::size_t bytes = rule.name.size();
  for (const auto& [name, value] : rule.settings) bytes += name.size() + value.size();
  for (const auto* list : {&rule.paths, &rule.methods, &rule.headers})
    for (const std::string& one : *list) bytes += one.size();
  return bytes;
}

namespace {

std::size_t size_of(const std::string& text) { return kTextBytes + text.size(); }
std::size_t size_of(const std::vector<std::string>& texts) {
  std::size_t bytes = 0;
  for (const std::string& one : texts) bytes += size_of(one);
  return bytes;
}

}  // namespace

std::size_t size_of(const Limits& limits) { return size_of(limits.allow) + size_of(limits.deny); }

std::size_t size_of(const std::vector<Rule>& rules) {
  std::size_t bytes = 0;
  for (const Rule& rule : rules) {
    bytes += size_of(rule.name) + size_of(rule.paths) + size_of(rule.methods) + size_of(rule.headers);
    for (const auto& [name, value] : rule.settings) bytes += size_of(name) + size_of(value);
  }
  return bytes;
}

std::size_t size_of(const Register& m) {
  return size_of(m.name) + size_of(m.host) + size_of(m.hosts) + size_of(m.paths) + size_of(m.methods) +
         size_of(m.headers) + size_of(m.client_ca) + size_of(m.limits) + size_of(m.rules);
}

std::string_view to_string(AttachAs as) { return as == AttachAs::Link ? "link" : "direct"; }

std::string_view to_string(TunnelProto proto) { return proto == TunnelProto::Http ? "http" : "tcp"; }

std::string encode(const ControlMessage& message) {
  return std::visit([](const auto& m) { return write(m); }, message);
}

Result<std::optional<ControlMessage>> decode(std::string_view text) {
  if (text.size() > kMaxControl)
    return std::unexpected(protocol_error("the peer's control message is larger than 65,536 bytes"));
  std::array<unsigned char, kScratch> scratch;
  json::monotonic_resource memory(scratch.data(), scratch.size());
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::error_code ec;
  const json::value root = json::parse(to_json(text), ec, &memory, options);
  if (ec) return std::unexpected(protocol_error("the peer's control message is not valid JSON: " + ec.message()));
  const json::object* object = root.if_object();
  if (object == nullptr) return std::unexpected(protocol_error("the peer's control message is not a JSON object"));
  const json::value* type = object->if_contains("type");
  if (type == nullptr || !type->is_string())
    return std::unexpected(protocol_error("the peer's control message has no string \"type\""));
  const std::string_view wanted = from_json(type->get_string());
  const auto known = std::ranges::find(kKnown, wanted, &Known::type);
  if (known == kKnown.end()) return std::nullopt;
  return known->reader(known->type, *object);
}

}  // namespace ferrotunnel::wire
