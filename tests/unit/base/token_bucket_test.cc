// TokenBucket with a clock of the test's own.
#include "base/token_bucket.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace ferrotunnel {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{std::chrono::hours(24)};

TEST(TokenBucket, WithoutARateThereIsNoLimit) {
  TokenBucket bucket;
  EXPECT_EQ(bucket.take(kStart, UINT64_MAX), UINT64_MAX);
  EXPECT_EQ(bucket.available(kStart), UINT64_MAX);
  bucket.give_back(5);
}

TEST(TokenBucket, HoldsItsBurstAndFillsAtItsRate) {
  TokenBucket bucket;
  bucket.set(1'000'000, 100'000);
  EXPECT_EQ(bucket.available(kStart), 100'000u);
  EXPECT_EQ(bucket.take(kStart, 250'000), 100'000u);
  EXPECT_EQ(bucket.take(kStart, 1), 0u);
  EXPECT_EQ(bucket.take(kStart + 50ms, 250'000), 50'000u);
  EXPECT_EQ(bucket.take(kStart + 60ms, 4'000), 4'000u);
  EXPECT_EQ(bucket.available(kStart + 60ms), 6'000u);
  EXPECT_EQ(bucket.available(kStart + 10s), 100'000u) << "no more than the burst";
}

TEST(TokenBucket, WhoWaitedGetsWhatWouldHaveFlowedOver) {
  TokenBucket bucket;
  bucket.set(1'000'000, 100'000);
  ASSERT_EQ(bucket.take(kStart, 100'000), 100'000u);
  EXPECT_EQ(bucket.available(kStart + 180ms), 100'000u);
  EXPECT_EQ(bucket.available(kStart + 180ms, 300ms), 180'000u);
  EXPECT_EQ(bucket.available(kStart + 10s, 300ms), 400'000u);
  EXPECT_EQ(bucket.take(kStart + 180ms, UINT64_MAX, 300ms), 180'000u);
  EXPECT_EQ(bucket.take(kStart + 180ms, 1, 300ms), 0u);
}

TEST(TokenBucket, WhatIsGivenBackIsThereAgain) {
  TokenBucket bucket;
  bucket.set(1'000, 1'000);
  ASSERT_EQ(bucket.take(kStart, 1'000), 1'000u);
  bucket.give_back(400);
  EXPECT_EQ(bucket.take(kStart, 1'000), 400u);
  bucket.give_back(1'000'000);
  EXPECT_EQ(bucket.available(kStart), 1'000u);
}

TEST(TokenBucket, AnotherRateIsNoNewBurst) {
  TokenBucket bucket;
  bucket.set(1, 16'384);
  ASSERT_EQ(bucket.take(kStart, 16'384), 16'384u);
  bucket.set(1, 16'384);
  EXPECT_EQ(bucket.take(kStart, 1), 0u) << "the same rate again changes nothing";
  bucket.set(0, 0);
  EXPECT_EQ(bucket.take(kStart, 1'000), 1'000u);
  bucket.set(1'000, 500);
  EXPECT_EQ(bucket.take(kStart, 1'000), 500u) << "the first limit after none begins full";
  // Whoever moves it to and fro gets no more than he would have: the slack of what is rounded.
  std::uint64_t got = 0;
  for (int i = 1; i <= 1'000; ++i) {
    bucket.set(i % 2 == 0 ? 1'000 : 999, i % 3 == 0 ? 500 : 499);
    got += bucket.take(kStart + i * 1ms, UINT64_MAX);
  }
  EXPECT_LE(got, 1'010u);
  EXPECT_GE(got, 900u);
}

// Rates from one a second to all that 64 bits hold: never more than the rate allows, never stuck.
TEST(TokenBucket, KeepsItsRateWhateverItIs) {
  for (const std::uint64_t rate : std::vector<std::uint64_t>{1, 3, 7, 999, 1'000'000, 12'345'678'901, UINT64_MAX}) {
    TokenBucket bucket;
    const std::uint64_t burst = std::max<std::uint64_t>(1, rate / 10);
    bucket.set(rate, burst);
    double taken = 0;
    for (int ms = 0; ms <= 10'000; ms += 10)
      taken += static_cast<double>(bucket.take(kStart + ms * 1ms, UINT64_MAX, 10ms));
    const double most = static_cast<double>(rate) * 10.01 + static_cast<double>(burst);
    EXPECT_LE(taken, most * 1.001 + 1) << rate;
    EXPECT_GE(taken, most * 0.98 - 1) << rate;
  }
}

TEST(TokenBucket, IsSharedByThreads) {
  TokenBucket bucket;
  bucket.set(1'000, 100'000);
  std::atomic<std::uint64_t> taken{0};
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (const std::uint64_t n = bucket.take(kStart, 7)) taken += n;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_NEAR(static_cast<double>(taken), 100'000, 7);
}

}  // namespace
}  // namespace ferrotunnel
