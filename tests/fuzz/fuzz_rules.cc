// Rules and paths from outside. The first line is a path: its one spelling is stable, stays below the root, and is matched by no prefix that it does
// not spell. The rest, one setting a line ("rule setting value"), makes a chain or is refused; what makes one runs on a request for that path, and
// what goes on parses as the one request that it is.
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "http/forward.h"
#include "http/h1_head.h"
#include "http/path.h"
#include "plugin/builtin/rules.h"

namespace {

using namespace ferrotunnel;

void require(bool so) {
  if (!so) std::abort();
}

std::string_view word(std::string_view& text, char end) {
  const std::string_view first = text.substr(0, text.find(end));
  text.remove_prefix(std::min(text.size(), first.size() + 1));
  return first;
}

void check_path(std::string_view path) {
  std::string once, twice;
  if (http::normalise_path(path, once) != http::PathFault::None) return require(once.empty());
  require(once.starts_with('/') && once.size() <= path.size() + 1);
  require(http::normalise_path(once, twice) == http::PathFault::None && twice == once);
  require(!once.contains("//") && !once.contains("/../") && !once.contains("/./") && !once.ends_with("/.."));
  require(http::path_prefix(once, "") == 0u);
  if (const auto prefix = http::normalise_prefix(path)) require(http::path_prefix(once, *prefix).has_value());
}

std::vector<plugin::RuleText> read_rules(std::string_view text) {
  std::vector<plugin::RuleText> rules;
  while (!text.empty() && rules.size() <= plugin::kMaxRules) {
    std::string_view line = word(text, '\n');
    const std::string_view name = word(line, ' ');
    const std::string_view setting = word(line, ' ');
    if (rules.empty() || rules.back().name != name) rules.emplace_back().name = name;
    plugin::RuleText& rule = rules.back();
    if (setting == "paths") {
      rule.paths.emplace_back(line);
    } else if (setting == "methods") {
      rule.methods.emplace_back(line);
    } else if (setting == "headers") {
      rule.headers.emplace_back(line);
    } else {
      rule.settings.emplace_back(setting, line);
    }
  }
  return rules;
}

struct Nobody final : plugin::Waiter {
  void resume() override {}
};

void check_forwarded(const http::RequestHead& head, std::string_view host) {
  std::string out;
  http::ForwardContext forward;
  forward.host_rewrite = host;
  http::append_request_head(out, head, forward);
  http::RequestHead again;
  const auto parsed = http::parse_request_head(out, {1 << 20, 10'000, 1 << 20}, again);
  require(parsed.done() && parsed.consumed == out.size());
  require(again.method_text == head.method_text && again.path_and_query == head.path_and_query);
  require(again.framing == head.framing);
}

// Whatever it is made of, and in which steps, it fits.
void transform(plugin::Transform& transform, std::string_view text) {
  using Until = plugin::Transform::Until;
  std::vector<std::byte> room(plugin::Transform::kMostOut);
  const auto step = [&](std::string_view piece, Until until) {
    const auto made = transform.run(as_bytes(piece), room, until);
    require(made && *made <= room.size());
  };
  for (int i = 0; i < 40; ++i) {
    const std::string_view rest = text.substr(std::min<std::size_t>(text.size(), static_cast<std::size_t>(i)));
    step(rest.substr(0, plugin::Transform::kMostIn), rest.size() % 5 == 0 ? Until::Pause : Until::More);
  }
  step({}, Until::End);
}

void run(const plugin::ChainPtr& chain, std::string_view path) {
  const std::string text =
      "GET /" + std::string(path) +
      " HTTP/1.1\r\nHost: a.test\r\nOrigin: https://b.test\r\nX-A: 1\r\nAccept-Encoding: br;q=0.5, gzip\r\n\r\n";
  http::RequestHead head;
  if (!http::parse_request_head(text, {}, head).done()) return;
  std::string storage;
  if (chain->looks_at_paths() && http::normalise_path(head, storage) != http::PathFault::None) return;
  plugin::ChainRun run(chain);
  const plugin::RequestInfo info{"192.0.2.1", 1, "http", "a.test", "0123456789abcdef"};
  plugin::Scratch scratch;
  const plugin::WaiterPtr waiter = std::make_shared<Nobody>();
  plugin::RequestView view{info, head, head.path_and_query, {}, {}, scratch, waiter};
  switch (run.on_request_head(view)) {
    case plugin::Verdict::Pass: check_forwarded(head, view.host); break;
    case plugin::Verdict::Answer:
      require(view.reply.status >= 200 && view.reply.status <= 599);
      for (const http::Field& field : view.reply.fields)
        require(http::is_token(field.name) && http::all(field.value, http::kValueByte));
      break;
    case plugin::Verdict::Wait: std::abort();  // there is no worker
  }
  plugin::Reply reply;
  (void)run.on_request_body(as_bytes(path), reply);
  const std::string answer =
      "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/plain\r\nETag: \"a\"\r\nContent-Length: 9999\r\n\r\n";
  http::ResponseHead response;
  require(http::parse_response_head(answer, {}, {}, response).done());
  plugin::ResponseView seen{info, response, scratch, true, nullptr};
  scratch.clear();
  if (!run.on_response_head(seen)) return;  // too much text
  if (seen.transform != nullptr) transform(*seen.transform, path);
  std::string out;
  (void)http::append_response_head(out, response, {});
  http::ResponseHead again;
  require(http::parse_response_head(out, {1 << 20, 10'000, 1 << 20}, {}, again).done());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string_view path = word(text, '\n');
  check_path(path);
  const auto chain = plugin::make_chain(read_rules(text), {});
  if (!chain) {
    require(chain.error().code == ErrorCode::BadInput && !chain.error().context.empty());
  } else if (*chain != nullptr) {
    run(*chain, path);
  }
  return 0;
}
