// A PROXY header read whole and in pieces is the same; what it names is written in both versions and read again.
//
// Input: a byte that says how long the pieces are, then the header and what follows it.
#include <algorithm>
#include <array>
#include <cstdlib>

#include "transport/tcp/proxy_protocol.h"

namespace {

using namespace ferrotunnel;
using transport::PeerAddress;
using transport::ProxyHeaderParser;
using State = transport::ProxyHeaderParser::State;

void check(bool holds) {
  if (!holds) std::abort();
}

struct Reading {
  State state = State::NeedMore;
  std::size_t consumed = 0;
  transport::ProxyHeader header;
};

Reading read(ConstBytes bytes, std::size_t piece) {
  ProxyHeaderParser parser;
  Reading reading;
  while (!bytes.empty() && reading.state == State::NeedMore) {
    const ConstBytes part = bytes.first(std::min(piece, bytes.size()));
    const auto step = parser.feed(part);
    check(step.state == State::NeedMore ? step.consumed == part.size() : step.consumed <= part.size());
    reading.state = step.state;
    reading.consumed += step.consumed;
    bytes = bytes.subspan(part.size());
  }
  check(reading.consumed <= transport::kMaxProxyHeader);
  if (reading.state == State::Invalid) check(!parser.reason().empty());
  if (reading.state == State::Done) reading.header = parser.header();
  return reading;
}

bool same(const PeerAddress& a, const PeerAddress& b) {
  return a.family == b.family && a.port == b.port && a.bytes == b.bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ConstBytes bytes(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  const Reading whole = read(bytes, bytes.size());
  const Reading cut = read(bytes, data[0] + std::size_t{1});
  check(whole.state == cut.state && whole.header.named == cut.header.named);
  if (whole.state != State::Done) return 0;
  check(whole.consumed == cut.consumed && same(whole.header.source, cut.header.source));
  if (!whole.header.named) return 0;
  for (const auto write : {transport::write_proxy_v1, transport::write_proxy_v2}) {
    std::array<std::byte, transport::kMaxProxyV1> buffer{};
    const std::size_t n = write(whole.header.source, whole.header.destination, buffer);
    const Reading again = read(ConstBytes(buffer).first(n), n);
    check(again.state == State::Done && again.consumed == n && again.header.named);
    check(same(again.header.source, whole.header.source) && same(again.header.destination, whole.header.destination));
  }
  return 0;
}
