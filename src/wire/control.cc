#include "wire/control.h"

#include <algorithm>
#include <boost/json.hpp>
#include <type_traits>

#include "wire/base64.h"

namespace ferrotunnel::wire {
namespace {

namespace json = boost::json;

// Most messages need no more than this; a larger one goes on from the heap and is given back as one.
constexpr std::size_t kScratch = 4096;

Error protocol(std::string text) { return {ErrorCode::Protocol, Side::Tunnel, false, std::move(text)}; }

json::string_view to_json(std::string_view text) { return {text.data(), text.size()}; }
std::string_view from_json(json::string_view text) { return {text.data(), text.size()}; }

// Takes the fields of one message; remembers the first that is not as it should be.
class Fields {
 public:
  Fields(std::string_view type, const json::object& object) : type_(type), object_(object) {}

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  std::string text(std::string_view field, std::size_t limit) {
    const json::string* value = string(field);
    if (value == nullptr) return {};
    if (value->size() > limit) {
      wrong(field, "is longer than " + std::to_string(limit) + " bytes");
      return {};
    }
    return {value->data(), value->size()};
  }

  std::string name(std::string_view field) {
    const json::string* value = string(field);
    if (value == nullptr) return {};
    if (!valid_name(from_json(*value))) {
      wrong(field, "is not 1 to 64 of A-Z a-z 0-9 . _ - (the first not . or -)");
      return {};
    }
    return {value->data(), value->size()};
  }

  template <std::size_t N>
  void bytes(std::string_view field, std::array<std::byte, N>& into) {
    const json::string* value = string(field);
    if (value != nullptr && !base64url_decode_exact(from_json(*value), into))
      wrong(field, "is not " + std::to_string(N) + " bytes of base64url");
  }

  template <class T>
  void number(std::string_view field, T& into, std::uint64_t least, std::uint64_t most) {
    const json::value* value = find(field);
    if (value == nullptr) return;
    std::uint64_t n = 0;
    if (const auto* u = value->if_uint64()) {
      n = *u;
    } else if (const auto* i = value->if_int64(); i != nullptr && *i >= 0) {
      n = static_cast<std::uint64_t>(*i);
    } else {
      return wrong(field, "is not a whole number");
    }
    if (n < least || n > most)
      return wrong(field, "is not within " + std::to_string(least) + " and " + std::to_string(most));
    into = static_cast<T>(n);
  }

  // Left out: false.
  bool flag(std::string_view field) {
    if (!has(field)) return false;
    const json::value* value = find(field);
    if (!value->is_bool()) wrong(field, "is neither true nor false");
    return value->is_bool() && value->get_bool();
  }

  std::vector<std::string> texts(std::string_view field, std::size_t most, std::size_t limit) {
    std::vector<std::string> list;
    const json::value* value = find(field);
    if (value == nullptr) return list;
    const json::array* array = value->if_array();
    if (array == nullptr || array->size() > most) {
      wrong(field, "is not a list of at most " + std::to_string(most) + " strings");
      return list;
    }
    list.reserve(array->size());
    for (const json::value& one : *array) {
      const json::string* text = one.if_string();
      if (text == nullptr || text->size() > limit) {
        wrong(field, "has an item that is not a string of at most " + std::to_string(limit) + " bytes");
        return list;
      }
      list.emplace_back(text->data(), text->size());
    }
    return list;
  }

  [[nodiscard]] const json::array* array(std::string_view field, std::size_t most) {
    const json::value* value = find(field);
    if (value == nullptr) return nullptr;
    const json::array* list = value->if_array();
    if (list != nullptr && list->size() <= most) return list;
    wrong(field, "is not a list of at most " + std::to_string(most));
    return nullptr;
  }

