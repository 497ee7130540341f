// Place: what a tunnel claims: a host, with a path prefix or without ("app.example.com/api", http/path.h), and with what is asked of the head
// besides, or without ('app.example.com/api POST x-beta="yes"', http/head_match.h).
//
// A tunnel has as many as its hosts times its paths, so what they have in common is there once, and shared: a Part of all its hosts, a match of
// all its parts. Values; immutable; any thread.
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <string_view>

#include "http/head_match.h"

namespace ferrotunnel::route {

// Which of a host's requests.
struct Part {
  std::string prefix;                            // "": all paths
  std::shared_ptr<const http::HeadMatch> match;  // null: all heads
  [[nodiscard]] bool all() const { return prefix.empty() && match == nullptr; }
};
using PartPtr = std::shared_ptr<const Part>;  // never null

[[nodiscard]] PartPtr part_of(std::string_view prefix, std::shared_ptr<const http::HeadMatch> match = nullptr);
// Null where it asks for nothing.
[[nodiscard]] std::shared_ptr<const http::HeadMatch> shared_match(http::HeadMatch match);

// Below 0: `b` is looked at before `a`. The longer prefix goes first, and of one prefix what asks for most; whoever came first is not what
// decides between two that ask for as much. 0: they are the same.
[[nodiscard]] int compare(const Part& a, const Part& b);

struct Place {
  // A host without a match: "HOST" or "HOST/PREFIX". A host has no slash.
  template <std::convertible_to<std::string_view> Text>
  Place(const Text& text) : Place(std::string_view(text)) {}  // NOLINT(*-explicit-*): it is one
  Place(std::string_view text);                               // NOLINT(*-explicit-*)
  Place(std::string name, PartPtr of) : host(std::move(name)), part(std::move(of)) {}

  std::string host;
  PartPtr part;

  friend bool operator==(const Place& a, const Place& b) { return a.host == b.host && compare(*a.part, *b.part) == 0; }
};

// For messages, and to tell two places apart.
[[nodiscard]] std::string place_of(std::string_view host, std::string_view prefix, const http::HeadMatch& match);
[[nodiscard]] std::string text_of(const Place& place);

}  // namespace ferrotunnel::route
