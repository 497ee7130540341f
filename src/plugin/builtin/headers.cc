// request_headers, response_headers: set and add ("Name: value" with ${...}), remove ("Name").
//
// Removed first, then set, then added. Of a request all spellings that an origin may take for the name (http::alike()) are removed, and what is
// removed or set does not come in by trailers either (RequestHead::settled). What belongs to the connection, to framing or to who the visitor is (http/forward.h) is not a rule's.
#include <algorithm>
#include <array>

#include "http/chars.h"
#include "plugin/builtin/filters.h"
#include "plugin/text.h"

namespace ferrotunnel::plugin {
namespace {

// Of both: fields of one hop, and those that say where a message ends.
constexpr std::array<std::string_view, 13> kNobodys = {"connection",
                                                       "content-length",
                                                       "host",
                                                       "http2-settings",
                                                       "keep-alive",
                                                       "proxy",
                                                       "proxy-authenticate",
                                                       "proxy-authorization",
                                                       "proxy-connection",
                                                       "te",
                                                       "trailer",
                                                       "transfer-encoding",
                                                       "upgrade"};
// Of a request: written anew for each.
constexpr std::array<std::string_view, 5> kOurs = {"expect", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
                                                   "x-request-id"};

bool is_in(std::span<const std::string_view> list, std::string_view name) {
  return std::ranges::any_of(list, [name](std::string_view one) { return http::iequals(one, name); });
}

Result<> check_name(std::string_view name, bool request) {
  const std::string shown(name.substr(0, 64));
  if (!http::is_token(name)) return bad_rule("'" + shown + "' is no header's name");
  if (http::iequals(name, "host")) return bad_rule("Host is the rule host's to change");
  if (is_in(kNobodys, name))
    return bad_rule(shown + " belongs to one connection or to the end of the message; no rule may change it");
  const http::FieldId id = http::field_id(name);
  if (id == http::FieldId::Ferrotunnel || id == http::FieldId::UnderscoreAlias || (request && is_in(kOurs, name)))
    return bad_rule(shown + " is the server's own to say; use another name");
  return {};
}

struct Line {
  std::string name;
  Text value;
};

Result<std::vector<Line>> lines_of(const std::vector<std::string>& texts, bool request) {
  std::vector<Line> lines;
  for (const std::string& text : texts) {
    const std::size_t colon = text.find(':');
    if (colon == std::string::npos) return bad_rule("'" + text.substr(0, 64) + "' is not \"Name: value\"");
    const std::string_view name = http::trim(std::string_view(text).substr(0, colon));
    if (auto checked = check_name(name, request); !checked) return std::unexpected(checked.error());
    auto value = Text::parse(http::trim(std::string_view(text).substr(colon + 1)),
                             request ? Text::At::Request : Text::At::Response);
    if (!value) return bad_rule(std::string(name) + ": " + value.error().context);
    lines.push_back({std::string(name), std::move(*value)});
  }
  return lines;
}

struct Changes {
  std::vector<Line> set, add;
  std::vector<std::string> remove;

  [[nodiscard]] static Result<Changes> of(Settings& settings, bool request) {
    Changes changes;
    auto set = lines_of(settings.texts("set"), request);
    if (!set) return std::unexpected(set.error());
    auto add = lines_of(settings.texts("add"), request);
    if (!add) return std::unexpected(add.error());
    changes.set = std::move(*set);
    changes.add = std::move(*add);
    changes.remove = settings.texts("remove");
    for (const std::string& name : changes.remove)
      if (auto checked = check_name(name, request); !checked) return std::unexpected(checked.error());
    if (changes.set.empty() && changes.add.empty() && changes.remove.empty())
      return bad_rule("it needs a header to set, add or remove");
    return changes;
  }

  void apply(http::Fields& fields, const RequestInfo& info, RequestView* request, Scratch& scratch) const {
    const auto put = [&](const Line& line) {
      fields.add(http::Field{line.name, line.value.fill_in(info, request, scratch), http::FieldId::Rule});
    };
    const auto take_out = [&](std::string_view name) {
      if (request == nullptr) return fields.remove(name);
      if (request->head.framing.kind == http::Framing::Kind::Chunked) request->head.settled.push_back(name);
      return fields.remove_alike(name);
    };
    for (const std::string& name : remove) take_out(name);
    for (const Line& line : set) take_out(line.name);
    for (const Line& line : set) put(line);
    for (const Line& line : add) put(line);
  }
};

class RequestHeaders final : public Filter {
 public:
  explicit RequestHeaders(Changes changes) : changes_(std::move(changes)) {}
  [[nodiscard]] Phases phases() const override { return {Phase::RequestHead}; }
  [[nodiscard]] Verdict on_request_head(RequestView& request, Slot&) const override {
    changes_.apply(request.head.fields, request.info, &request, request.scratch);
    return Verdict::Pass;
  }

 private:
  const Changes changes_;
};

class ResponseHeaders final : public Filter {
 public:
  explicit ResponseHeaders(Changes changes) : changes_(std::move(changes)) {}
  [[nodiscard]] Phases phases() const override { return {Phase::ResponseHead}; }
  void on_response_head(ResponseView& response, Slot&) const override {
    changes_.apply(response.head.fields, response.info, nullptr, response.scratch);
  }

 private:
  const Changes changes_;
};

}  // namespace

Result<FilterPtr> make_request_headers(Settings& settings, const Tools&) {
  auto changes = Changes::of(settings, true);
  if (!changes) return std::unexpected(changes.error());
  return std::make_shared<const RequestHeaders>(std::move(*changes));
}

Result<FilterPtr> make_response_headers(Settings& settings, const Tools&) {
  auto changes = Changes::of(settings, false);
  if (!changes) return std::unexpected(changes.error());
  return std::make_shared<const ResponseHeaders>(std::move(*changes));
}

}  // namespace ferrotunnel::plugin
