// How deep a TOML text is nested, found without recursion: the TOML library (3.3) and the tables it makes recurse as deep as the text says.
// Values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ferrotunnel::app::config {

struct TextPosition {
  std::uint32_t line = 1, column = 1;
};
// Where brackets are nested deeper than `most`, or a dotted key has more dots. Right up to the first mistake in the syntax, where the library
// stops too.
[[nodiscard]] std::optional<TextPosition> too_deep(std::string_view text, std::size_t most);

}  // namespace ferrotunnel::app::config
