// A directory's page: what is in it, for a person.
//
// It lists what can be fetched and nothing else: hidden names, links that lead out, FIFOs and the like are left out. At most kMaxListed
// entries are read, in the order that the directory has them, and then sorted, directories first; a page with more says so. Blocking
// file I/O of at most kMaxScanned names. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "origin/files/open_file.h"

namespace ferrotunnel::origin::files {

inline constexpr std::size_t kMaxListed = 1000;
inline constexpr std::size_t kMaxScanned = 10'000;

struct ListEntry {
  std::string name;
  bool directory = false;
  std::uint64_t size = 0;
  std::int64_t modified = 0;  // seconds since 1970
};

struct Listing {
  std::vector<ListEntry> entries;  // sorted
  bool more = false;               // there are others
};

// `directory` was found at `path`.
[[nodiscard]] Listing read_listing(const Root& root, const std::string& path, OpenedFile directory);

// The page, in HTML. Pure.
[[nodiscard]] std::string listing_page(std::string_view path, const Listing& listing);

}  // namespace ferrotunnel::origin::files
