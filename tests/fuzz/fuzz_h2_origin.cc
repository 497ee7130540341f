// Services that speak HTTP/2: a request of HTTP/1.1 means the same when it has become HTTP/2, an answer of HTTP/2 the same when it has become
// HTTP/1.1, and whatever frames a service sends, what comes of them are whole heads and payload.
//
// Input: a byte, then bytes. Its lowest two bits say what these are: 0 a request's head as text; 1 a response's fields (lines of name NUL value
// LF); else frames that a service sends behind its SETTINGS, in pieces as long as the other bits say.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/body.h"
#include "http/h1_head.h"
#include "http/h2/h2_client.h"

namespace {

using namespace ferrotunnel;
using namespace ferrotunnel::http;

constexpr Limits kRoomy{.head_bytes = 1 << 20, .fields = 1000, .target_bytes = 1 << 16, .method_bytes = 1 << 16};

void check(bool holds) {
  if (!holds) std::abort();
}

bool of_the_hop(const RequestHead& head, const Field& field) {
  switch (field.id) {
    case FieldId::Connection:
    case FieldId::Host:
    case FieldId::Http2Settings:
    case FieldId::KeepAlive:
    case FieldId::ProxyConnection:
    case FieldId::Te:
    case FieldId::TransferEncoding:
    case FieldId::Upgrade: return true;
    default: break;
  }
  if (is_websocket(head) && iequals(field.name, "sec-websocket-key")) return true;
  for (const Field& other : head.fields)
    if (other.id == FieldId::Connection && list_has(other.value, field.name)) return true;
  return false;
}

// Our own reader of visitors' requests is the model of what a service reads.
void try_request(std::string_view text) {
  RequestHead head;
  const Parse parsed = parse_request_head(text, {}, head);
  // As forwarding writes it: HTTP/1.1 in origin-form.
  if (!parsed.done() || head.minor == 0 || head.authority.empty() || head.form == TargetForm::Absolute) return;
  // The model joins crumbs, and takes none that leaves a space at an end.
  for (const Field& field : head.fields)
    if (iequals(field.name, "cookie") && field.value.empty()) return;
  H2Fields fields;
  fields.set_request(head, "http");
  H2Block block;
  for (const H2Fields::Line& line : fields.lines()) block.add(line.name, line.value, kRoomy);
  RequestHead read;
  const bool end = head.framing.empty() && !is_websocket(head);
  const H2Read result = read_h2_request(block, kRoomy, end, read);
  check(result.status == H2Read::Status::Good);
  check(read.method_text == head.method_text && read.path_and_query == head.path_and_query);
  check(read.authority == head.authority && read.upgrade == is_websocket(head));
  if (head.framing.kind == Framing::Kind::Length || !end) check(read.upgrade || read.framing == head.framing);
  std::vector<std::string_view> values;
  for (const Field& field : head.fields)
    if (!of_the_hop(head, field) && !iequals(field.name, "cookie")) values.push_back(field.value);
  std::size_t at = 0;
  for (const Field& field : read.fields) {
    if (field.id == FieldId::Te) check(field.value == "trailers");
    if (field.id == FieldId::Te || field.name == "cookie") continue;
    check(at < values.size() && values[at++] == field.value);
  }
  check(at == values.size());
}

void check_head(std::string_view text, const H2Asked& asked, const H2Answer& answer) {
  RequestContext context;
  context.head = asked.head;
  context.connect = asked.connect;
  context.upgrade_protocol = asked.ws_accept.empty() ? "" : "websocket";
  ResponseHead head;
  const Parse parsed = parse_response_head(text, kRoomy, context, head);
  check(parsed.done() && parsed.consumed == text.size());
  check(head.status == (answer.switched && !asked.connect ? 101 : answer.status) && head.upgrade == answer.switched);
  check(head.interim() == answer.interim);
  if (answer.switched || answer.interim) return;
  check((head.framing.kind == Framing::Kind::Chunked) == answer.chunked);
  check(head.framing.kind != Framing::Kind::UntilClose && head.keep_alive);
  check(head.fields.find(FieldId::Upgrade) == nullptr && head.fields.find(FieldId::KeepAlive) == nullptr);
}

void try_response(std::string_view lines, bool head, bool websocket, bool connect, bool end) {
  H2Block block;
  std::size_t fields = 0;
  bool lengths_agree = true;
  while (!lines.empty()) {
    const std::size_t line_end = lines.find('\n');
    const std::string_view line = lines.substr(0, line_end);
    lines = line_end == std::string_view::npos ? std::string_view{} : lines.substr(line_end + 1);
    const std::size_t nul = line.find('\0');
    const std::string_view value = nul == std::string_view::npos ? std::string_view{} : line.substr(nul + 1);
    block.add(line.substr(0, nul), value, {});
    // More than 2^63-1 is for nghttp2 to refuse, which is not here.
    if (line.substr(0, nul) == "content-length" && value.size() > 18) lengths_agree = false;
    ++fields;
  }
  if (!lengths_agree) return;
  std::string out = "before";
  const H2Asked asked{head, websocket ? "accept" : "", connect};
  const H2Answer answer = append_h2_response(block, {}, asked, end, out);
  check(out.starts_with("before"));
  if (answer.malformed) return check(out == "before");
  check(fields >= 1);
  check_head(std::string_view(out).substr(6), asked, answer);
}

struct Asker final : H2Asker {
  [[nodiscard]] Piece pull(MutBytes into) override {
    const std::size_t n = std::min<std::size_t>(left, into.size());
    std::fill_n(into.begin(), n, std::byte{'x'});
    left -= n;
    return {n, left == 0, {}};
  }
  [[nodiscard]] H2Asked asked() const override { return {head, {}}; }
  void on_head(std::string_view text, const H2Answer& answer, bool) override {
    check(!over && !final);
    check_head(text, asked(), answer);
    final = !answer.interim;
  }
  void on_body(ConstBytes bytes) override {
    check(final && !over);
    client->consumed(id, bytes.size());
    client->consumed_connection(bytes.size());
  }
  void on_response_end(std::string_view trailers) override {
    check(final && !over);
    over = true;
    if (trailers.empty()) return;
    BodyFramer framer(Framing::chunked(), kRoomy);
    const std::string text = "0\r\n" + std::string(trailers) + "\r\n";
    check(framer.feed(text).done);
  }
  void on_closed(H2Code, bool) override {
    check(!closed);
    closed = true;
  }

