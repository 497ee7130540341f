// HeadMatch: which requests, by method and fields. What rules and routes ask beside the path.
//
// Methods match in any case: "post" is another method than POST (RFC 9110 section 9.1), but one that frameworks take for it, and who asks for
// a password for POST means both. Names match as origins read them (alike()).
// Immutable once parsed; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/message.h"

namespace ferrotunnel::http {

struct HeadMatch {
  struct Header {
    std::string name;   // in lower case
    std::string value;  // "": that it is there is enough
    auto operator<=>(const Header&) const = default;
  };
  std::vector<std::string> methods{};  // in upper case; one of these; none: all
  std::vector<Header> headers{};       // all of these

  // `headers` are "Name", or "Name: value". Sorted, each once, so that what matches the same is the same. Errors: BadInput.
  [[nodiscard]] static Result<HeadMatch> parse(std::span<const std::string> methods,
                                               std::span<const std::string> headers);

  [[nodiscard]] bool all() const { return methods.empty() && headers.empty(); }
  [[nodiscard]] bool matches(const RequestHead& head) const;
  // More is asked: what of two is more special.
  [[nodiscard]] std::size_t weight() const { return headers.size() * 2 + (methods.empty() ? 0 : 1); }
  // `GET,POST x-beta="yes"`: of equals the same, of others another. "" for all().
  [[nodiscard]] std::string text() const;
};

}  // namespace ferrotunnel::http
