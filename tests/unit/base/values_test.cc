// Small values: big-endian fields, errors from errno, random numbers.
#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/random.h"

namespace ferrotunnel {
namespace {

TEST(Bytes, AreBigEndianAtAnyAddress) {
  std::array<std::byte, 16> bytes{};
  for (std::size_t at = 0; at < 8; ++at) {
    store_be<std::uint64_t>(&bytes[at], 0x0102'0304'0506'0708);
    for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(bytes[at + i], static_cast<std::byte>(i + 1));
    EXPECT_EQ(load_be<std::uint64_t>(&bytes[at]), 0x0102'0304'0506'0708u);
    EXPECT_EQ(load_be<std::uint32_t>(&bytes[at]), 0x0102'0304u);
    EXPECT_EQ(load_be<std::uint16_t>(&bytes[at]), 0x0102u);
    EXPECT_EQ(load_be<std::uint8_t>(&bytes[at]), 1u);
  }
  EXPECT_EQ(as_text(as_bytes("text\0more")), std::string_view("text"));
  EXPECT_TRUE(as_bytes("").empty());
}

TEST(Error, FromErrnoNamesWhatAndWhy) {
  const Error refused = errno_error(ECONNREFUSED, Side::Origin, "cannot connect to 127.0.0.1:1");
  EXPECT_EQ(refused.code, ErrorCode::Unreachable);
  EXPECT_EQ(refused.side, Side::Origin);
  EXPECT_EQ(refused.context, "cannot connect to 127.0.0.1:1: Connection refused");
  EXPECT_TRUE(refused.retry);
  EXPECT_EQ(errno_error(EADDRINUSE, Side::Local, "x").code, ErrorCode::AddressInUse);
  EXPECT_EQ(errno_error(ETIMEDOUT, Side::Local, "x").code, ErrorCode::Timeout);
  EXPECT_EQ(errno_error(ENOENT, Side::Origin, "x").code, ErrorCode::Unreachable);
  EXPECT_EQ(errno_error(ECONNRESET, Side::Tunnel, "x").code, ErrorCode::Io);
  EXPECT_FALSE(errno_error(EACCES, Side::Local, "x").retry);
}

TEST(Error, EveryCodeAndSideHasAName) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::Internal); ++code)
    names.insert(to_string(static_cast<ErrorCode>(code)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(ErrorCode::Internal) + 1);
  EXPECT_FALSE(names.contains("?"));
  for (const Side side : {Side::Visitor, Side::Tunnel, Side::Origin, Side::Local}) EXPECT_NE(to_string(side), "?");
}

TEST(Random, FillsAllOfItAndDiffers) {
  std::vector<std::byte> a(10'000), b(10'000);
  fill_random(a);
  fill_random(b);
  EXPECT_NE(a, b);
  std::set<std::byte> seen(a.begin(), a.end());
  EXPECT_EQ(seen.size(), 256u);
  fill_random({});
}

TEST(Random, JitterIsRepeatableAndStaysBelow) {
  JitterRng a(7), b(7), c(8);
  const std::uint64_t first = a.next();
  EXPECT_EQ(first, b.next());
  EXPECT_NE(first, c.next());
  EXPECT_EQ(a.below(0), 0u);
  EXPECT_EQ(a.below(1), 0u);
  std::array<int, 10> buckets{};
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t n = a.below(10);
    ASSERT_LT(n, 10u);
    ++buckets[n];
  }
  for (const int n : buckets) EXPECT_NEAR(n, 1000, 200);
  EXPECT_NE(JitterRng::from_system().next(), JitterRng::from_system().next());
}

}  // namespace
}  // namespace ferrotunnel
