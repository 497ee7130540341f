// What is looked at before the TOML library (toml++ 3.3) sees a text, because it is not safe with all of it: it recurses as deep as brackets and
// dotted keys are nested, and characters that are not ASCII are undefined behaviour to it where it expects white space, which it also does in a string behind a word. Values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ferrotunnel::app::config {

// Of brackets in brackets, and of dots in a key.
inline constexpr std::size_t kMaxNesting = 16;

struct Refusal {
  std::size_t at = 0;  // in the text
  std::string_view why;
};
// Nothing: the library may have it. A walk without recursion, right up to the first mistake in the syntax, where the library stops too.
[[nodiscard]] std::optional<Refusal> prescan(std::string_view text);

struct TextPosition {
  std::uint32_t line = 1, column = 1;
};
[[nodiscard]] TextPosition position_of(std::string_view text, std::size_t at);

}  // namespace ferrotunnel::app::config
