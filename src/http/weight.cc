#include "http/weight.h"

#include "http/chars.h"

namespace ferrotunnel::http {
namespace {

// qvalue = "0" [ "." *3DIGIT ] / "1" [ "." *3"0" ]; anything else counts as no wish at all.
int parse_weight(std::string_view text) {
  if (text.empty() || (text[0] != '0' && text[0] != '1') || text.size() > 5) return 0;
  int weight = text[0] == '1' ? kFullWeight : 0;
  if (text.size() == 1) return weight;
  if (text[1] != '.') return 0;
  int scale = 100;
  for (const char c : text.substr(2)) {
    if (!is(c, kDigitByte)) return 0;
    weight += (c - '0') * scale;
    scale /= 10;
  }
  return weight > kFullWeight ? 0 : weight;
}

}  // namespace

int weight_of(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::size_t semicolon = parameters.find(';');
    const std::string_view parameter = trim(parameters.substr(0, semicolon));
    if (parameter.size() >= 2 && iequals(parameter.substr(0, 2), "q=")) return parse_weight(parameter.substr(2));
    parameters = semicolon == std::string_view::npos ? std::string_view{} : parameters.substr(semicolon + 1);
  }
  return kFullWeight;
}

std::optional<int> weight_of_coding(const Fields& fields, std::string_view coding) {
  std::optional<int> own, any;
  for (const Field& field : fields) {
    if (!iequals(field.name, "accept-encoding")) continue;
    std::string_view list = field.value;
    while (!list.empty()) {
      const std::size_t comma = list.find(',');
      const std::string_view item = list.substr(0, comma);
      list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
      const std::size_t semicolon = item.find(';');
      const std::string_view name = trim(item.substr(0, semicolon));
      std::optional<int>* const which = iequals(name, coding) ? &own : name == "*" ? &any : nullptr;
      if (which != nullptr && !*which)
        *which = weight_of(semicolon == std::string_view::npos ? std::string_view{} : item.substr(semicolon + 1));
    }
  }
  return own ? own : any;
}

}  // namespace ferrotunnel::http
