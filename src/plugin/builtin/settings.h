// Settings: what a rule says, taken out by those who make its filter; what nobody took is a mistake. Private to builtin/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "plugin/builtin/rules.h"

namespace ferrotunnel::plugin {

[[nodiscard]] inline std::unexpected<Error> bad_rule(std::string why) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(why)));
}

class Settings {
 public:
  explicit Settings(const RuleText& rule) : rule_(rule), taken_(rule.settings.size()) {}

  // The first; "" where there is none.
  [[nodiscard]] std::string text(std::string_view name);
  [[nodiscard]] std::vector<std::string> texts(std::string_view name);
  [[nodiscard]] bool has(std::string_view name) const;
  // Left out: `otherwise`. Not a whole number up to `most`: nothing.
  [[nodiscard]] std::optional<std::uint64_t> number(std::string_view name, std::uint64_t otherwise, std::uint64_t most);
  [[nodiscard]] bool flag(std::string_view name) { return text(name) == "true"; }
  // Errors: BadInput, of the first setting that is not known, or stands there twice and was taken as one.
  [[nodiscard]] Result<> all_taken() const;

 private:
  const RuleText& rule_;
  std::vector<bool> taken_;
};

}  // namespace ferrotunnel::plugin
