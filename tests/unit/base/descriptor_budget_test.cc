// DescriptorBudget: its arithmetic, and who is refused when.
#include "base/descriptor_budget.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "base/error.h"

namespace ferrotunnel {
namespace {

using Use = DescriptorUse;

TEST(DescriptorLines, NoLimitIsNone) { EXPECT_EQ(descriptor_lines(UINT64_MAX, 30), DescriptorLines{}); }

TEST(DescriptorLines, ForAServerOfUsualSizes) {
  // 64: 8 kept, 30 its own; of the 26 that are left 4 are for clients alone.
  EXPECT_EQ(descriptor_lines(64, 30), (DescriptorLines{22, 11, 26}));
  // 256: 16 kept; an eighth of what is left for clients.
  EXPECT_EQ(descriptor_lines(256, 60), (DescriptorLines{158, 79, 180}));
  EXPECT_EQ(descriptor_lines(1024, 160), (DescriptorLines{784, 392, 848}));
  // Where there is plenty the reserve of an eighth is what counts.
  EXPECT_EQ(descriptor_lines(1u << 20, 160).visitors, (1u << 20) / 8 * 7);
}

TEST(DescriptorLines, AllUsesTogetherLeaveWhatIsKept) {
  for (std::uint64_t all = 64; all <= 1u << 20; all *= 2) {
    for (std::uint64_t own = 0; own < all / 2; own += all / 16) {
      const DescriptorLines lines = descriptor_lines(all, own);
      EXPECT_LE(lines.data, lines.visitors) << all << ' ' << own;
      EXPECT_LT(lines.visitors, lines.clients) << "a client signs in beside a crowd: " << all << ' ' << own;
      EXPECT_LE(lines.clients + own + kLeastDescriptorsKept, all);
      EXPECT_LE(lines.visitors, all - descriptor_reserve(all));
    }
  }
}

TEST(DescriptorLines, NearlyAllAreInUseAlready) {
  const DescriptorLines lines = descriptor_lines(64, 64);
  EXPECT_GT(lines.data, 0u);
  EXPECT_LT(lines.visitors, lines.clients);
}

TEST(DescriptorBudget, EachUseStopsAtItsLineWhoeverHasThem) {
  DescriptorBudget budget;
  budget.set({4, 2, 6});
  EXPECT_TRUE(budget.take(Use::Data) && budget.take(Use::Data));
  EXPECT_FALSE(budget.take(Use::Data));
  EXPECT_EQ(budget.room(Use::Data), 0);
  EXPECT_TRUE(budget.take(Use::Visitor) && budget.take(Use::Visitor));
  EXPECT_FALSE(budget.take(Use::Visitor));
  EXPECT_EQ(budget.room(Use::Data), -2) << "too many, since visitors came";
  EXPECT_TRUE(budget.take(Use::Handshake) && budget.take(Use::Client));
  EXPECT_FALSE(budget.take(Use::Port));
  budget.take_anyway(Use::Visitor);
  EXPECT_EQ(budget.now(), 7u);
  EXPECT_EQ(budget.now(Use::Visitor), 3u);
  EXPECT_EQ(budget.refused(Use::Data), 1u);
  EXPECT_EQ(budget.refused(Use::Visitor), 1u);
  EXPECT_EQ(budget.refused(Use::Port), 1u);
  for (int i = 0; i < 3; ++i) budget.give(Use::Visitor);
  budget.give(Use::Handshake);
  EXPECT_TRUE(budget.take(Use::Visitor));
  EXPECT_FALSE(budget.take(Use::Data));
}

TEST(DescriptorBudget, TheLastQuarterIsForGrantsThatHaveLessThanOne) {
  DescriptorBudget budget;
  budget.set({40, 20, 64});
  budget.share(true);
  std::uint32_t has = 0;
  while (budget.take_for(Use::Port, has)) ++has;
  EXPECT_EQ(has, 48u) << "three quarters";
  EXPECT_EQ(budget.refused_share(), 1u);
  EXPECT_EQ(budget.refused(Use::Port), 1u);
  for (std::uint32_t other = 0; other < 16; ++other) ASSERT_TRUE(budget.take_for(Use::Client, other)) << other;
  EXPECT_FALSE(budget.take_for(Use::Client, 0)) << "nothing is left";
  EXPECT_EQ(budget.refused_share(), 1u) << "no grant's share is at fault: the line is";
  budget.give(Use::Client);
  EXPECT_FALSE(budget.take_for(Use::Client, has));
  EXPECT_TRUE(budget.take_for(Use::Client, 15));
  // Alone it may have what there is.
  budget.give(Use::Client);
  budget.share(false);
  EXPECT_TRUE(budget.take_for(Use::Port, has));
}

TEST(DescriptorBudget, NoLimitIsNoShare) {
  DescriptorBudget budget;
  budget.share(true);
  for (std::uint32_t has = 0; has < 1000; ++has) ASSERT_TRUE(budget.take_for(Use::Client, has));
}

TEST(DescriptorBudget, AHoldGivesItselfBackOnce) {
  DescriptorBudget budget;
  budget.set({1, 1, 1});
  {
    DescriptorHold hold = DescriptorHold::take(budget, Use::Visitor);
    EXPECT_TRUE(hold);
    EXPECT_FALSE(DescriptorHold::take(budget, Use::Client));
    DescriptorHold other = std::move(hold);
    EXPECT_EQ(budget.now(), 1u);
    other.release();
    EXPECT_EQ(budget.now(), 0u);
  }
  EXPECT_EQ(budget.now(), 0u);
  const DescriptorHold again = DescriptorHold::take(budget, Use::Client);
  EXPECT_TRUE(again);
}

TEST(Descriptors, ThoseThatAreOpenAreCounted) {
  const std::uint64_t before = descriptors_in_use();
  EXPECT_GT(before, 2u);
  std::vector<int> opened;
  opened.reserve(10);
  for (int i = 0; i < 10; ++i) opened.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(descriptors_in_use(), before + 10);
  for (const int fd : opened) ::close(fd);
  EXPECT_EQ(descriptors_in_use(), before);
}

TEST(Descriptors, AnErrorForWantOfThemNamesTheLimit) {
  const Error error = errno_error(EMFILE, Side::Origin, "cannot make a socket");
  EXPECT_EQ(error.code, ErrorCode::Limit);
  EXPECT_TRUE(error.retry);
  EXPECT_TRUE(error.context.contains("may have " + std::to_string(descriptor_limit()))) << error.context;
  EXPECT_EQ(errno_error(ENFILE, Side::Local, "x").code, ErrorCode::Limit);
  EXPECT_EQ(errno_error(EIO, Side::Local, "x").code, ErrorCode::Io);
}

}  // namespace
}  // namespace ferrotunnel
