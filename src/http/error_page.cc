#include "http/error_page.h"

#include <array>
#include <cstddef>

#include "http/escape.h"
#include "http/grpc.h"
#include "http/head_writer.h"
#include "http/page_template.h"

namespace ferrotunnel::http {
namespace {

// What the person in front of the page wants to know first: is it me?
std::string_view whose_fault(FaultSide side) {
  switch (side) {
    case FaultSide::Visitor: return "The request could not be accepted.";
    case FaultSide::Server: return "The tunnel server could not handle the request.";
    case FaultSide::Tunnel: return "The tunnel to the service is not available.";
    case FaultSide::Origin: return "The tunnel works; the service behind it does not answer as it should.";
  }
  return {};
}

constexpr std::string_view kPageBegin =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
constexpr std::string_view kPageStyle =
    "</title>\n<style>\n"
    ":root{color-scheme:light dark}\n"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:14vh auto 0;padding:0 1.5rem}\n"
    "h1{font-size:1.6rem;margin:0 0 .4rem}h1 b{color:#c2410c}\n"
    "ol{display:flex;gap:.4rem;list-style:none;padding:0;margin:1.6rem 0}\n"
    "li{flex:1;text-align:center;padding:.45rem 0;border-top:3px solid #8886}\n"
    "li.at{border-color:#c2410c;color:#c2410c;font-weight:600}\n"
    "dl{display:grid;grid-template-columns:auto 1fr;gap:.2rem 1rem;font-size:.85rem;opacity:.75}\n"
    "dd{margin:0;overflow-wrap:anywhere;font-family:ui-monospace,monospace}\n"
    "</style>\n</head>\n<body>\n<h1><b>";

void append_row(std::string& out, std::string_view label, std::string_view value) {
  if (value.empty()) return;
  out += "<dt>";
  out += label;
  out += "</dt><dd>";
  append_html(out, value);
  out += "</dd>\n";
}

std::string html_body(const ErrorPage& page) {
  constexpr std::array kSides = {FaultSide::Visitor, FaultSide::Server, FaultSide::Tunnel, FaultSide::Origin};
  const std::string status = std::to_string(page.status);
  const std::string_view phrase = reason_phrase(page.status);
  std::string out;
  out.reserve(2048);
  out.append(kPageBegin).append(status).append(" ").append(phrase).append(kPageStyle);
  out.append(status).append("</b> ").append(phrase).append("</h1>\n<p>");
  append_html(out, whose_fault(page.side));
  out += ' ';
  append_html(out, page.sentence);
  out += "</p>\n<ol>";
  for (const FaultSide side : kSides) {
    out += side == page.side ? "<li class=\"at\">" : "<li>";
    out += side == FaultSide::Visitor ? "you" : side == FaultSide::Origin ? "service" : to_string(side);
    out += "</li>";
  }
  out += "</ol>\n<dl>\n";
  append_row(out, "error", page.slug);
  append_row(out, "host", page.host);
  append_row(out, "request", page.request_id);
  out += "</dl>\n</body>\n</html>\n";
  return out;
}

void append_member(std::string& out, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  out += ',';
  append_json(out, key);
  out += ':';
  append_json(out, value);
}

std::string json_body(const ErrorPage& page) {
  std::string out = "{\"error\":{\"status\":" + std::to_string(page.status);
  append_member(out, "code", page.slug);
  append_member(out, "side", to_string(page.side));
  append_member(out, "message", page.sentence);
  append_member(out, "host", page.host);
  append_member(out, "request_id", page.request_id);
  out += "}}\n";
  return out;
}

std::string text_body(const ErrorPage& page) {
  std::string out = std::to_string(page.status);
  out.append(" ").append(reason_phrase(page.status)).append(": ");
  append_text(out, page.sentence);
  out.append(" [").append(to_string(page.side)).append(": ");
  append_text(out, page.slug);
  if (!page.request_id.empty()) {
    out += ", request ";
    append_text(out, page.request_id);
  }
  out += "]\n";
  return out;
}

std::string_view content_type(PageFormat format) {
  switch (format) {
    case PageFormat::Text: return "text/plain; charset=utf-8";
    case PageFormat::Json: return "application/json";
    case PageFormat::Html: return "text/html; charset=utf-8";
  }
  return {};
}

std::string body_of(const ErrorPage& page, PageFormat format) {
  switch (format) {
    case PageFormat::Text: return text_body(page);
    case PageFormat::Json: return json_body(page);
    case PageFormat::Html: return html_body(page);
  }
  return {};
}

}  // namespace

std::string_view to_string(FaultSide side) {
  switch (side) {
    case FaultSide::Visitor: return "visitor";
    case FaultSide::Server: return "server";
    case FaultSide::Tunnel: return "tunnel";
    case FaultSide::Origin: return "origin";
  }
  return "server";
}

std::string make_error_response(const ErrorPage& page) {
  if (is_grpc_web(page.asked_type)) return make_grpc_error_response(page);
  constexpr std::size_t kFixedRoom = 768;
  const PageFormat format = preferred_format(page.accept);
  const PageTemplate* own = page.templates == nullptr ? nullptr : page.templates->find(page.status, format);
  std::string body = own == nullptr ? std::string() : own->render(page);
  const bool built_in = body.empty();
  if (built_in) body = body_of(page, format);
  std::string out;
  HeadWriter::append(out,
                     kFixedRoom + page.slug.size() + page.request_id.size() + page.hsts.size() + page.date.size() +
                         page.more.size() + body.size(),
                     [&](HeadWriter& writer) {
                       writer.put("HTTP/1.1 ");
                       writer.put_number(page.status);
                       writer.put(' ');
                       writer.put(reason_phrase(page.status));
                       writer.put("\r\n");
                       if (!page.date.empty()) writer.field("Date", page.date);
                       writer.field("Content-Type", content_type(format));
                       writer.framing(Framing::of_length(body.size()));
                       writer.field("Cache-Control", "no-store");
                       writer.field("Vary", "Accept");
                       writer.field("X-Content-Type-Options", "nosniff");
                       if (built_in && format == PageFormat::Html)
                         writer.field("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
                       writer.clean_field("Ferrotunnel-Error", page.slug);
                       writer.field("Ferrotunnel-Side", to_string(page.side));
                       if (!page.request_id.empty()) writer.clean_field("X-Request-Id", page.request_id);
                       if (!page.hsts.empty()) writer.clean_field("Strict-Transport-Security", page.hsts);
                       if (page.retry_after != 0) {
                         writer.put("Retry-After: ");
                         writer.put_number(page.retry_after);
                         writer.put("\r\n");
                       }
                       writer.put(page.more);
                       writer.connection(page.keep_alive, page.visitor_minor);
                       writer.put("\r\n");
                       if (!page.head_request) writer.put(body);
                     });
  return out;
}

}  // namespace ferrotunnel::http
