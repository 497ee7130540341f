// SNI: the name that a ClientHello asks for (RFC 6066 section 3), and which of several things stands for it.
//
// All of it comes from outside: nothing here trusts a length, and no work grows with more than the name's. Pure functions and a value;
// any thread once filled.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace ferrotunnel::transport {

// The host name in the body of a server_name extension; "" where it has none (an empty body, or a name of another kind). Nothing where the body
// is malformed, or holds more than one name.
[[nodiscard]] std::optional<std::string_view> sni_host_name(std::string_view extension);

// The one spelling of a name, as http/host.h has it: lower case, no trailing dot. False (and `out` empty) where it is no name: labels of 1 to 63
// letters, digits, '-' and '_', without a hyphen at either end, 253 in all. Names of other alphabets come as xn--.
[[nodiscard]] bool normalise_name(std::string_view name, std::string& out);

// Names of certificates, each with what stands for it: exact ones, and "*.example.com", which is one label under example.com (RFC 6125 section
// 6.4.3) and never example.com itself. An exact one goes first.
class NameTable {
 public:
  // What the pattern, in any case, has so far: `value` where it is new. Nothing where it is no name and no "*." with a name behind it.
  std::optional<std::size_t> claim(std::string_view pattern, std::size_t value);
  // `name` is in the one spelling.
  [[nodiscard]] std::optional<std::size_t> find(std::string_view name) const;
  [[nodiscard]] std::size_t size() const { return exact_.size() + wildcard_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using Map = std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>>;
  Map exact_;
  Map wildcard_;  // by what follows "*."
};

}  // namespace ferrotunnel::transport
