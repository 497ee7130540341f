#include "http/https_redirect.h"

#include "http/head_writer.h"

namespace ferrotunnel::http {

std::string make_https_redirect(const HttpsRedirect& redirect) {
  constexpr std::size_t kFixedRoom = 256;
  constexpr std::uint16_t kDefaultPort = 443;
  const std::string_view target = redirect.path_and_query;
  std::string out;
  HeadWriter::append(
      out, kFixedRoom + redirect.host.size() + target.size() + redirect.request_id.size() + redirect.date.size(),
      [&](HeadWriter& writer) {
        writer.put("HTTP/1.1 308 Permanent Redirect\r\nLocation: https://");
        writer.put_clean(redirect.host);
        if (redirect.port != kDefaultPort) {
          writer.put(':');
          writer.put_number(redirect.port);
        }
        // absolute-form may end at the authority or go on with the query.
        if (!target.starts_with('/')) writer.put('/');
        writer.put_clean(target);
        writer.put("\r\n");
        if (!redirect.date.empty()) writer.field("Date", redirect.date);
        writer.framing(Framing::of_length(0));
        if (!redirect.request_id.empty()) writer.clean_field("X-Request-Id", redirect.request_id);
        writer.connection(redirect.keep_alive, redirect.visitor_minor);
        writer.put("\r\n");
      });
  return out;
}

}  // namespace ferrotunnel::http
