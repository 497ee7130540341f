// What this server says itself to a request that has no exchange.
#include "http/https_redirect.h"
#include "http/last_hop.h"
#include "ingress/http1/visitor_connection.h"

namespace ferrotunnel::ingress {

VisitorConnection::Next VisitorConnection::answer(const Failure& failure, std::size_t head_bytes, bool understood,
                                                  const TunnelKey& tunnel, std::optional<Refusal> refused) {
  const http::RequestHead& head = context_.request;
  const RequestId id = context_.next_id();
  const std::string_view host =
      understood ? (head.host.empty() ? std::string_view{} : std::string_view(context_.host_name)) : "";
  const std::string sentence = sentence_of(failure, host);
  http::ErrorPage page = page_of(failure, sentence, host);
  page.request_id = id.text();
  page.hsts = hsts();
  page.date = context_.date();
  page.templates = context_.pages.get();
  if (understood) {
    page.accept = head.fields.value(http::FieldId::Accept);
    page.asked_type = head.fields.value("content-type");
    page.head_request = head.method == http::Method::Head;
    // Where the server itself is short of something, a connection less helps.
    page.keep_alive =
        head.keep_alive && head.framing.empty() && !context_.draining && failure.side != http::FaultSide::Server;
    page.visitor_minor = head.minor;
  }
  RequestRecord record;
  if (understood) {
    record.method = head.method_text;
    record.host = host;
    record.path = head.path;
  }
  record.request_id = id.text();
  record.status = failure.status;
  record.bytes_in = understood ? head_bytes : socket_.input().size();
  record.slug = failure.slug;
  record.side = failure.side;
  record.session = tunnel.session;
  record.tunnel = tunnel.tunnel;
  record.refused = refused;
  ++context_.stats.errors;
  return told(http::make_error_response(page), record, head_bytes, page.keep_alive);
}

// Of the request in the context, which was understood.
RequestRecord VisitorConnection::record_of(const RequestId& id, std::size_t head_bytes) const {
  const http::RequestHead& head = context_.request;
  RequestRecord record;
  record.method = head.method_text;
  record.host = context_.host_name;
  record.path = head.path;
  record.request_id = id.text();
  record.bytes_in = head_bytes;
  return record;
}

// Sends an answer of ours and says so.
VisitorConnection::Next VisitorConnection::told(std::string_view text, RequestRecord& record, std::size_t head_bytes,
                                                bool keep_alive) {
  rules_.reset();  // of a request that has waited
  const std::uint64_t before = socket_.written();
  socket_.send(text, {});
  record.bytes_out = socket_.written() - before;
  record.visitor = peer_;
  context_.host.on_request(record);
  socket_.consume(head_bytes);
  return keep_alive ? Next::Again : close(true);
}

VisitorConnection::Next VisitorConnection::redirect(std::size_t head_bytes) {
  const http::RequestHead& head = context_.request;
  const RequestId id = context_.next_id();
  http::HttpsRedirect to;
  to.host = context_.host_name;
  to.port = context_.https.port;
  to.path_and_query = head.form == http::TargetForm::Asterisk ? std::string_view{} : head.path_and_query;
  to.request_id = id.text();
  to.date = context_.date();
  to.keep_alive = head.keep_alive && head.framing.empty() && !context_.draining;
  to.visitor_minor = head.minor;
  RequestRecord record = record_of(id, head_bytes);
  record.status = http::kPermanentRedirect;
  ++context_.stats.redirects;
  return told(http::make_https_redirect(to), record, head_bytes, to.keep_alive);
}

VisitorConnection::Next VisitorConnection::answer_options(std::size_t head_bytes, const TunnelKey& tunnel) {
  const http::RequestHead& head = context_.request;
  const RequestId id = context_.next_id();
  http::OwnOptions own;
  own.request_id = id.text();
  own.date = context_.date();
  own.hsts = hsts();
  own.keep_alive = head.keep_alive && head.framing.empty() && !context_.draining;
  own.visitor_minor = head.minor;
  RequestRecord record = record_of(id, head_bytes);
  record.status = http::kNoContent;
  record.session = tunnel.session;
  record.tunnel = tunnel.tunnel;
  return told(http::make_own_options(own), record, head_bytes, own.keep_alive);
}

}  // namespace ferrotunnel::ingress
