// OriginDispatcher in front of services that want a PROXY header: what they read first, and what then follows.
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cstring>

#include "unit/origin/dispatcher_fixture.h"

namespace ferrotunnel::origin {
namespace {

using transport::PeerAddress;
using transport::ProxyVersion;

PeerAddress peer(const char* ip, std::uint16_t port) {
  return transport::to_peer_address(*transport::parse_ip(ip, port));
}

#ifdef __linux__
// Segments with data in them that came. tcpi_data_segs_in of linux/tcp.h, which cannot be included beside netinet/tcp.h.
std::uint32_t data_segments_in(const UniqueFd& fd) {
  constexpr std::size_t kAt = 152;
  std::array<char, 256> info{};
  socklen_t length = info.size();
  EXPECT_EQ(::getsockopt(fd.get(), IPPROTO_TCP, TCP_INFO, info.data(), &length), 0);
  EXPECT_GE(length, kAt + 4);
  std::uint32_t count = 0;
  std::memcpy(&count, info.data() + kAt, sizeof count);
  return count;
}
#endif

class ProxyHeaderTest : public DispatcherTest {
 protected:
  ProxyHeaderTest() {
    client.on_stream = [this](transport::Stream& stream, std::uint32_t tunnel) {
      dispatcher->dispatch(stream, tunnel, target, visitor_address);
    };
  }
  static TargetPtr with_header(const Service& service, ProxyVersion version) {
    OriginTarget wanted = *service.target();
    wanted.proxy = version;
    return std::make_shared<const OriginTarget>(std::move(wanted));
  }
  static std::string header(ProxyVersion version, const PeerAddress& from, const PeerAddress& to) {
    std::array<std::byte, transport::kMaxProxyV1> buffer{};
    const auto write = version == ProxyVersion::V1 ? transport::write_proxy_v1 : transport::write_proxy_v2;
    const std::size_t n = write(from, to, buffer);
    return std::string(as_text(ConstBytes(buffer).first(n)));
  }

  PeerAddress visitor_address = peer("198.51.100.7", 4660);
};

INSTANTIATE_TEST_SUITE_P(Pollers, ProxyHeaderTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Portable" : "Native"; });

TEST_P(ProxyHeaderTest, BeforeTheVisitorsFirstByte) {
  for (const ProxyVersion version : {ProxyVersion::V1, ProxyVersion::V2}) {
    const Service service = Service::tcp();
    target = with_header(service, version);
    Visitor& visitor = open();
    visitor.say("question", true);
    const UniqueFd origin = accepted(service);
    EXPECT_EQ(read_to_end(origin), header(version, visitor_address, to_peer_address(service.address)) + "question");
    // What is counted are the visitor's bytes.
    ::shutdown(origin.get(), SHUT_RDWR);
    ASSERT_TRUE(until([&] { return dispatcher->active() == 0; }));
    EXPECT_EQ(bytes_in, 8u);
    bytes_in = 0;
  }
}

TEST_P(ProxyHeaderTest, InOneSegmentWithWhatTheVisitorSaid) {
  const Service service = Service::tcp();
  target = with_header(service, ProxyVersion::V1);
  Visitor& visitor = open();
  visitor.say("question");
  const UniqueFd origin = accepted(service);
  std::string first(4096, '\0');
  ssize_t n = -1;
  ASSERT_TRUE(until([&] { return (n = ::recv(origin.get(), first.data(), first.size(), 0)) > 0; }));
  first.resize(static_cast<std::size_t>(n));
  EXPECT_TRUE(first.ends_with("\r\nquestion")) << first;
#ifdef __linux__
  EXPECT_EQ(data_segments_in(origin), 1u);
#endif
}

TEST_P(ProxyHeaderTest, AServiceThatSpeaksFirstIsToldAtOnce) {
  const Service service = Service::tcp();
  target = with_header(service, ProxyVersion::V1);
  Visitor& visitor = open();
  const UniqueFd origin = accepted(service);
  std::string got(4096, '\0');
  ssize_t n = -1;
  ASSERT_TRUE(until([&] { return (n = ::recv(origin.get(), got.data(), got.size(), 0)) > 0; }));
  got.resize(static_cast<std::size_t>(n));
  EXPECT_EQ(got, "PROXY TCP4 198.51.100.7 127.0.0.1 4660 " + std::to_string(service.address.port()) + "\r\n");
  ASSERT_EQ(::send(origin.get(), "220 ready", 9, 0), 9);
  EXPECT_TRUE(until([&] { return visitor.got == "220 ready"; }));
}

TEST_P(ProxyHeaderTest, AVisitorThatOnlyEnds) {
  const Service service = Service::tcp();
  target = with_header(service, ProxyVersion::V2);
  open().say("", true);
  EXPECT_EQ(read_to_end(accepted(service)),
            header(ProxyVersion::V2, visitor_address, to_peer_address(service.address)));
}

TEST_P(ProxyHeaderTest, AVisitorOfTheOtherFamily) {
  const Service service = Service::tcp();
  target = with_header(service, ProxyVersion::V1);
  visitor_address = peer("2001:db8::7", 80);
  open().say("x", true);
  EXPECT_EQ(read_to_end(accepted(service)),
            "PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 80 " + std::to_string(service.address.port()) + "\r\nx");
}

TEST_P(ProxyHeaderTest, AVisitorThatIsNotKnown) {
  visitor_address = {};
  for (const ProxyVersion version : {ProxyVersion::V1, ProxyVersion::V2}) {
    const Service service = Service::tcp();
    target = with_header(service, version);
    open().say("x", true);
    EXPECT_EQ(read_to_end(accepted(service)), header(version, {}, {}) + "x");
  }
}

TEST_P(ProxyHeaderTest, AUnixService) {
  const Service service = Service::unix_socket(directory + "/s");
  target = with_header(service, ProxyVersion::V1);
  open().say("x", true);
  EXPECT_EQ(read_to_end(accepted(service)), "PROXY TCP4 198.51.100.7 0.0.0.0 4660 0\r\nx");
}

TEST_P(ProxyHeaderTest, MoreThanASegment) {
  const Service service = Service::tcp();
  target = with_header(service, ProxyVersion::V2);
  const std::string big(60'000, 'b');
  open().say(big, true);
  EXPECT_EQ(read_to_end(accepted(service)),
            header(ProxyVersion::V2, visitor_address, to_peer_address(service.address)) + big);
}

TEST_P(ProxyHeaderTest, NoneWhereNoneIsWanted) {
  const Service service = Service::tcp();
  target = service.target();
  open().say("x", true);
  EXPECT_EQ(read_to_end(accepted(service)), "x");
}

}  // namespace
}  // namespace ferrotunnel::origin
