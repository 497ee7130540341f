#include "app/server/link_spread.h"

#include <gtest/gtest.h>

namespace ferrotunnel::app {
namespace {

TEST(LinkSpread, ManyVisitorsOrABusyThreadWantAnotherLink) {
  EXPECT_FALSE(wants_link(kVisitorsPerLink - 1, 1, false));
  EXPECT_TRUE(wants_link(kVisitorsPerLink, 1, false));
  EXPECT_FALSE(wants_link(2 * kVisitorsPerLink - 1, 2, false));
  EXPECT_TRUE(wants_link(2 * kVisitorsPerLink, 2, false));
  EXPECT_FALSE(wants_link(1, 1, true)) << "one visitor has one link";
  EXPECT_TRUE(wants_link(2, 1, true));
  EXPECT_FALSE(wants_link(3, 2, true));
}

TEST(LinkSpread, AVisitorStaysWhereHeCameUnlessItIsFullOrBusy) {
  EXPECT_FALSE(goes_elsewhere(kSpreadMargin - 1, 0, false));
  EXPECT_TRUE(goes_elsewhere(kSpreadMargin, 0, false));
  EXPECT_FALSE(goes_elsewhere(kSpreadMargin, 1, false));
  EXPECT_FALSE(goes_elsewhere(0, 40, false));
  EXPECT_TRUE(goes_elsewhere(2, 1, true));
  EXPECT_FALSE(goes_elsewhere(1, 1, true));
}

}  // namespace
}  // namespace ferrotunnel::app
