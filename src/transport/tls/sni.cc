#include "transport/tls/sni.h"

namespace ferrotunnel::transport {
namespace {

constexpr std::size_t kMaxName = 253;
constexpr std::size_t kMaxLabel = 63;
constexpr unsigned char kHostName = 0;  // NameType host_name

// Takes a length of two bytes off the front.
std::optional<std::size_t> take_length(std::string_view& text) {
  if (text.size() < 2) return std::nullopt;
  const auto byte = [&text](std::size_t at) { return std::size_t{static_cast<unsigned char>(text[at])}; };
  const std::size_t length = byte(0) << 8 | byte(1);
  text.remove_prefix(2);
  return length;
}

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::optional<std::string_view> sni_host_name(std::string_view extension) {
  if (extension.empty()) return extension;
  const auto list = take_length(extension);
  if (!list || *list != extension.size() || extension.empty()) return std::nullopt;
  const auto type = static_cast<unsigned char>(extension.front());
  extension.remove_prefix(1);
  const auto length = take_length(extension);
  if (!length || *length != extension.size()) return std::nullopt;
  if (type != kHostName) return std::string_view{};
  if (extension.empty()) return std::nullopt;
  return extension;
}

bool normalise_name(std::string_view name, std::string& out) {
  out.clear();
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxName) return false;
  std::size_t label = 0;
  char before = '.';
  for (const char c : name) {
    const bool dot = c == '.';
    if (!dot && !is_name_byte(c)) return false;
    if (dot && (label == 0 || before == '-')) return false;
    if (c == '-' && label == 0) return false;
    label = dot ? 0 : label + 1;
    if (label > kMaxLabel) return false;
    before = c;
  }
  if (label == 0 || before == '-') return false;
  out.reserve(name.size());
  for (const char c : name) out += to_lower(c);
  return true;
}

std::optional<std::size_t> NameTable::claim(std::string_view pattern, std::size_t value) {
  const bool wild = pattern.starts_with("*.");
  std::string name;
  if (!normalise_name(wild ? pattern.substr(2) : pattern, name)) return std::nullopt;
  return (wild ? wildcard_ : exact_).try_emplace(std::move(name), value).first->second;
}

std::optional<std::size_t> NameTable::find(std::string_view name) const {
  if (const auto found = exact_.find(name); found != exact_.end()) return found->second;
  const std::size_t dot = name.find('.');
  if (dot == 0 || dot == std::string_view::npos) return std::nullopt;
  const auto found = wildcard_.find(name.substr(dot + 1));
  if (found == wildcard_.end()) return std::nullopt;
  return found->second;
}

}  // namespace ferrotunnel::transport
