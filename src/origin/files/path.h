// What a request's path means below a shared directory, before the file system is asked. Pure functions; any thread.
//
// It is decoded once and never repaired: whatever two readers could take for different files names none. A segment that begins with a
// dot ("." and ".." among them, however they are spelled) is not found, but for "/.well-known" at the top; nor is an empty one, one with a
// slash in it ("%2f"), or one with a backslash, which elsewhere is a slash too. Bytes that are not UTF-8 are bytes: names have no
// alphabet here, so an overlong dot is no dot.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace ferrotunnel::origin::files {

struct RelativePath {
  std::string path;        // "" is the shared directory itself; no slash at either end
  bool directory = false;  // it was written with a slash at its end
};

// `path` without its query, as sent: "/a%20b/". The error is the status to answer: 400 for what is no path, 404 for what names no file.
[[nodiscard]] std::expected<RelativePath, std::uint16_t> relative_path(std::string_view path);

// Whether a name may be asked for at all; `top`: directly below the shared directory.
[[nodiscard]] bool servable_name(std::string_view name, bool top);

// One segment for a link: everything but letters, digits and -._~ is encoded, so that no name is taken for a scheme or a query.
void append_segment(std::string& out, std::string_view name);

}  // namespace ferrotunnel::origin::files
