// HTTP/2: whatever frames a visitor sends behind a valid preface, each request that comes of them is exactly one of HTTP/1.1, body and all.
//
// Input: a byte that says how long the pieces are, then frames. Bit 7 of it: what follows is no frames but a header block (lines of
// name NUL value LF), which is read twice: as it is, and as a model says (h1_head.h on the same fields).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/body.h"
#include "http/forward.h"
#include "http/h2/h2_server.h"

namespace {

using namespace ferrotunnel;
using namespace ferrotunnel::http;

constexpr Limits kRoomy{.head_bytes = 1 << 20, .fields = 1000, .target_bytes = 1 << 16, .method_bytes = 1 << 16};
constexpr std::size_t kMostSteps = 64;

void check(bool holds) {
  if (!holds) std::abort();
}

// What the origin gets of a request: it has to be one, and nothing behind it.
void check_one(std::string_view sent, const RequestHead& meant) {
  RequestHead head;
  const Parse parse = parse_request_head(sent, kRoomy, head);
  check(parse.done());
  check(head.framing == meant.framing && head.method_text == meant.method_text && head.authority == meant.authority);
  check(head.path_and_query == meant.path_and_query && head.upgrade == meant.upgrade && head.minor == 1);
  check(head.fields.find(FieldId::KeepAlive) == nullptr && head.fields.find(FieldId::Http2Settings) == nullptr);
  if (head.upgrade) return;
  BodyFramer framer(head.framing, kRoomy);
  const std::string_view body = sent.substr(parse.consumed);
  const BodyFramer::Step step = framer.feed(body);
  check(step.error == BodyError::None && step.consumed == body.size());
}

// Takes a request, sends it on as an exchange does, and answers it when it is whole.
class Request final : public H2Stream {
 public:
  Request(H2Server& server, const H2Request& asked) : server_(server), id_(asked.id), framing_(asked.head.framing) {
    append_request_head(sent_, asked.head, {.visitor = "192.0.2.1", .request_id = "id"});
    check_head(asked.head);
    upgrade_ = asked.head.upgrade || asked.head.method == Method::Connect;
    if (asked.end || upgrade_) answer();
  }
  [[nodiscard]] Offer offer() const override { return {left_, left_ <= kStep, trailers_}; }
  void take(MutBytes into) override {
    check(into.size() <= left_);
    std::fill(into.begin(), into.end(), std::byte{'x'});
    left_ -= into.size();
  }
  void on_body(ConstBytes bytes) override {
    check(!over_);
    server_.consumed(id_, bytes.size());
    server_.consumed_connection(bytes.size());
    body_ += bytes.size();
    if (upgrade_) return;
    if (framing_.kind == Framing::Kind::Chunked) {
      char size[20];
      std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
      sent_ += size;
    }
    sent_.append(as_text(bytes));
    if (framing_.kind == Framing::Kind::Chunked) sent_ += "\r\n";
  }
  void on_request_end(std::string_view trailers) override {
    check(!over_);
    over_ = true;
    if (upgrade_) return;
    if (framing_.kind == Framing::Kind::Chunked) sent_.append("0\r\n").append(trailers).append("\r\n");
    if (framing_.kind == Framing::Kind::Length) check(body_ == framing_.length);
    RequestHead head;
    check(parse_request_head(sent_, kRoomy, head).done());
    check_one(sent_, head);
    answer();
  }
  void on_response_sent() override {}
  void on_closed(std::uint32_t) override {
    check(!closed_);
    closed_ = true;
  }

 private:
  static constexpr std::size_t kStep = 100;

  void check_head(const RequestHead& meant) const {
    RequestHead head;
    const Parse parse = parse_request_head(sent_, kRoomy, head);
    check(parse.done() && parse.consumed == sent_.size());
    check(head.framing == meant.framing && head.upgrade == meant.upgrade && head.authority == meant.authority);
  }
  void answer() {
    if (answered_) return;
    answered_ = true;
    static const std::string kHead =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Y: z\r\nConnection: x-y\r\n\r\n";
    ResponseHead head;
    check(parse_response_head(kHead, {}, {}, head).done());
    trailers_ = "X-Sum: 1\r\n\r\n";
    server_.respond(id_, head, false);
    server_.resume(id_);
  }

  H2Server& server_;
  const std::int32_t id_;
  const Framing framing_;
  std::string sent_, trailers_;
  std::size_t left_ = kStep, body_ = 0;
  bool upgrade_ = false, over_ = false, answered_ = false, closed_ = false;
};

class Handler final : public H2Handler {
 public:
  [[nodiscard]] H2Stream* on_request(const H2Request& request) override {
    if (request.refusal != nullptr) return nullptr;
    requests.push_back(std::make_unique<Request>(*server, request));
    return requests.back().get();
  }
  H2Server* server = nullptr;
  std::vector<std::unique_ptr<Request>> requests;
};

void feed_frames(std::string_view frames, std::size_t piece) {
  const H2Limits h2;
  const Limits limits;
  H2Scratch scratch;
  Handler handler;
  H2Server server(h2, limits, scratch, handler);
  handler.server = &server;
  std::vector<std::byte> out(128 * 1024);
  std::string in(kH2Preface);
  in.append("\0\0\0\4\0\0\0\0\0", 9).append(frames);
  std::string_view rest = in;
  TimePoint now{};
  for (std::size_t i = 0; !rest.empty() && !server.over(); ++i) {
    const std::size_t n = i < kMostSteps ? std::min(rest.size(), piece) : rest.size();
    server.feed(as_bytes(rest.substr(0, n)), now);
    rest.remove_prefix(n);
    while (server.wants_write() && server.produce(out) > 0) {
    }
    now += std::chrono::milliseconds(1);
  }
  check(server.streams() <= h2.max_streams + 1);
}

void read_block(std::string_view text) {
  H2Block block;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    const std::size_t nul = line.find('\0');
    block.add(line.substr(0, nul), nul == std::string_view::npos ? std::string_view{} : line.substr(nul + 1), {});
  }
  RequestHead head;
  for (const bool end : {true, false}) {
    if (read_h2_request(block, {}, end, head).status != H2Read::Status::Good) continue;
    std::string sent;
    append_request_head(sent, head, {.visitor = "192.0.2.1", .request_id = "id"});
    RequestHead again;
    const Parse parse = parse_request_head(sent, kRoomy, again);
    check(parse.done() && parse.consumed == sent.size());
    check(again.framing == head.framing && again.authority == head.authority && again.upgrade == head.upgrade);
    check(again.path_and_query == head.path_and_query && again.method_text == head.method_text);
  }
  std::string trailers = "0\r\n";
  if (!append_h2_trailers(block, {}, trailers)) return;
  trailers += "\r\n";
  BodyFramer framer(Framing::chunked());
  const BodyFramer::Step step = framer.feed(trailers);
  check(step.error == BodyError::None && step.done && step.consumed == trailers.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 0x80) != 0) {
    read_block(text);
  } else {
    feed_frames(text, data[0] + std::size_t{1});
  }
  return 0;
}
