// What decoding costs: a frame header, a registration, a request head.
#include <benchmark/benchmark.h>

#include <array>
#include <string>

#include "http/h1_head.h"
#include "wire/control.h"
#include "wire/frame.h"

namespace ferrotunnel {
namespace {

void frame_header(benchmark::State& state) {
  std::array<std::byte, wire::kHeaderSize> bytes{};
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
  for (auto _ : state) benchmark::DoNotOptimize(wire::decode(text));
}
BENCHMARK(control_register);

// As a browser sends it: about 500 bytes, 9 fields.
void http_request_head(benchmark::State& state) {
  const std::string head =
      "GET /assets/app.js?v=1234 HTTP/1.1\r\nHost: app.example.com\r\nConnection: keep-alive\r\n"
      "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 "
      "Safari/537.36\r\n"
      "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
      "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n"
      "Cookie: session=0123456789abcdef0123456789abcdef\r\nReferer: http://app.example.com/\r\nCache-Control: "
      "no-cache\r\n\r\n";
  const http::Limits limits;
  http::HeadScanner scanner;
  http::RequestHead request;
  for (auto _ : state) {
    const http::Parse parsed = http::parse_request_head(head, limits, scanner, request);
    if (!parsed.done()) return state.SkipWithError("the head is refused");
    benchmark::DoNotOptimize(request);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * head.size()));
}
BENCHMARK(http_request_head);

}  // namespace
}  // namespace ferrotunnel
