#include "plugin/text.h"

#include <algorithm>
#include <array>
#include <utility>

#include "http/chars.h"

namespace ferrotunnel::plugin {

namespace {

using Variable = TextVariable;

struct Known {
  std::string_view name;
  Variable variable;
  bool of_request;  // of its head
};
constexpr std::array kKnown = {
    Known{"visitor.address", Variable::Address, false},
    Known{"visitor.port", Variable::Port, false},
    Known{"request.id", Variable::Id, false},
    Known{"request.host", Variable::Host, false},
    Known{"host", Variable::Host, false},
    Known{"request.scheme", Variable::Scheme, false},
    Known{"scheme", Variable::Scheme, false},
    Known{"request.method", Variable::Method, true},
    Known{"method", Variable::Method, true},
    Known{"request.path", Variable::Path, true},
    Known{"path", Variable::Path, true},
    Known{"request.uri", Variable::Uri, true},
    Known{"uri", Variable::Uri, true},
    Known{"request.query", Variable::Query, true},
    Known{"query", Variable::Query, true},
};

}  // namespace

Result<Text> Text::parse(std::string_view text, At at) {
  const auto bad = [](std::string why) {
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(why)));
  };
  if (!http::all(text, http::kValueByte)) return bad("a line end or another control character is in it");
  Text parsed;
  std::string literal;
  while (true) {
    const std::size_t dollar = text.find("${");
    if (dollar == std::string_view::npos) break;
    literal += text.substr(0, dollar);
    text.remove_prefix(dollar);
    if (literal.ends_with('$')) {  // "$${"
      literal += '{';
      text.remove_prefix(2);
      continue;
    }
    const std::size_t end = text.find('}');
    if (end == std::string_view::npos) return bad("a \"${\" has no \"}\"");
    const std::string_view name = text.substr(2, end - 2);
    const auto* known = std::ranges::find(kKnown, name, &Known::name);
    if (known == kKnown.end())
      return bad("${" + std::string(name) +
                 "} is not known; visitor.address, visitor.port, request.id, request.host, request.scheme, "
                 "request.method, request.path, request.uri and request.query are");
    if (known->of_request && at == At::Response)
      return bad("${" + std::string(name) + "} is not known any more when the response comes");
    parsed.pieces_.push_back({std::exchange(literal, {}), known->variable});
    text.remove_prefix(end + 1);
  }
  parsed.tail_ = std::move(literal.append(text));
  return parsed;
}

bool Text::has_path() const {
  return std::ranges::any_of(
      pieces_, [](const Piece& piece) { return piece.variable == Variable::Path || piece.variable == Variable::Uri; });
}

std::string_view Text::fill_in(const RequestInfo& info, const RequestView* request, Scratch& scratch) const {
  if (constant()) return tail_;
  const std::string_view asked = request != nullptr ? request->asked : std::string_view{};
  const std::size_t mark = asked.find('?');
  std::string out;
  for (const Piece& piece : pieces_) {
    if (out.size() > scratch.room()) break;  // a piece adds little, all of them a lot: keep() says no
    out += piece.before;
    switch (piece.variable) {
      case Variable::Address: out += info.visitor; break;
      case Variable::Port: out += std::to_string(info.visitor_port); break;
      case Variable::Id: out += info.id; break;
      case Variable::Host: out += info.host; break;
      case Variable::Scheme: out += info.scheme; break;
      case Variable::Method: out += request != nullptr ? request->head.method_text : std::string_view{}; break;
      case Variable::Path: out += asked.substr(0, mark); break;
      case Variable::Uri: out += asked; break;
      case Variable::Query: out += mark == std::string_view::npos ? std::string_view{} : asked.substr(mark + 1); break;
    }
  }
  out += tail_;
  return scratch.keep(std::move(out));
}

}  // namespace ferrotunnel::plugin
