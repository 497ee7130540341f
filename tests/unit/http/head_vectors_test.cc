#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "unit/http/head_vectors.h"
#include "unit/http/heads.h"

namespace ferrotunnel::http::testing {
namespace {

std::string bad(const BadHead& vector) {
  return "bad " + std::to_string(vector.status) + " " + std::string(vector.slug) + "\n";
}
std::string whole(std::string_view text) { return "done " + std::to_string(text.size()) + "\n"; }

TEST(HeadVectors, GoodRequestsPass) {
  for (const std::string_view text : good_requests())
    EXPECT_TRUE(feed_request(text).starts_with(whole(text))) << text << feed_request(text);
}
TEST(HeadVectors, BadRequestsAreRefusedForTheRightReason) {
  for (const BadHead& vector : bad_requests()) EXPECT_EQ(feed_request(vector.text), bad(vector)) << vector.text;
}
TEST(HeadVectors, GoodResponsesPass) {
  for (const std::string_view text : good_responses())
    EXPECT_TRUE(feed_response(text).starts_with(whole(text))) << text << feed_response(text);
}
TEST(HeadVectors, BadResponsesAreRefusedForTheRightReason) {
  for (const BadHead& vector : bad_responses()) EXPECT_EQ(feed_response(vector.text), bad(vector)) << vector.text;
}
TEST(HeadVectors, ThereAreEnough) {
  EXPECT_GE(good_requests().size() + bad_requests().size() + good_responses().size() + bad_responses().size(), 200u);
}

std::vector<std::string> all_requests() {
  std::vector<std::string> all(good_requests().begin(), good_requests().end());
  for (const BadHead& vector : bad_requests()) all.emplace_back(vector.text);
  return all;
}
std::vector<std::string> all_responses() {
  std::vector<std::string> all(good_responses().begin(), good_responses().end());
  for (const BadHead& vector : bad_responses()) all.emplace_back(vector.text);
  return all;
}

TEST(HeadVectors, CutAtEachByteIsTheSameAsWhole) {
  for (const std::string& text : all_requests())
    for (std::size_t cut = 0; cut < text.size(); ++cut)
      ASSERT_EQ(feed_request(text, {cut}), feed_request(text)) << text << cut;
  for (const std::string& text : all_responses())
    for (std::size_t cut = 0; cut < text.size(); ++cut)
      ASSERT_EQ(feed_response(text, {cut}), feed_response(text)) << text << cut;
}

TEST(HeadVectors, ByteByByteIsTheSameAsWhole) {
  const auto each_byte = [](std::size_t size) {
    std::vector<std::size_t> cuts(size);
    for (std::size_t i = 0; i < size; ++i) cuts[i] = i;
    return cuts;
  };
  for (const std::string& text : all_requests())
    ASSERT_EQ(feed_request(text, each_byte(text.size())), feed_request(text)) << text;
  for (const std::string& text : all_responses())
    ASSERT_EQ(feed_response(text, each_byte(text.size())), feed_response(text)) << text;
}

// A vector with bytes changed, doubled and lost: whatever it means now, it means the same however it is cut.
TEST(HeadVectors, RandomlyDamagedAndRandomlyCut) {
  std::mt19937 random(20240607);  // fixed, so that a failure repeats
  const std::string_view spice("\r\n \t:;,\0/?#@*HTTP1.0chunked\x7f\x80", 30);
  const auto below = [&random](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  const auto damage = [&](std::string text) {
    for (std::size_t n = below(4); n > 0 && !text.empty(); --n) {
      const std::size_t at = below(text.size());
      switch (below(3)) {
        case 0: text[at] = spice[below(spice.size())]; break;
        case 1: text.insert(at, 1, spice[below(spice.size())]); break;
        default: text.erase(at, 1 + below(4));
      }
    }
    return text;
  };
  const auto cuts_of = [&](const std::string& text) {
    std::vector<std::size_t> cuts(below(5));
    for (std::size_t& cut : cuts) cut = below(text.size() + 1);
    std::ranges::sort(cuts);
    return cuts;
  };
  const auto requests = all_requests();
  const auto responses = all_responses();
  const Limits tight{.head_bytes = 90, .fields = 3, .target_bytes = 12, .method_bytes = 8};
  for (int round = 0; round < 20000; ++round) {
    const Limits limits = round % 2 == 0 ? Limits{} : tight;
    const std::string request = damage(requests[below(requests.size())]);
    ASSERT_EQ(feed_request(request, cuts_of(request), limits), feed_request(request, {}, limits)) << request;
    const std::string response = damage(responses[below(responses.size())]);
    ASSERT_EQ(feed_response(response, cuts_of(response), limits), feed_response(response, {}, limits)) << response;
  }
}

}  // namespace
}  // namespace ferrotunnel::http::testing
