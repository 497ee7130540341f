// H2Priority: what the Priority field says (RFC 9218 section 4), and how a second opinion is merged into the first (section 8).
#pragma once

#include <cstdint>
#include <string_view>

namespace ferrotunnel::http {

struct H2Priority {
  std::uint8_t urgency = 3;  // 0 first, 7 last
  bool incremental = false;  // of use in parts: those of one urgency take turns
  bool operator==(const H2Priority&) const = default;
};

// What a field's value says replaces what was known; what it does not say, or not well, stays.
[[nodiscard]] H2Priority merge_priority(H2Priority known, std::string_view field);

}  // namespace ferrotunnel::http
