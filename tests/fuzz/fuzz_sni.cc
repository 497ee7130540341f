// The choice of certificates by name: what a ClientHello says is read as an exact model reads it, is spelled as http/host.h spells hosts, and finds
// what a search through all patterns finds.
//
// Input: patterns of certificates, a line each, up to an empty one; then the body of a server_name extension.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/host.h"
#include "transport/tls/sni.h"

namespace {

using namespace ferrotunnel;

void check(bool holds) {
  if (!holds) std::abort();
}

constexpr std::size_t kMostPatterns = 64;

// As RFC 6066 section 3 writes it down, with one name.
std::optional<std::string_view> model_name(std::string_view body) {
  const auto byte = [&body](std::size_t at) { return std::size_t{static_cast<unsigned char>(body[at])}; };
  if (body.empty()) return body;
  if (body.size() < 5 || (byte(0) << 8 | byte(1)) != body.size() - 2) return std::nullopt;
  if ((byte(3) << 8 | byte(4)) != body.size() - 5) return std::nullopt;
  if (byte(2) != 0) return std::string_view{};
  if (body.size() == 5) return std::nullopt;
  return body.substr(5);
}

struct Claim {
  std::string name;  // in the one spelling, without "*."
  bool wild;
};

std::optional<std::size_t> model_find(const std::vector<Claim>& claims, std::string_view name) {
  for (const bool wild : {false, true}) {
    for (std::size_t i = 0; i < claims.size(); ++i) {
      if (claims[i].wild != wild) continue;
      const std::string suffix = wild ? "." + claims[i].name : claims[i].name;
      if (!wild && name == suffix) return i;
      if (!wild || name.size() <= suffix.size() || !name.ends_with(suffix)) continue;
      if (name.substr(0, name.size() - suffix.size()).find('.') == std::string_view::npos) return i;
    }
  }
  return std::nullopt;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  transport::NameTable table;
  std::vector<Claim> claims;
  for (std::size_t i = 0; i < kMostPatterns && !input.empty(); ++i) {
    const std::string_view line = input.substr(0, input.find('\n'));
    input.remove_prefix(std::min(input.size(), line.size() + 1));
    if (line.empty()) break;
    const bool wild = line.starts_with("*.");
    std::string name;
    const bool good = transport::normalise_name(wild ? line.substr(2) : line, name);
    const auto claimed = table.claim(line, claims.size());
    check(claimed.has_value() == good);
    if (claimed == claims.size()) claims.push_back({name, wild});
  }

  const auto name = transport::sni_host_name(input);
  check(name == model_name(input));
  if (!name) return 0;
  std::string spelled, host;
  const bool good = transport::normalise_name(*name, spelled);
  // Hosts may have a port or be an address in brackets besides.
  const bool is_host = name->find_first_of(":[") == std::string_view::npos && http::normalise_host(*name, host);
  check(good == is_host && spelled == host);
  check(table.find(spelled) == model_find(claims, spelled));
  return 0;
}
