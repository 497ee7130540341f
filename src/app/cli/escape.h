// Text from outside (hosts, paths, names, a peer's words), made harmless before it is shown. Pure functions; any thread.
//
// What could move a cursor, hide or reorder text, or break a line never gets through: C0 and C1 controls, DEL, bidirectional
// controls and line separators. What is not UTF-8 is shown byte by byte as \xNN.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ferrotunnel::cli {

// For people: \xNN for each byte of what is not harmless, \\ for a backslash. At most `limit` bytes and then "…"; 0: no limit.
void append_shown(std::string& out, std::string_view text, std::size_t limit = 0);
[[nodiscard]] std::string shown(std::string_view text, std::size_t limit = 0);

// The characters of a JSON string, without its quotes: always valid UTF-8. A byte that is not stands as the text \xNN.
void append_json(std::string& out, std::string_view text);

}  // namespace ferrotunnel::cli