  // An object inside, read as one of its own. Nothing where it is none.
  [[nodiscard]] const json::object* object(std::string_view field) {
    const json::value* value = find(field);
    if (value == nullptr) return nullptr;
    const json::object* inside = value->if_object();
    if (inside == nullptr) wrong(field, "is not an object");
    return inside;
  }
  [[nodiscard]] Fields inside(const json::object& object) const { return {type_, object}; }
  void take_error(const Fields& inside) {
    if (!error_) error_ = inside.error_;
  }

  [[nodiscard]] bool has(std::string_view field) const { return object_.if_contains(to_json(field)) != nullptr; }

  void wrong(std::string_view field, std::string_view how) {
    if (error_) return;
    std::string text("the peer's message \"");
    text.append(type_).append("\": field \"").append(field).append("\" ").append(how);
    error_ = protocol(std::move(text));
  }

 private:
  const json::value* find(std::string_view field) {
    const json::value* value = object_.if_contains(to_json(field));
    if (value == nullptr) wrong(field, "is missing");
    return value;
  }

  const json::string* string(std::string_view field) {
    const json::value* value = find(field);
    if (value == nullptr) return nullptr;
    const json::string* text = value->if_string();
    if (text == nullptr) wrong(field, "is not a string");
    return text;
  }

  std::string_view type_;
  const json::object& object_;
  std::optional<Error> error_;
};

constexpr std::uint64_t kMaxU32 = 0xffff'ffff;
constexpr std::uint64_t kMaxPort = 0xffff;

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
Limits read_limits(Fields& outer) {
  Limits m;
  const json::object* object = outer.object("limits");
  if (object == nullptr) return m;
  Fields f = outer.inside(*object);
  const auto number = [&f](std::string_view field, auto& into, std::uint64_t most) {
    if (f.has(field)) f.number(field, into, 0, most);
  };
  number("max_visitors", m.max_visitors, kMaxU32);
  number("max_visitors_per_address", m.max_visitors_per_address, kMaxU32);
  number("max_new_visitors_per_second", m.max_new_visitors_per_second, kMaxU32);
  number("bandwidth", m.bandwidth, kMaxBandwidth);
  number("visitor_bandwidth", m.visitor_bandwidth, kMaxBandwidth);
  number("idle_timeout_ms", m.idle_timeout_ms, kMaxU32);
  if (f.has("allow")) m.allow = f.texts("allow", kMaxNetworks, kMaxNetwork);
  if (f.has("deny")) m.deny = f.texts("deny", kMaxNetworks, kMaxNetwork);
  outer.take_error(f);
  return m;
}

// "with": {"prefix": "/api", "user": ["a:…", "b:…"]}
void read_settings(Fields& f, const json::object& with, Rule& rule) {
  const auto add = [&](std::string_view name, const json::value& value) {
    const json::string* text = value.if_string();
    if (text == nullptr || name.size() > kMaxName || rule.settings.size() >= kMaxRuleSettings)
      return f.wrong("with",
                     "is not a table of strings, or lists of them, at most " + std::to_string(kMaxRuleSettings));
    rule.settings.emplace_back(name, from_json(*text));
  };
  for (const auto& member : with) {
    const std::string_view name = from_json(member.key());
    const json::array* list = member.value().if_array();
    if (list == nullptr) {
      add(name, member.value());
      continue;
    }
    for (const json::value& one : *list) add(name, one);
  }
}

std::vector<Rule> read_rules(Fields& outer) {
  std::vector<Rule> rules;
  const json::array* list = outer.array("rules", kMaxRules);
  if (list == nullptr) return rules;
  std::size_t bytes = 0;
  for (const json::value& one : *list) {
    const json::object* object = one.if_object();
    if (object == nullptr) outer.wrong("rules", "has an item that is not an object");
    if (outer.error()) return {};
    Fields f = outer.inside(*object);
    Rule rule;
    rule.name = f.name("do");
    if (const json::object* with = f.has("with") ? f.object("with") : nullptr) read_settings(f, *with, rule);
    if (f.has("paths")) rule.paths = f.texts("paths", kMaxPaths, kMaxPath);
    if (f.has("methods")) rule.methods = f.texts("methods", kMaxPaths, kMaxName);
    if (f.has("headers")) rule.headers = f.texts("headers", kMaxPaths, kMaxPath);
    bytes += size_of(rule);
    if (bytes > kMaxRulesBytes) f.wrong("rules", "has more than " + std::to_string(kMaxRulesBytes) + " bytes of text");
    outer.take_error(f);
    if (outer.error()) return {};
    rules.push_back(std::move(rule));
  }
  return rules;
}

// A later version's word is as good as none said.
Carry read_carry(Fields& f) {
  const std::string carry = f.text("carry", kMaxCode);
  for (const Carry one : {Carry::Mux, Carry::Direct})
    if (carry == to_string(one)) return one;
  return Carry::Auto;
}

// What a later version knows is refused by whoever has to speak it, not taken for something else.
OriginProto read_origin(Fields& f) {
  const std::string origin = f.text("origin", kMaxCode);
  for (const OriginProto one : {OriginProto::H1, OriginProto::H2, OriginProto::H2Tls})
    if (origin == to_string(one)) return one;
  return OriginProto::Other;
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

// Appends one JSON object, field by field.
class Writer {
 public:
  explicit Writer(std::string_view type) {
    out_.reserve(256);
    text("type", type);
  }

  void text(std::string_view field, std::string_view value) {
    key(field);
    quoted(value);
  }
  void texts(std::string_view field, const std::vector<std::string>& values) {
    key(field);
    out_ += '[';
    for (const std::string& value : values) {
      if (&value != &values.front()) out_ += ',';
      quoted(value);
    }
    out_ += ']';
  }
  void open(std::string_view field) {
    key(field);
    out_ += '{';
  }
  void close() { out_ += '}'; }
  void open_list(std::string_view field) {
    key(field);
    out_ += '[';
  }
  void open_item() {
    if (!out_.ends_with('[')) out_ += ',';
    out_ += '{';
  }
  void close_list() { out_ += ']'; }
  void bytes(std::string_view field, ConstBytes value) { text(field, base64url_encode(value)); }
  void number(std::string_view field, std::uint64_t value) {
    key(field);
    out_ += std::to_string(value);
  }
  void flag(std::string_view field) {
    key(field);
    out_ += "true";
  }
  std::string finish() { return std::move(out_ += '}'); }

 private:
  void quoted(std::string_view value) {
    constexpr std::string_view kShort = "\n\r\t\b\f";
    out_ += '"';
    for (const char c : value) {
      const auto u = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += c;
      } else if (const std::size_t at = kShort.find(c); at != std::string_view::npos) {
        out_ += '\\';
        out_ += "nrtbf"[at];  // never longer than what a peer wrote
      } else if (u < 0x20) {
        constexpr std::string_view kHex = "0123456789abcdef";
        out_.append("\\u00") += kHex[u >> 4];
        out_ += kHex[u & 15];
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }
  void key(std::string_view field) {
    if (out_.empty()) {
      out_ += '{';
    } else if (out_.back() != '{') {
      out_ += ',';
    }
    out_.append("\"").append(field).append("\":");
  }

  std::string out_;
};

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
// What is no limit is left out.
void write_limits(Writer& w, const Limits& m) {
  const auto number = [&w](std::string_view field, std::uint64_t value) {
    if (value != 0) w.number(field, value);
  };
  w.open("limits");
  number("max_visitors", m.max_visitors);
  number("max_visitors_per_address", m.max_visitors_per_address);
  number("max_new_visitors_per_second", m.max_new_visitors_per_second);
  number("bandwidth", m.bandwidth);
  number("visitor_bandwidth", m.visitor_bandwidth);
  number("idle_timeout_ms", m.idle_timeout_ms);
  if (!m.allow.empty()) w.texts("allow", m.allow);
  if (!m.deny.empty()) w.texts("deny", m.deny);
  w.close();
}

void write_settings(Writer& w, const Rule& rule) {
  w.open("with");
  std::vector<std::string> values;
  for (auto at = rule.settings.begin(); at != rule.settings.end();) {
    values.clear();
    const std::string& name = at->first;
    for (; at != rule.settings.end() && at->first == name; ++at) values.push_back(at->second);
    if (values.size() == 1) {
      w.text(name, values.front());
    } else {
      w.texts(name, values);
    }
  }
  w.close();
}

void write_rules(Writer& w, const std::vector<Rule>& rules) {
  w.open_list("rules");
  for (const Rule& rule : rules) {
    w.open_item();
    w.text("do", rule.name);
    if (!rule.settings.empty()) write_settings(w, rule);
    if (!rule.paths.empty()) w.texts("paths", rule.paths);
    if (!rule.methods.empty()) w.texts("methods", rule.methods);
    if (!rule.headers.empty()) w.texts("headers", rule.headers);
    w.close();
  }
  w.close_list();
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

// The character at the front of `text` (not empty): its bytes, 0 where they are not UTF-8, and its code point.
struct Character {
  std::size_t size = 0;
  char32_t point = 0;
};
Character front(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = at(0);
  if (first < 0x80) return {1, first};
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return {};
  char32_t point = first & (0x7fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return {};
    point = (point << 6) | (at(i) & 0x3fu);
  }
  constexpr std::array<char32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  if (point < kLeast[size] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return {};
  return {size, point};
}

bool shown_as_itself(char32_t c) {
  if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;  // C0, DEL, C1
  if (c >= 0x200b && c <= 0x200f) return false;           // zero width, direction marks
  if (c >= 0x2028 && c <= 0x202e) return false;           // line separators, direction overrides
  if (c >= 0x2060 && c <= 0x206f) return false;           // joiners, isolates
  return c != 0xfeff && c != 0x061c;
}

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

std::string_view to_string(AttachAs as) { return as == AttachAs::Link ? "link" : "direct"; }

std::string_view to_string(TunnelProto proto) { return proto == TunnelProto::Http ? "http" : "tcp"; }

bool valid_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  // No flag, no hidden file and no way up, wherever a name is used as one.
  return !name.empty() && name.size() <= kMaxName && name[0] != '.' && name[0] != '-' &&
         std::ranges::all_of(name, allowed);
}

std::string clean_text(std::string_view text, std::size_t limit) {
  std::string out;
  out.reserve(std::min(text.size(), limit));
  while (!text.empty()) {
    const Character c = front(text);
    const std::size_t size = std::max<std::size_t>(c.size, 1);
    const bool keep = c.size != 0 && shown_as_itself(c.point);
    if (out.size() + (keep ? size : 1) > limit) break;
    if (keep) {
      out.append(text.substr(0, size));
    } else {
      out += '?';
    }
    text.remove_prefix(size);
  }
  return out;
}

std::string encode(const ControlMessage& message) {
  return std::visit([](const auto& m) { return write(m); }, message);
}

Result<std::optional<ControlMessage>> decode(std::string_view text) {
  if (text.size() > kMaxControl)
    return std::unexpected(protocol("the peer's control message is larger than 65,536 bytes"));
  std::array<unsigned char, kScratch> scratch;
  json::monotonic_resource memory(scratch.data(), scratch.size());
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::error_code ec;
  const json::value root = json::parse(to_json(text), ec, &memory, options);
  if (ec) return std::unexpected(protocol("the peer's control message is not valid JSON: " + ec.message()));
  const json::object* object = root.if_object();
  if (object == nullptr) return std::unexpected(protocol("the peer's control message is not a JSON object"));
  const json::value* type = object->if_contains("type");
  if (type == nullptr || !type->is_string())
    return std::unexpected(protocol("the peer's control message has no string \"type\""));
  const std::string_view wanted = from_json(type->get_string());
  const auto known = std::ranges::find(kKnown, wanted, &Known::type);
  if (known == kKnown.end()) return std::nullopt;
  return known->reader(known->type, *object);
}

}  // namespace ferrotunnel::wire
