#include "http/last_hop.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "http/chars.h"
#include "http/head_writer.h"

namespace ferrotunnel::http {

std::optional<std::uint64_t> forwards_left(std::string_view value) {
  if (value.empty() || !all(value, kDigitByte)) return std::nullopt;
  std::uint64_t number = 0;
  const auto read = std::from_chars(value.data(), value.data() + value.size(), number);
  return read.ec == std::errc() ? number : std::numeric_limits<std::uint64_t>::max();
}

bool ends_here(const RequestHead& head) {
  return counts_forwards(head.method) && std::ranges::any_of(head.fields, [](const Field& field) {
           return iequals(field.name, "max-forwards") && forwards_left(field.value) == 0U;
         });
}

std::string make_own_options(const OwnOptions& options) {
  constexpr std::size_t kFixedRoom = 256;
  std::string out;
  HeadWriter::append(out, kFixedRoom + options.request_id.size() + options.date.size() + options.hsts.size(),
                     [&](HeadWriter& writer) {
                       writer.put("HTTP/1.1 204 No Content\r\n");
                       if (!options.date.empty()) writer.field("Date", options.date);
                       writer.put("Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
                       if (!options.request_id.empty()) writer.clean_field("X-Request-Id", options.request_id);
                       if (!options.hsts.empty()) writer.clean_field("Strict-Transport-Security", options.hsts);
                       writer.connection(options.keep_alive, options.visitor_minor);
                       writer.put("\r\n");
                     });
  return out;
}

}  // namespace ferrotunnel::http
