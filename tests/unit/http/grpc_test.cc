#include "http/grpc.h"

#include <gtest/gtest.h>

#include <chrono>

namespace ferrotunnel::http {
namespace {

using namespace std::chrono_literals;

TEST(Grpc, Timeouts) {
  EXPECT_EQ(grpc_timeout("1H"), 1h);
  EXPECT_EQ(grpc_timeout("20M"), 20min);
  EXPECT_EQ(grpc_timeout("300S"), 300s);
  EXPECT_EQ(grpc_timeout("4000m"), 4s);
  EXPECT_EQ(grpc_timeout("5u"), 5us);
  EXPECT_EQ(grpc_timeout("99999999n"), 99'999'999ns);
  for (const char* bad : {"", "S", "1", "1s", "-1S", "1.5S", " 1S", "123456789S", "1SS"})
    EXPECT_EQ(grpc_timeout(bad), std::nullopt) << bad;
}

// What is more than a Duration holds is as long as that holds, not a time that has passed.
TEST(Grpc, TheLongestTimeouts) {
  constexpr Duration kYears = std::chrono::hours(24 * 365 * 100);
  for (const char* text : {"2562047H", "2562048H", "10000000H", "99999999H", "99999999M"}) {
    ASSERT_TRUE(grpc_timeout(text)) << text;
    EXPECT_GT(*grpc_timeout(text), kYears) << text;
  }
}

}  // namespace
}  // namespace ferrotunnel::http