  H2Client* client = nullptr;
  std::int32_t id = 0;
  std::size_t left = 40'000;
  bool head = false, final = false, over = false, closed = false;
};

void try_frames(std::string_view frames, std::size_t piece) {
  const H2Limits limits;
  const Limits heads;
  H2Client client(limits, heads);
  std::vector<std::unique_ptr<Asker>> askers;
  for (const std::string_view text : {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
                                      "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    RequestHead head;
    check(parse_request_head(text, {}, head).done());
    askers.push_back(std::make_unique<Asker>());
    askers.back()->client = &client;
    askers.back()->head = head.method == Method::Head;
    askers.back()->id = client.submit(head, "http", head.framing.empty(), *askers.back()).value_or(0);
  }
  std::vector<std::byte> out(2 * H2Client::kFrameRoom);
  const auto drain = [&] {
    while (client.produce(out) > 0) {
    }
  };
  drain();
  constexpr std::string_view kSettings("\0\0\0\4\0\0\0\0\0", 9);
  client.feed(as_bytes(kSettings), {});
  for (std::size_t at = 0; at < frames.size() && !client.ended(); at += piece) {
    client.feed(as_bytes(frames.substr(at, piece)), {});
    drain();
  }
  check(client.streams() <= askers.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned how = data[0];
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (how & 3) {
    case 0: try_request(rest); break;
    case 1: try_response(rest, (how & 4) != 0, (how & 8) != 0, (how & 40) == 32, (how & 16) != 0); break;
    default: try_frames(rest, 1 + (how >> 2));
  }
  return 0;
}
