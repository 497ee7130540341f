#include "route/place.h"

#include <utility>

namespace ferrotunnel::route {
namespace {

template <class T>
int order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

}  // namespace

PartPtr part_of(std::string_view prefix, std::shared_ptr<const http::HeadMatch> match) {
  static const PartPtr all = std::make_shared<const Part>();
  if (prefix.empty() && match == nullptr) return all;
  return std::make_shared<const Part>(Part{std::string(prefix), std::move(match)});
}

std::shared_ptr<const http::HeadMatch> shared_match(http::HeadMatch match) {
  return match.all() ? nullptr : std::make_shared<const http::HeadMatch>(std::move(match));
}

int compare(const Part& a, const Part& b) {
  if (&a == &b) return 0;
  if (const int by = order(a.prefix.size(), b.prefix.size()); by != 0) return by;
  if (a.match != b.match) {
    if (a.match == nullptr || b.match == nullptr) return a.match == nullptr ? -1 : 1;
    if (const int by = order(a.match->weight(), b.match->weight()); by != 0) return by;
  }
  if (const int by = order(a.prefix, b.prefix); by != 0) return by;
  if (a.match == b.match) return 0;
  if (const int by = order(a.match->methods, b.match->methods); by != 0) return by;
  return order(a.match->headers, b.match->headers);
}

Place::Place(std::string_view text) : host(text.substr(0, text.find('/'))), part(part_of(text.substr(host.size()))) {}

std::string place_of(std::string_view host, std::string_view prefix, const http::HeadMatch& match) {
  std::string place(host);
  place.append(prefix);
  if (!match.all()) place.append(" ").append(match.text());
  return place;
}

std::string text_of(const Place& place) {
  return place_of(place.host, place.part->prefix,
                  place.part->match != nullptr ? *place.part->match : http::HeadMatch{});
}

}  // namespace ferrotunnel::route
