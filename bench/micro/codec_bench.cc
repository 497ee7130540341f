// What heads cost to read and to write: a frame, a registration, an HTTP request and its answer.
#include <benchmark/benchmark.h>

#include <array>
#include <string>

#include "allocations.h"
#include "http/forward.h"
#include "http/h1_head.h"
#include "wire/control.h"
#include "wire/frame.h"

namespace ferrotunnel {
namespace {

using bench::CountAllocations;

void frame_header(benchmark::State& state) {
  std::array<std::byte, wire::kHeaderSize> bytes{};
  const CountAllocations count(state);
  for (auto _ : state) {
    wire::encode_header({wire::FrameType::Data, wire::kFlagFin, 65'536, 2}, bytes.data());
    benchmark::ClobberMemory();
    benchmark::DoNotOptimize(wire::decode_header(bytes));
  }
}
BENCHMARK(frame_header);

void control_register(benchmark::State& state) {
  wire::Register message;
  message.req = 1;
  message.name = "web";
  message.proto = wire::TunnelProto::Http;
  message.host = "app.example.com";
  const std::string text = wire::encode(message);
  const CountAllocations count(state);
  for (auto _ : state) benchmark::DoNotOptimize(wire::decode(text));
}
BENCHMARK(control_register);

// As a browser sends it: about 500 bytes, 9 fields.
constexpr std::string_view kRequest =
    "GET /assets/app.js?v=1234 HTTP/1.1\r\nHost: app.example.com\r\nConnection: keep-alive\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 "
    "Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef\r\nReferer: http://app.example.com/\r\nCache-Control: "
    "no-cache\r\n\r\n";
// As a small service answers.
constexpr std::string_view kResponse =
    "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT\r\nContent-Type: text/plain\r\n"
    "Content-Length: 128\r\nLast-Modified: Tue, 24 Nov 2026 09:00:00 GMT\r\nConnection: keep-alive\r\n"
    "ETag: \"65c0b2a0-80\"\r\nAccept-Ranges: bytes\r\n\r\n";

void http_request_head(benchmark::State& state) {
  const http::Limits limits;
  http::HeadScanner scanner;
  http::RequestHead request;
  if (!http::parse_request_head(kRequest, limits, scanner, request).done()) return state.SkipWithError("it is refused");
  {
    const CountAllocations count(state);
    for (auto _ : state) {
      benchmark::DoNotOptimize(http::parse_request_head(kRequest, limits, scanner, request));
      benchmark::DoNotOptimize(request);
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kRequest.size()));
}
BENCHMARK(http_request_head);

void http_response_head(benchmark::State& state) {
  const http::Limits limits;
  http::HeadScanner scanner(http::HeadScanner::Kind::Response);
  http::ResponseHead response;
  if (!http::parse_response_head(kResponse, limits, scanner, {}, response).done())
    return state.SkipWithError("it is refused");
  {
    const CountAllocations count(state);
    for (auto _ : state) {
      benchmark::DoNotOptimize(http::parse_response_head(kResponse, limits, scanner, {}, response));
      benchmark::DoNotOptimize(response);
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kResponse.size()));
}
BENCHMARK(http_response_head);

// The two heads that go on: what a request and its answer cost to be written anew.
void http_forward_heads(benchmark::State& state) {
  const http::Limits limits;
  http::RequestHead request;
  http::ResponseHead response;
  if (!http::parse_request_head(kRequest, limits, request).done() ||
      !http::parse_response_head(kResponse, limits, http::context_of(request), response).done())
    return state.SkipWithError("it is refused");
  http::ForwardContext context;
  context.visitor = "192.0.2.7";
  context.request_id = "0123456789abcdef";
  http::ResponseContext back;
  back.request_id = context.request_id;
  std::string out;
  out.reserve(4096);
  const CountAllocations count(state);
  for (auto _ : state) {
    out.clear();
    http::append_request_head(out, request, context);
    benchmark::DoNotOptimize(http::append_response_head(out, response, back));
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(http_forward_heads);

}  // namespace
}  // namespace ferrotunnel
