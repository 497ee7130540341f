#include "origin/files/conditional.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

#include "http/chars.h"
#include "http/date.h"

namespace ferrotunnel::origin::files {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kFresh = 2 * kSecond;  // the coarsest clock of a file system that is met

void append_hex(std::string& out, std::uint64_t number) {
  char text[16];
  out.append(text, std::to_chars(text, text + sizeof text, number, 16).ptr);
}

// A field that may stand once. Repeated: there, and without a valid value.
struct Single {
  bool there = false;
  std::string_view value;
  void see(std::string_view text) {
    value = there ? std::string_view() : text;
    there = true;
  }
};

enum class Compare { Strong, Weak };

std::string_view opaque(std::string_view tag) { return tag.starts_with("W/") ? tag.substr(2) : tag; }

// Section 8.8.3.2.
bool same(std::string_view a, std::string_view b, Compare how) {
  if (how == Compare::Strong && (a.starts_with('W') || b.starts_with('W'))) return false;
  return opaque(a) == opaque(b);
}

// The entity tag at the front, or nothing.
std::string_view tag_at(std::string_view text) {
  const std::size_t begin = text.starts_with("W/") ? 2 : 0;
  if (text.size() < begin + 2 || text[begin] != '"') return {};
  const std::size_t end = text.find('"', begin + 1);
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end + 1);
}

// One line of If-Match or If-None-Match. What is no list ends it: only the tags before that count.
bool list_matches(std::string_view list, std::string_view etag, Compare how) {
  list = http::trim(list);
  if (list == "*") return true;
  while (!list.empty()) {
    if (list.front() == ',' || list.front() == ' ' || list.front() == '\t') {
      list.remove_prefix(1);
      continue;
    }
    const std::string_view tag = tag_at(list);
    if (tag.empty()) return false;
    if (same(tag, etag, how)) return true;
    list.remove_prefix(tag.size());
  }
  return false;
}

struct Conditions {
  bool has_match = false, match = false;
  bool has_none_match = false, none_match = true;
  Single modified_since, unmodified_since, if_range, range;
};

Conditions conditions_of(const http::Fields& fields, std::string_view etag) {
  Conditions found;
  for (const http::Field& field : fields) {
    if (http::iequals(field.name, "if-match")) {
      found.has_match = true;
      found.match = found.match || list_matches(field.value, etag, Compare::Strong);
    } else if (http::iequals(field.name, "if-none-match")) {
      found.has_none_match = true;
      found.none_match = found.none_match && !list_matches(field.value, etag, Compare::Weak);
    } else if (http::iequals(field.name, "if-modified-since")) {
      found.modified_since.see(field.value);
    } else if (http::iequals(field.name, "if-unmodified-since")) {
      found.unmodified_since.see(field.value);
    } else if (http::iequals(field.name, "if-range")) {
      found.if_range.see(field.value);
    } else if (http::iequals(field.name, "range")) {
      found.range.see(field.value);
    }
  }
  return found;
}

// Digits, as a number that stays at its largest where it would be larger; nothing where there are none.
std::optional<std::uint64_t> position(std::string_view text) {
  if (text.empty() || !http::all(text, http::kDigitByte)) return std::nullopt;
  std::uint64_t number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{})
    return std::numeric_limits<std::uint64_t>::max();
  return number;
}

// Section 14.1.2. What is no single range of bytes is ignored, as section 14.2 asks.
Verdict judge_range(std::string_view text, std::uint64_t size) {
  const Verdict whole{200, 0, size};
  const Verdict none{416, 0, 0};
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || !http::iequals(text.substr(0, equals), "bytes")) return whole;
  text = http::trim(text.substr(equals + 1));
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return whole;
  const std::string_view left = text.substr(0, dash), right = text.substr(dash + 1);
  const auto first = position(left), last = position(right);
  if (left.empty()) {  // the last so many
    if (!last) return whole;
    if (*last == 0) return none;
    if (size == 0) return whole;  // no Content-Range can say it
    const std::uint64_t length = std::min(*last, size);
    return {206, size - length, length};
  }
  if (!first || (!right.empty() && !last) || (last && *last < *first)) return whole;
  if (*first >= size) return none;
  const std::uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return {206, *first, end - *first + 1};
}

// Section 13.1.5: whether the part may be given, because what the visitor has is of the same file.
bool range_is_good(const Single& if_range, const Validators& validators, std::int64_t now) {
  if (!if_range.there) return true;
  if (!validators.strong) return false;
  if (const std::string_view tag = tag_at(if_range.value); !tag.empty())
    return tag.size() == if_range.value.size() && same(tag, validators.etag, Compare::Strong);
  return http::parse_date(if_range.value, now) == validators.modified;
}

}  // namespace

Validators validators_of(const FileFacts& file, std::int64_t now_ns) {
  Validators result;
  result.strong = file.modified_ns < now_ns - kFresh;
  if (!result.strong) result.etag += "W/";
  result.etag += '"';
  append_hex(result.etag, file.inode);
  result.etag += '-';
  append_hex(result.etag, file.size);
  result.etag += '-';
  append_hex(result.etag, static_cast<std::uint64_t>(file.modified_ns));
  result.etag += '"';
  const std::int64_t modified = std::max<std::int64_t>(std::min(file.modified_ns, now_ns), 0);
  result.modified = modified / kSecond;
  return result;
}

// The order is that of section 13.2.2.
Verdict judge(const http::RequestHead& request, const Validators& validators, std::uint64_t size, std::int64_t now) {
  const Conditions asked = conditions_of(request.fields, validators.etag);
  if (asked.has_match) {
    if (!asked.match) return {412, 0, 0};
  } else if (asked.unmodified_since.there) {
    const auto since = http::parse_date(asked.unmodified_since.value, now);
    if (since && validators.modified > *since) return {412, 0, 0};
  }
  if (asked.has_none_match) {
    if (!asked.none_match) return {304, 0, 0};
  } else if (asked.modified_since.there) {
    const auto since = http::parse_date(asked.modified_since.value, now);
    if (since && validators.modified <= *since) return {304, 0, 0};
  }
  if (request.method == http::Method::Get && asked.range.there && range_is_good(asked.if_range, validators, now))
    return judge_range(asked.range.value, size);
  return {200, 0, size};
}

}  // namespace ferrotunnel::origin::files
