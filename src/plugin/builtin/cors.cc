// cors (origin, method, header, expose, credentials, max_age): other sites' pages may ask this tunnel (fetch.spec.whatwg.org, section 3.2).
//
// Preflights are answered here, before anybody is asked for a password: they carry none. What the origin says of CORS itself is replaced.
#include <algorithm>
#include <array>

#include "http/chars.h"
#include "plugin/builtin/filters.h"

namespace ferrotunnel::plugin {
namespace {

constexpr std::string_view kAllowOrigin = "Access-Control-Allow-Origin";

struct Asking final : SlotState {
  explicit Asking(std::string_view text) : origin(text) {}
  std::string origin;
};

class Cors final : public Filter {
 public:
  struct Options {
    std::vector<std::string> origins;  // "*": all
    std::string methods, headers, expose, max_age;
    bool credentials = false;
  };
  explicit Cors(Options options) : options_(std::move(options)), any_(has("*")) {}

  [[nodiscard]] Phases phases() const override { return {Phase::RequestHead, Phase::ResponseHead}; }

  [[nodiscard]] Verdict on_request_head(RequestView& request, Slot& slot) const override {
    slot.state.reset();
    const std::string_view origin = request.head.fields.value("origin");
    if (origin.empty() || !(any_ || has(origin))) return Verdict::Pass;
    slot.state = std::make_unique<Asking>(origin);
    if (request.head.method != http::Method::Options ||
        request.head.fields.find("access-control-request-method") == nullptr)
      return Verdict::Pass;
    Reply& reply = request.reply;
    reply.status = 204;
    allow(reply.fields, origin);
    reply.fields.add("Access-Control-Allow-Methods", options_.methods);
    // "*" does not cover credentials, and not Authorization: what is asked for is named.
    const std::string_view asked = request.head.fields.value("access-control-request-headers");
    const std::string_view headers = options_.headers.empty() ? asked : std::string_view(options_.headers);
    if (!headers.empty()) reply.fields.add("Access-Control-Allow-Headers", headers);
    if (!options_.max_age.empty()) reply.fields.add("Access-Control-Max-Age", options_.max_age);
    return Verdict::Answer;
  }

  void on_response_head(ResponseView& response, Slot& slot) const override {
    http::Fields& fields = response.head.fields;
    for (const std::string_view name : {kAllowOrigin, std::string_view("Access-Control-Allow-Credentials"),
                                        std::string_view("Access-Control-Expose-Headers")})
      fields.remove(name);
    const auto* asking = static_cast<const Asking*>(slot.state.get());
    if (asking == nullptr && !fixed()) return fields.add(http::Field{"Vary", "Origin", http::FieldId::Rule});
    allow(fields, asking != nullptr ? std::string_view(asking->origin) : std::string_view());
    if (!options_.expose.empty())
      fields.add(http::Field{"Access-Control-Expose-Headers", options_.expose, http::FieldId::Rule});
  }

 private:
  [[nodiscard]] bool has(std::string_view origin) const {
    return std::ranges::find(options_.origins, origin) != options_.origins.end();
  }
  // The same whoever asks.
  [[nodiscard]] bool fixed() const { return any_ && !options_.credentials; }
  void allow(http::Fields& fields, std::string_view origin) const {
    const auto add = [&fields](std::string_view name, std::string_view value) {
      fields.add(http::Field{name, value, http::FieldId::Rule});
    };
    add(kAllowOrigin, fixed() ? std::string_view("*") : origin);
    if (!fixed()) add("Vary", "Origin");
    if (options_.credentials) add("Access-Control-Allow-Credentials", "true");
  }

  const Options options_;
  const bool any_;
};

// "a, b", each a token.
Result<std::string> list_of(const std::vector<std::string>& tokens) {
  std::string list;
  for (const std::string& token : tokens) {
    if (!http::is_token(token)) return bad_rule("'" + token.substr(0, 64) + "' is no name");
    list += (list.empty() ? "" : ", ") + token;
  }
  return list;
}

Result<> check_origin(const std::string& origin) {
  if (origin == "*" || origin == "null") return {};
  const std::size_t scheme = origin.find("://");
  const bool right = scheme != std::string::npos && scheme > 0 && origin.size() > scheme + 3 &&
                     http::all(origin, http::kTargetByte) &&
                     origin.find_first_of("/?@*", scheme + 3) == std::string::npos;
  if (right) return {};
  return bad_rule("'" + origin.substr(0, 64) + "' is no origin: write https://HOST or https://HOST:PORT, or * for all");
}

}  // namespace

Result<FilterPtr> make_cors(Settings& settings, const Tools&) {
  Cors::Options options;
  options.origins = settings.texts("origin");
  if (options.origins.empty()) return bad_rule("it needs an origin, such as https://app.example.com, or *");
  for (const std::string& origin : options.origins)
    if (auto checked = check_origin(origin); !checked) return std::unexpected(checked.error());
  options.credentials = settings.flag("credentials");
  if (options.credentials && std::ranges::find(options.origins, "*") != options.origins.end())
    return bad_rule("credentials for every origin would let any page act for a visitor: name the origins");
  std::vector<std::string> methods = settings.texts("method");
  if (methods.empty()) methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
  for (const auto& [tokens, into] :
       {std::pair{methods, &options.methods}, std::pair{settings.texts("header"), &options.headers},
        std::pair{settings.texts("expose"), &options.expose}}) {
    auto list = list_of(tokens);
    if (!list) return std::unexpected(list.error());
    *into = std::move(*list);
  }
  if (settings.has("max_age")) {
    const auto age = settings.number("max_age", 0, 86'400);
    if (!age) return bad_rule("max_age: seconds are wanted, at most 86400");
    options.max_age = std::to_string(*age);
  }
  return std::make_shared<const Cors>(std::move(options));
}

}  // namespace ferrotunnel::plugin
