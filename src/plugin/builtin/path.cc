// strip_prefix, add_prefix (prefix); host (host): what the origin is asked for.
#include "http/path.h"
#include "http/host.h"
#include "plugin/builtin/filters.h"

namespace ferrotunnel::plugin {
namespace {

// "*", and CONNECT.
bool has_no_path(const http::RequestHead& head) {
  return head.path_and_query == "*" || head.form == http::TargetForm::Authority;
}

class StripPrefix final : public Filter {
 public:
  explicit StripPrefix(std::string prefix) : prefix_(std::move(prefix)) {}
  [[nodiscard]] Phases phases() const override { return {Phase::RequestHead}; }
  [[nodiscard]] bool looks_at_paths() const override { return true; }
  [[nodiscard]] Verdict on_request_head(RequestView& request, Slot&) const override {
    if (has_no_path(request.head)) return Verdict::Pass;
    const auto length = http::path_prefix(request.head.path, prefix_);
    if (!length) return Verdict::Pass;
    const std::string_view rest = request.head.path.substr(*length);
    request.set_path(rest.empty() ? std::string_view("/") : rest);
    return Verdict::Pass;
  }

 private:
  const std::string prefix_;
};

class AddPrefix final : public Filter {
 public:
  explicit AddPrefix(std::string prefix) : prefix_(std::move(prefix)) {}
  [[nodiscard]] Phases phases() const override { return {Phase::RequestHead}; }
  [[nodiscard]] bool looks_at_paths() const override { return true; }
  [[nodiscard]] Verdict on_request_head(RequestView& request, Slot&) const override {
    if (has_no_path(request.head)) return Verdict::Pass;
    request.set_path(prefix_ + std::string(request.head.path));
    return Verdict::Pass;
  }

 private:
  const std::string prefix_;
};

class Host final : public Filter {
 public:
  explicit Host(std::string host) : host_(std::move(host)) {}
  [[nodiscard]] Phases phases() const override { return {Phase::RequestHead}; }
  [[nodiscard]] Verdict on_request_head(RequestView& request, Slot&) const override {
    request.host = host_;
    return Verdict::Pass;
  }

 private:
  const std::string host_;
};

Result<std::string> prefix_of(Settings& settings) {
  const std::string said = settings.text("prefix");
  auto prefix = http::normalise_prefix(said);
  if (!prefix || prefix->empty())
    return bad_rule("'" + said + "' is no prefix of a path: write it as /api, without %2F, ';' and '?'");
  return std::move(*prefix);
}

}  // namespace

Result<FilterPtr> make_strip_prefix(Settings& settings, const Tools&) {
  auto prefix = prefix_of(settings);
  if (!prefix) return std::unexpected(prefix.error());
  return std::make_shared<const StripPrefix>(std::move(*prefix));
}

Result<FilterPtr> make_add_prefix(Settings& settings, const Tools&) {
  auto prefix = prefix_of(settings);
  if (!prefix) return std::unexpected(prefix.error());
  return std::make_shared<const AddPrefix>(std::move(*prefix));
}

Result<FilterPtr> make_host(Settings& settings, const Tools&) {
  std::string host = settings.text("host");
  if (!http::split_authority(host)) return bad_rule("'" + host + "' is no HOST or HOST:PORT");
  return std::make_shared<const Host>(std::move(host));
}

}  // namespace ferrotunnel::plugin
