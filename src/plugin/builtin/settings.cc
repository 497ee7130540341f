#include "plugin/builtin/settings.h"

#include <algorithm>
#include <charconv>

namespace ferrotunnel::plugin {

std::string Settings::text(std::string_view name) {
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    if (rule_.settings[i].first != name) continue;
    taken_[i] = true;
    return rule_.settings[i].second;
  }
  return {};
}

std::vector<std::string> Settings::texts(std::string_view name) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    if (rule_.settings[i].first != name) continue;
    taken_[i] = true;
    all.push_back(rule_.settings[i].second);
  }
  return all;
}

bool Settings::has(std::string_view name) const {
  return std::ranges::any_of(rule_.settings, [name](const auto& setting) { return setting.first == name; });
}

std::optional<std::uint64_t> Settings::number(std::string_view name, std::uint64_t otherwise, std::uint64_t most) {
  if (!has(name)) return otherwise;
  const std::string said = text(name);
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(said.data(), said.data() + said.size(), number);
  if (failed != std::errc() || end != said.data() + said.size() || number > most) return std::nullopt;
  return number;
}

Result<> Settings::all_taken() const {
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    if (taken_[i]) continue;
    const std::string& name = rule_.settings[i].first;
    const bool twice = std::ranges::any_of(
        rule_.settings, [&](const auto& other) { return other.first == name && &other != &rule_.settings[i]; });
    return bad_rule(twice ? "\"" + name + "\" may stand there once" : "it has no setting \"" + name + "\"");
  }
  return {};
}

}  // namespace ferrotunnel::plugin
