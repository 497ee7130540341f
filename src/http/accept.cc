// Which of an error page's three formats a visitor likes best (RFC 9110 section 12.5.1).
#include <array>
#include <cstddef>

#include "http/chars.h"
#include "http/error_page.h"
#include "http/weight.h"

namespace ferrotunnel::http {
namespace {

// How a media range meets a format: 0 not at all, 1 "*/*", 2 "text/*", 3 the type itself.
int specificity(std::string_view range, PageFormat format) {
  if (range == "*/*") return 1;
  const std::size_t slash = range.find('/');
  if (slash == std::string_view::npos) return 0;
  const std::string_view type = range.substr(0, slash);
  const std::string_view subtype = range.substr(slash + 1);
  const std::string_view own_type = format == PageFormat::Json ? "application" : "text";
  if (!iequals(type, own_type)) return 0;
  if (subtype == "*") return 2;
  constexpr std::string_view kJsonSuffix = "+json";
  switch (format) {
    case PageFormat::Text: return iequals(subtype, "plain") ? 3 : 0;
    case PageFormat::Html: return iequals(subtype, "html") ? 3 : 0;
    case PageFormat::Json:
      if (iequals(subtype, "json")) return 3;
      return subtype.size() > kJsonSuffix.size() &&
                     iequals(subtype.substr(subtype.size() - kJsonSuffix.size()), kJsonSuffix)
                 ? 3
                 : 0;
  }
  return 0;
}

struct Wish {
  PageFormat format;
  int weight = 0;
  int specific = 0;
  int place = 0;  // of the member that said so
};

// The most specific range decides a format's weight; of equal formats the one that was named more exactly, then earlier, wins.
bool better(const Wish& a, const Wish& b) {
  if (a.weight != b.weight) return a.weight > b.weight;
  if (a.specific != b.specific) return a.specific > b.specific;
  return a.place < b.place;
}

}  // namespace

PageFormat preferred_format(std::string_view accept) {
  std::array wishes = {Wish{.format = PageFormat::Text}, Wish{.format = PageFormat::Html},
                       Wish{.format = PageFormat::Json}};
  int place = 0;
  for_each_member(accept, [&](std::string_view member) {
    ++place;
    const std::size_t semicolon = member.find(';');
    const std::string_view range = trim(member.substr(0, semicolon));
    for (Wish& wish : wishes) {
      const int specific = specificity(range, wish.format);
      if (specific <= wish.specific) continue;
      wish.weight = semicolon == std::string_view::npos ? kFullWeight : weight_of(member.substr(semicolon + 1));
      wish.specific = specific;
      wish.place = place;
    }
  });
  const Wish* best = &wishes[0];
  for (const Wish& wish : wishes)
    if (better(wish, *best)) best = &wish;
  return best->weight == 0 ? PageFormat::Text : best->format;
}

}  // namespace ferrotunnel::http
