// Text: a value of a rule with ${...} in it, parsed once and filled in for each request.
//
//   ${visitor.address} ${visitor.port} ${request.id} ${request.host} ${request.scheme} ${request.method}
//   ${request.path}  the path as asked, without query       ${request.uri}  with it      ${request.query}  the query alone
//
// host, scheme, method, path, uri and query are good without "request." too. "$${" is a "${" as it stands. Immutable; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "plugin/phases.h"

namespace ferrotunnel::plugin {

enum class TextVariable : std::uint8_t { Address, Port, Id, Host, Scheme, Method, Path, Uri, Query };

class Text {
 public:
  // At: a value of a response is written when the request's head is gone.
  enum class At : std::uint8_t { Request, Response };
  // Errors: BadInput: an unknown variable, a "${" without its end, a byte that no field value has.
  [[nodiscard]] static Result<Text> parse(std::string_view text, At at);

  [[nodiscard]] bool constant() const { return pieces_.empty(); }
  // Whether it has the path in it, in whatever form.
  [[nodiscard]] bool has_path() const;
  // Good as long as this and the scratch. `request` may be null for At::Response.
  [[nodiscard]] std::string_view fill_in(const RequestInfo& info, const RequestView* request, Scratch& scratch) const;

 private:
  struct Piece {
    std::string before;
    TextVariable variable = TextVariable::Id;
  };

  std::string tail_;  // behind the last variable
  std::vector<Piece> pieces_;
};

}  // namespace ferrotunnel::plugin
