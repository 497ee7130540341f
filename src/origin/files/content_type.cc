#include "origin/files/content_type.h"

#include <algorithm>
#include <array>

#include "http/chars.h"

namespace ferrotunnel::origin::files {
namespace {

struct Type {
  std::string_view extension, type;
};

// By extension, for a binary search.
constexpr std::array kTypes = {
    Type{"aac", "audio/aac"},
    Type{"atom", "application/atom+xml; charset=utf-8"},
    Type{"avif", "image/avif"},
    Type{"bmp", "image/bmp"},
    Type{"css", "text/css; charset=utf-8"},
    Type{"csv", "text/csv; charset=utf-8"},
    Type{"flac", "audio/flac"},
    Type{"gif", "image/gif"},
    Type{"gz", "application/gzip"},
    Type{"htm", "text/html; charset=utf-8"},
    Type{"html", "text/html; charset=utf-8"},
    Type{"ico", "image/x-icon"},
    Type{"ics", "text/calendar; charset=utf-8"},
    Type{"jpeg", "image/jpeg"},
    Type{"jpg", "image/jpeg"},
    Type{"js", "text/javascript; charset=utf-8"},
    Type{"json", "application/json"},
    Type{"jsonld", "application/ld+json"},
    Type{"log", "text/plain; charset=utf-8"},
    Type{"m4a", "audio/mp4"},
    Type{"map", "application/json"},
    Type{"md", "text/markdown; charset=utf-8"},
    Type{"mjs", "text/javascript; charset=utf-8"},
    Type{"mp3", "audio/mpeg"},
    Type{"mp4", "video/mp4"},
    Type{"ogg", "audio/ogg"},
    Type{"opus", "audio/ogg"},
    Type{"otf", "font/otf"},
    Type{"pdf", "application/pdf"},
    Type{"png", "image/png"},
    Type{"rss", "application/rss+xml; charset=utf-8"},
    Type{"svg", "image/svg+xml; charset=utf-8"},
    Type{"tar", "application/x-tar"},
    Type{"ttf", "font/ttf"},
    Type{"txt", "text/plain; charset=utf-8"},
    Type{"wasm", "application/wasm"},
    Type{"wav", "audio/wav"},
    Type{"webm", "video/webm"},
    Type{"webmanifest", "application/manifest+json"},
    Type{"webp", "image/webp"},
    Type{"woff", "font/woff"},
    Type{"woff2", "font/woff2"},
    Type{"xhtml", "application/xhtml+xml; charset=utf-8"},
    Type{"xml", "application/xml; charset=utf-8"},
    Type{"zip", "application/zip"},
};
static_assert(std::ranges::is_sorted(kTypes, {}, &Type::extension));
constexpr std::size_t kMaxExtension = 11;

}  // namespace

std::string_view content_type(std::string_view path) {
  constexpr std::string_view kOctets = "application/octet-stream";
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || name.size() - dot - 1 > kMaxExtension) return kOctets;
  std::array<char, kMaxExtension> lower{};
  const auto end = std::ranges::transform(name.substr(dot + 1), lower.begin(), http::to_lower).out;
  const std::string_view extension(lower.data(), static_cast<std::size_t>(end - lower.begin()));
  const auto at = std::ranges::lower_bound(kTypes, extension, {}, &Type::extension);
  return at != kTypes.end() && at->extension == extension ? at->type : kOctets;
}

}  // namespace ferrotunnel::origin::files
