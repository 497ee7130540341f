// Keys of session tickets: when one follows on another, and how long each opens what it sealed.
#include "transport/tls/ticket_keys.h"

#include <gtest/gtest.h>

namespace ferrotunnel::transport {
namespace {

using namespace std::chrono_literals;

class TicketKeysTest : public testing::Test {
 protected:
  TimePoint now{1000h};
  TicketKeys keys{[this] { return now; }};
};

TEST_F(TicketKeysTest, OneForAnHour) {
  const auto first = keys.current();
  now += TicketKeys::kRotation - 1s;
  EXPECT_EQ(keys.current(), first);
  const auto found = keys.find(first->name);
  EXPECT_EQ(found.key, first);
  EXPECT_FALSE(found.renew);
}

TEST_F(TicketKeysTest, TheOneBeforeOpensForAnHourMore) {
  const auto first = keys.current();
  now += TicketKeys::kRotation;
  const auto second = keys.current();
  EXPECT_NE(second, first);
  EXPECT_NE(second->name, first->name);
  EXPECT_NE(second->cipher, first->cipher);
  EXPECT_NE(second->mac, first->mac);
  const auto found = keys.find(first->name);
  EXPECT_EQ(found.key, first);
  EXPECT_TRUE(found.renew);
  now += TicketKeys::kRotation - 1s;
  EXPECT_NE(keys.find(first->name).key, nullptr);
  now += 1s;
  EXPECT_EQ(keys.find(first->name).key, nullptr);
}

TEST_F(TicketKeysTest, NothingOutlivesARest) {
  const auto first = keys.current();
  now += 3 * TicketKeys::kRotation;
  EXPECT_EQ(keys.find(first->name).key, nullptr);
  EXPECT_NE(keys.current(), first);
}

TEST_F(TicketKeysTest, NoNameThatIsNotOne) {
  const auto first = keys.current();
  EXPECT_EQ(keys.find({}).key, nullptr);
  EXPECT_EQ(keys.find(ConstBytes(first->name).first(15)).key, nullptr);
  auto other = first->name;
  other[3] ^= std::byte{1};
  EXPECT_EQ(keys.find(other).key, nullptr);
}

}  // namespace
}  // namespace ferrotunnel::transport
