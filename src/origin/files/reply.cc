#include "origin/files/reply.h"

#include <cerrno>

#include "http/date.h"
#include "http/error_page.h"
#include "origin/files/conditional.h"
#include "origin/files/content_type.h"
#include "origin/files/index.h"
#include "origin/files/path.h"

namespace ferrotunnel::origin::files {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::uint16_t status_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV:
    case ENXIO:
    case ENODEV:
    case EINVAL:
    case ENAMETOOLONG: return 404;
    case EACCES:
    case EPERM: return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN: return 503;
    default: return 500;
  }
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

// Writes one reply; every way of answering ends here.
class Writer {
 public:
  Writer(const http::RequestHead* request, std::int64_t now_ns, bool close)
      : request_(request), now_(now_ns / kSecond), close_(close) {}

  void begin(std::uint16_t status) {
    std::string& out = reply_.text;
    out.reserve(512);
    out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ").append(http::reason_phrase(status));
    out += "\r\nDate: ";
    http::append_date(out, now_);
    out += "\r\n";
  }
  void field(std::string_view name, std::string_view value) { append_field(reply_.text, name, value); }
  void validators(const Validators& validators) {
    reply_.text += "Last-Modified: ";
    http::append_date(reply_.text, validators.modified);
    reply_.text += "\r\n";
    field("ETag", validators.etag);
  }
  void length(std::uint64_t length) { field("Content-Length", std::to_string(length)); }

  // Ends the head.
  Reply end() {
    if (close_) {
      field("Connection", "close");
    } else if (request_ != nullptr && request_->minor == 0) {
      field("Connection", "keep-alive");
    }
    reply_.text += "\r\n";
    return std::move(reply_);
  }
  Reply end(std::string_view type, std::string_view body) {
    field("Content-Type", type);
    length(body.size());
    Reply reply = end();
    if (!head_only()) reply.text += body;
    return reply;
  }
  // With a line that says no more than the status.
  Reply end(std::uint16_t status) {
    std::string body = std::to_string(status);
    body.append(" ").append(http::reason_phrase(status)).append("\n");
    return end("text/plain; charset=utf-8", body);
  }
  Reply plain(std::uint16_t status) {
    begin(status);
    return end(status);
  }
  [[nodiscard]] bool head_only() const { return request_ != nullptr && request_->method == http::Method::Head; }
  [[nodiscard]] std::int64_t now() const { return now_; }

 private:
  const http::RequestHead* request_;
  const std::int64_t now_;
  const bool close_;
  Reply reply_;
};

Reply file_reply(Writer& writer, const http::RequestHead& request, std::string_view path, OpenedFile file,
                 std::int64_t now_ns) {
  const Validators validators = validators_of({file.inode, file.size, file.modified_ns}, now_ns);
  const Verdict verdict = judge(request, validators, file.size, writer.now());
  writer.begin(verdict.status);
  writer.validators(validators);
  if (verdict.status == 304) return writer.end();
  writer.field("Accept-Ranges", "bytes");
  if (verdict.status == 416) writer.field("Content-Range", "bytes */" + std::to_string(file.size));
  if (verdict.status >= 400) return writer.end(verdict.status);
  if (verdict.status == 206) {
    writer.field("Content-Range", "bytes " + std::to_string(verdict.first) + "-" +
                                      std::to_string(verdict.first + verdict.length - 1) + "/" +
                                      std::to_string(file.size));
  }
  writer.field("Content-Type", content_type(path));
  writer.length(verdict.length);
  Reply reply = writer.end();
  if (writer.head_only() || verdict.length == 0) return reply;
  reply.file = std::move(file.fd);
  reply.offset = verdict.first;
  reply.left = verdict.length;
  return reply;
}

Reply directory_reply(Writer& writer, const Root& root, const http::RequestHead& request, const std::string& path,
                      OpenedFile directory, std::int64_t now_ns) {
  const std::string index = path.empty() ? "index.html" : path + "/index.html";
  OpenResult page = root.find(index);
  if (page && !page->directory) return file_reply(writer, request, index, std::move(*page), now_ns);
  // One that is there and cannot be read is not made up for by a list of what lies beside it.
  if (!page && status_of(page.error()) != 404) return writer.plain(status_of(page.error()));
  const std::string listing = listing_page(path, read_listing(root, path, std::move(directory)));
  writer.begin(200);
  writer.field("Cache-Control", "no-cache");
  writer.field("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
  return writer.end("text/html; charset=utf-8", listing);
}

// The target as it was sent, so that what is encoded stays so. It begins with one slash and a name: no other host can be meant.
Reply redirect(Writer& writer, const http::RequestHead& request) {
  std::string location(request.path);
  location += '/';
  if (request.path.size() < request.path_and_query.size()) location.append("?").append(request.query);
  writer.begin(301);
  writer.field("Location", location);
  return writer.end(301);
}

Reply fetch(Writer& writer, const Root& root, const http::RequestHead& request, std::int64_t now_ns) {
  // In absolute-form the path may be missing.
  const auto path = relative_path(request.path.empty() ? "/" : request.path);
  if (!path) return writer.plain(path.error());
  OpenResult found = root.find(path->path);
  if (!found) return writer.plain(status_of(found.error()));
  if (!found->directory && path->directory) return writer.plain(404);
  if (!found->directory) return file_reply(writer, request, path->path, std::move(*found), now_ns);
  if (!path->directory) return redirect(writer, request);
  return directory_reply(writer, root, request, path->path, std::move(*found), now_ns);
}

}  // namespace

Reply make_reply(const Root& root, const http::RequestHead& request, std::int64_t now_ns, bool close) {
  constexpr std::string_view kAllow = "GET, HEAD, OPTIONS";
  Writer writer(&request, now_ns, close);
  switch (request.method) {
    case http::Method::Get:
    case http::Method::Head:
      if (request.form == http::TargetForm::Asterisk) return writer.plain(400);
      return fetch(writer, root, request, now_ns);
    case http::Method::Options:
      writer.begin(204);
      writer.field("Allow", kAllow);
      return writer.end();
    default:
      writer.begin(405);
      writer.field("Allow", kAllow);
      return writer.end(405);
  }
}

Reply make_refusal(const http::Refusal& refusal, std::int64_t now_ns) {
  Writer writer(nullptr, now_ns, true);
  writer.begin(refusal.status);
  return writer.end("text/plain; charset=utf-8", std::string(refusal.sentence) + "\n");
}

}  // namespace ferrotunnel::origin::files
