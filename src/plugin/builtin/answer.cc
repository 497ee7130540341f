// redirect (to, status) and answer (status, type, body): without asking the origin.
#include <algorithm>
#include <array>

#include "http/chars.h"
#include "plugin/builtin/filters.h"
#include "plugin/text.h"

namespace ferrotunnel::plugin {
namespace {

class Redirect final : public Filter {
 public:
  Redirect(std::uint16_t status, Text to) : status_(status), to_(std::move(to)) {}
  [[nodiscard]] Phases phases() const override { return {Phase::RequestHead}; }
  [[nodiscard]] bool looks_at_paths() const override { return to_.has_path(); }
  [[nodiscard]] Verdict on_request_head(RequestView& request, Slot&) const override {
    request.reply.status = status_;
    request.reply.fields.add("Location", to_.fill_in(request.info, &request, request.scratch));
    return Verdict::Answer;
  }

 private:
  const std::uint16_t status_;
  const Text to_;
};

class Answer final : public Filter {
 public:
  Answer(std::uint16_t status, std::string type, std::string body)
      : status_(status), type_(std::move(type)), body_(std::move(body)) {}
  [[nodiscard]] Phases phases() const override { return {Phase::RequestHead}; }
  [[nodiscard]] Verdict on_request_head(RequestView& request, Slot&) const override {
    request.reply.status = status_;
    request.reply.content_type = type_;
    request.reply.body = body_;
    return Verdict::Answer;
  }

 private:
  const std::uint16_t status_;
  const std::string type_;
  const std::string body_;
};

}  // namespace

Result<FilterPtr> make_redirect(Settings& settings, const Tools&) {
  constexpr std::array<std::uint64_t, 5> kStatuses = {301, 302, 303, 307, 308};
  const auto status = settings.number("status", 302, 999);
  if (!status || std::ranges::find(kStatuses, *status) == kStatuses.end())
    return bad_rule("its status is 301, 302, 303, 307 or 308");
  const std::string said = settings.text("to");
  auto to = Text::parse(said, Text::At::Request);
  if (!to) return bad_rule("to: " + to.error().context);
  // A visitor's text at the beginning could name another site: "//evil.example".
  const bool own_path = said.starts_with('/') && !said.starts_with("//") && !said.starts_with("/$");
  const bool fixed = said.starts_with("http://") || said.starts_with("https://") || said.starts_with("${scheme}://") ||
                     said.starts_with("${request.scheme}://");
  if (!own_path && !fixed && said != "${request.path}" && said != "${path}")
    return bad_rule("to: 'https://HOST…' or '/PATH' is wanted, not '" + said.substr(0, 64) + "'");
  if (said.contains(' ')) return bad_rule("to: a space has no place in a URL");
  return std::make_shared<const Redirect>(static_cast<std::uint16_t>(*status), std::move(*to));
}

Result<FilterPtr> make_answer(Settings& settings, const Tools&) {
  const auto status = settings.number("status", 200, 599);
  if (!status || *status < 200) return bad_rule("its status is 200 to 599");
  std::string body = settings.text("body");
  if ((*status == 204 || *status == 205 || *status == 304) && !body.empty())
    return bad_rule("a response of status " + std::to_string(*status) + " has no body");
  std::string type = settings.has("type") ? settings.text("type") : "text/plain; charset=utf-8";
  if (type.empty() || !http::all(type, http::kValueByte) || !type.contains('/'))
    return bad_rule("'" + type.substr(0, 64) + "' is no content type, such as text/html; charset=utf-8");
  return std::make_shared<const Answer>(static_cast<std::uint16_t>(*status), std::move(type), std::move(body));
}

}  // namespace ferrotunnel::plugin
