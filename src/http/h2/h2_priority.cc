#include "http/h2/h2_priority.h"

#include "http/chars.h"

namespace ferrotunnel::http {
namespace {

// The first member of the list, which is taken from it. A comma inside a string ends nothing.
std::string_view take_member(std::string_view& list) {
  bool quoted = false;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (quoted && list[i] == '\\') {
      ++i;
    } else if (list[i] == '"') {
      quoted = !quoted;
    } else if (list[i] == ',' && !quoted) {
      const std::string_view member = list.substr(0, i);
      list.remove_prefix(i + 1);
      return trim(member);
    }
  }
  const std::string_view member = list;
  list = {};
  return trim(member);
}

}  // namespace

H2Priority merge_priority(H2Priority known, std::string_view field) {
  while (!field.empty()) {
    std::string_view member = take_member(field);
    member = trim(member.substr(0, member.find(';')));  // parameters mean nothing here
    if (member.size() == 3 && member.starts_with("u=") && member[2] >= '0' && member[2] <= '7')
      known.urgency = static_cast<std::uint8_t>(member[2] - '0');
    if (member == "i" || member == "i=?1") known.incremental = true;
    if (member == "i=?0") known.incremental = false;
  }
  return known;
}

}  // namespace ferrotunnel::http
