#include "origin/files/index.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <memory>
#include <tuple>

#include "http/escape.h"
#include "origin/files/path.h"

namespace ferrotunnel::origin::files {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

// What a visitor would get for this name; false: nothing.
bool look_at(const Root& root, const std::string& path, int directory, ListEntry& entry) {
  struct stat status{};
  if (::fstatat(directory, entry.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
  if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) {
    entry.directory = S_ISDIR(status.st_mode);
    entry.size = static_cast<std::uint64_t>(status.st_size);
    entry.modified = modified_ns_of(status) / kSecond;
    return true;
  }
  if (!S_ISLNK(status.st_mode)) return false;
  const OpenResult behind = root.find(path.empty() ? entry.name : path + "/" + entry.name);
  if (!behind) return false;
  entry.directory = behind->directory;
  entry.size = behind->size;
  entry.modified = behind->modified_ns / kSecond;
  return true;
}

// "1.5 MB": for a person, so one figure behind the point.
std::string size_text(std::uint64_t size) {
  constexpr std::array kUnits = {"KB", "MB", "GB", "TB", "PB", "EB"};
  if (size < 1000) return std::to_string(size) + " B";
  double number = static_cast<double>(size) / 1000;
  std::size_t unit = 0;
  for (; number >= 999.95 && unit + 1 < kUnits.size(); ++unit) number /= 1000;
  std::array<char, 32> text;
  const int n = std::snprintf(text.data(), text.size(), "%.1f %s", number, kUnits[unit]);
  return {text.data(), static_cast<std::size_t>(n)};
}

// In UTC, to the minute.
std::string time_text(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  if (::gmtime_r(&time, &parts) == nullptr) return {};
  std::array<char, 64> text;
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M", &parts)};
}

void append_entry(std::string& out, const ListEntry& entry) {
  const std::string_view slash = entry.directory ? "/" : "";
  out += "<tr><td><a href=\"";
  append_segment(out, entry.name);
  out += slash;
  out += "\">";
  http::append_html(out, entry.name);
  out += slash;
  out += "</a></td><td>";
  if (!entry.directory) out += size_text(entry.size);
  out += "</td><td>";
  out += time_text(entry.modified);
  out += "</td></tr>\n";
}

}  // namespace

Listing read_listing(const Root& root, const std::string& path, OpenedFile directory) {
  Listing listing;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(directory.fd.get()), ::closedir);
  if (!stream) return listing;
  const int fd = directory.fd.release();  // the stream's from now on
  std::size_t scanned = 0;
  while (const dirent* found = ::readdir(stream.get())) {
    if (++scanned > kMaxScanned) {
      listing.more = true;
      break;
    }
    ListEntry entry;
    entry.name = found->d_name;
    if (!servable_name(entry.name, path.empty()) || !look_at(root, path, fd, entry)) continue;
    if (listing.entries.size() == kMaxListed) {
      listing.more = true;
      break;
    }
    listing.entries.push_back(std::move(entry));
  }
  std::ranges::sort(listing.entries, {}, [](const ListEntry& entry) {
    return std::tuple<bool, const std::string&>(!entry.directory, entry.name);
  });
  return listing;
}

std::string listing_page(std::string_view path, const Listing& listing) {
  std::string title = "/";
  title += path;
  if (!path.empty()) title += '/';
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
  http::append_html(out, title);
  out +=
      "</title>\n<style>\n:root{color-scheme:light dark}\n"
      "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1.5rem}\n"
      "h1{font-size:1.4rem;overflow-wrap:anywhere}\ntd{padding:.1rem 1.5rem .1rem 0;overflow-wrap:anywhere}\n"
      "td+td{white-space:nowrap;opacity:.7;font-variant-numeric:tabular-nums}\n</style>\n</head>\n<body>\n<h1>";
  http::append_html(out, title);
  out += "</h1>\n<table>\n";
  if (!path.empty()) out += "<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n";
  for (const ListEntry& entry : listing.entries) append_entry(out, entry);
  out += "</table>\n";
  if (listing.more)
    out += "<p>Only " + std::to_string(listing.entries.size()) + " entries are shown; there are more.</p>\n";
  if (listing.entries.empty() && !listing.more) out += "<p>Nothing is here.</p>\n";
  out += "</body>\n</html>\n";
  return out;
}

}  // namespace ferrotunnel::origin::files
