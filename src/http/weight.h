// Weights: how much a visitor likes a choice of an Accept field (RFC 9110 section 12.4.2), in thousandths. Any thread.
#pragma once

#include <optional>
#include <string_view>

#include "http/message.h"

namespace ferrotunnel::http {

inline constexpr int kFullWeight = 1000;  // q=1

// "q=0.5" among parameters, without the ';' in front. None: full. One that is malformed: 0.
[[nodiscard]] int weight_of(std::string_view parameters);

// How much a content coding is liked, by all Accept-Encoding lines: its own word, else that of "*". Nothing: neither is there.
[[nodiscard]] std::optional<int> weight_of_coding(const Fields& fields, std::string_view coding);

}  // namespace ferrotunnel::http
