// Validators, conditions and ranges by table (RFC 9110 sections 8.8, 13 and 14), and the dates they are made of.
#include "origin/files/conditional.h"

#include <gtest/gtest.h>

#include <vector>

#include "http/date.h"

namespace ferrotunnel::origin::files {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kModified = 784'111'777;  // Sun, 06 Nov 1994 08:49:37 GMT
constexpr std::int64_t kNow = kModified + 1000;

TEST(Date, IsWrittenOneWay) {
  const auto text = [](std::int64_t seconds) {
    std::string out;
    http::append_date(out, seconds);
    return out;
  };
  EXPECT_EQ(text(kModified), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(text(-5), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(text(951'782'400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(text(253'402'300'799), "Fri, 31 Dec 9999 23:59:59 GMT");
  EXPECT_EQ(text(INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
}

TEST(Date, IsReadInThree) {
  for (const std::string_view good :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"})
    EXPECT_EQ(http::parse_date(good, kNow), kModified) << good;
  EXPECT_EQ(http::parse_date("Wed Nov 16 08:49:37 1994", kNow), kModified + 10 * 86'400);
  constexpr std::int64_t k2026 = 1'795'000'000;
  EXPECT_EQ(http::parse_date("Sunday, 06-Nov-94 08:49:37 GMT", k2026), kModified);  // 2094 is too far ahead
  EXPECT_EQ(http::parse_date("Thursday, 01-Jan-70 00:00:00 GMT", k2026), 3'155'760'000);
  for (const std::string_view bad :
       {"", "Sun", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT", "Son, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z", "784111777",
        "Sun, 06 Nov -994 08:49:37 GMT", "Sunday, 06 Nov 1994 08:49:37 GMT"})
    EXPECT_FALSE(http::parse_date(bad, kNow)) << bad;
}

TEST(Validators, StrongOnceTheFileIsOld) {
  const Validators old = validators_of({0x1f, 0xabc, kModified * kSecond + 5}, kNow * kSecond);
  EXPECT_TRUE(old.strong);
  EXPECT_EQ(old.etag, "\"1f-abc-ae1b981bc490a05\"");
  EXPECT_EQ(old.modified, kModified);
  const Validators fresh = validators_of({0x1f, 0xabc, kModified * kSecond + 5}, (kModified + 1) * kSecond);
  EXPECT_FALSE(fresh.strong);
  EXPECT_EQ(fresh.etag, "W/" + old.etag);
  const Validators future = validators_of({1, 1, (kNow + 50) * kSecond}, kNow * kSecond);
  EXPECT_FALSE(future.strong);
  EXPECT_EQ(future.modified, kNow) << "Last-Modified is not after Date";
  EXPECT_EQ(validators_of({1, 1, -kSecond}, kNow * kSecond).modified, 0);
}

TEST(Validators, TellFilesApart) {
  const FileFacts file{1, 2, 3 * kSecond};
  const auto etag = [](const FileFacts& facts) { return validators_of(facts, kNow * kSecond).etag; };
  EXPECT_NE(etag(file), etag({9, 2, 3 * kSecond}));
  EXPECT_NE(etag(file), etag({1, 9, 3 * kSecond}));
  EXPECT_NE(etag(file), etag({1, 2, 3 * kSecond + 1}));
  EXPECT_EQ(etag(file), etag(file));
}

struct Line {
  std::string_view name, value;
};

Verdict judged(const std::vector<Line>& lines, http::Method method = http::Method::Get, bool strong = true,
               std::uint64_t size = 1000) {
  http::RequestHead request;
  request.method = method;
  for (const Line& line : lines) request.fields.add(line.name, line.value);
  const Validators validators{strong ? "\"tag\"" : "W/\"tag\"", kModified, strong};
  return judge(request, validators, size, kNow);
}

constexpr std::string_view kSame = "Sun, 06 Nov 1994 08:49:37 GMT", kBefore = "Sun, 06 Nov 1994 08:49:36 GMT",
                           kAfter = "Sun, 06 Nov 1994 08:49:38 GMT";

TEST(Conditions, ByTable) {
  struct Case {
    std::vector<Line> lines;
    int strong, weak;  // the status, by what the file's tag is
  };
  for (const Case& c : std::vector<Case>{
           {{}, 200, 200},
           {{{"If-None-Match", "\"tag\""}}, 304, 304},
           {{{"if-none-match", "W/\"tag\""}}, 304, 304},
           {{{"If-None-Match", "*"}}, 304, 304},
           {{{"If-None-Match", "\"other\""}}, 200, 200},
           {{{"If-None-Match", "\"a\", W/\"b\" ,\t\"tag\""}}, 304, 304},
           {{{"If-None-Match", ",,\"a,b\",,\"tag\","}}, 304, 304},
           {{{"If-None-Match", "\"a, \"tag\""}}, 200, 200},  // no list behind the second quote
           {{{"If-None-Match", "tag"}}, 200, 200},
           {{{"If-None-Match", "\"tag"}}, 200, 200},
           {{{"If-None-Match", ""}}, 200, 200},
           {{{"If-None-Match", "w/\"tag\""}}, 200, 200},
           {{{"If-None-Match", "\"a\""}, {"If-None-Match", "\"tag\""}}, 304, 304},
           {{{"If-Modified-Since", kSame}}, 304, 304},
           {{{"If-Modified-Since", kAfter}}, 304, 304},
           {{{"If-Modified-Since", kBefore}}, 200, 200},
           {{{"If-Modified-Since", "yesterday"}}, 200, 200},
           {{{"If-Modified-Since", kSame}, {"If-Modified-Since", kSame}}, 200, 200},
           // a tag goes before a date
           {{{"If-None-Match", "\"other\""}, {"If-Modified-Since", kSame}}, 200, 200},
           {{{"If-None-Match", "\"tag\""}, {"If-Modified-Since", kBefore}}, 304, 304},
           {{{"If-Match", "\"tag\""}}, 200, 412},
           {{{"If-Match", "W/\"tag\""}}, 412, 412},
           {{{"If-Match", "*"}}, 200, 200},
           {{{"If-Match", "\"other\""}}, 412, 412},
           {{{"If-Match", "\"other\""}, {"If-Match", "\"tag\""}}, 200, 412},
           {{{"If-Match", "nonsense"}}, 412, 412},
           {{{"If-Unmodified-Since", kSame}}, 200, 200},
           {{{"If-Unmodified-Since", kAfter}}, 200, 200},
           {{{"If-Unmodified-Since", kBefore}}, 412, 412},
           {{{"If-Unmodified-Since", "yesterday"}}, 200, 200},
           {{{"If-Match", "\"tag\""}, {"If-Unmodified-Since", kBefore}}, 200, 412},
           {{{"If-Match", "\"other\""}, {"If-None-Match", "\"tag\""}}, 412, 412},
           {{{"If-Match", "*"}, {"If-None-Match", "\"tag\""}}, 304, 304},
           {{{"If-Unmodified-Since", kSame}, {"If-None-Match", "\"tag\""}}, 304, 304},
           // conditions go before ranges
           {{{"If-None-Match", "\"tag\""}, {"Range", "bytes=0-1"}}, 304, 304},
           {{{"If-None-Match", "\"tag\""}, {"Range", "bytes=5000-"}}, 304, 304},
           {{{"If-Match", "\"other\""}, {"Range", "bytes=0-1"}}, 412, 412},
           {{{"If-Match", "*"}, {"Range", "bytes=0-1"}}, 206, 206},
           // If-Range
           {{{"Range", "bytes=0-1"}, {"If-Range", "\"tag\""}}, 206, 200},
           {{{"Range", "bytes=0-1"}, {"If-Range", "W/\"tag\""}}, 200, 200},
           {{{"Range", "bytes=0-1"}, {"If-Range", "\"other\""}}, 200, 200},
           {{{"Range", "bytes=0-1"}, {"If-Range", "\"tag\", \"b\""}}, 200, 200},
           {{{"Range", "bytes=0-1"}, {"If-Range", kSame}}, 206, 200},
           {{{"Range", "bytes=0-1"}, {"If-Range", kAfter}}, 200, 200},
           {{{"Range", "bytes=0-1"}, {"If-Range", kBefore}}, 200, 200},
           {{{"Range", "bytes=0-1"}, {"If-Range", ""}}, 200, 200},
           {{{"Range", "bytes=0-1"}, {"If-Range", "\"tag\""}, {"If-Range", "\"tag\""}}, 200, 200},
           {{{"Range", "bytes=5000-"}, {"If-Range", "\"other\""}}, 200, 200},
           {{{"If-Range", "\"tag\""}}, 200, 200},
       }) {
    const std::string name =
        c.lines.empty() ? "nothing" : std::string(c.lines[0].name) + " " + std::string(c.lines[0].value);
    for (const auto method : {http::Method::Get, http::Method::Head}) {
      const bool head = method == http::Method::Head;
      EXPECT_EQ(judged(c.lines, method, true).status, head && c.strong == 206 ? 200 : c.strong) << name << head;
      EXPECT_EQ(judged(c.lines, method, false).status, head && c.weak == 206 ? 200 : c.weak) << name << head << " weak";
    }
  }
}

TEST(Ranges, ByTable) {
  struct Case {
    std::string_view range;
    std::uint16_t status;
    std::uint64_t first, length;
  };
  for (const Case& c : {
           Case{"bytes=0-0", 206, 0, 1},
           {"bytes=0-999", 206, 0, 1000},
           {"bytes=0-", 206, 0, 1000},
           {"bytes=999-", 206, 999, 1},
           {"bytes=10-19", 206, 10, 10},
           {"bytes=990-5000", 206, 990, 10},
           {"bytes=990-99999999999999999999999", 206, 990, 10},
           {"bytes=-1", 206, 999, 1},
           {"bytes=-1000", 206, 0, 1000},
           {"bytes=-5000", 206, 0, 1000},
           {"BYTES=1-2", 206, 1, 2},
           {"bytes= 1-2", 206, 1, 2},
           {"bytes=1000-", 416, 0, 0},
           {"bytes=1000-2000", 416, 0, 0},
           {"bytes=99999999999999999999999-", 416, 0, 0},
           {"bytes=-0", 416, 0, 0},
           // what is no single range is no range
           {"bytes=0-1,5-6", 200, 0, 1000},
           {"bytes=0-1,", 200, 0, 1000},
           {"bytes=2-1", 200, 0, 1000},
           {"bytes=-", 200, 0, 1000},
           {"bytes=", 200, 0, 1000},
           {"bytes", 200, 0, 1000},
           {"bytes=a-b", 200, 0, 1000},
           {"bytes=1", 200, 0, 1000},
           {"bytes=1--2", 200, 0, 1000},
           {"bytes=--2", 200, 0, 1000},
           {"bytes=+1-2", 200, 0, 1000},
           {"bytes=0x1-2", 200, 0, 1000},
           {"bytes 0-1", 200, 0, 1000},
           {"items=0-1", 200, 0, 1000},
           {"", 200, 0, 1000},
       }) {
    const Verdict verdict = judged({{"Range", c.range}});
    EXPECT_EQ(verdict.status, c.status) << c.range;
    EXPECT_EQ(verdict.first, c.first) << c.range;
    EXPECT_EQ(verdict.length, c.length) << c.range;
  }
  EXPECT_EQ(judged({{"Range", "bytes=0-1"}, {"Range", "bytes=0-1"}}).status, 200);
}

TEST(Ranges, OfAnEmptyFile) {
  const auto of = [](std::string_view range) { return judged({{"Range", range}}, http::Method::Get, true, 0).status; };
  EXPECT_EQ(of("bytes=0-"), 416);
  EXPECT_EQ(of("bytes=0-0"), 416);
  EXPECT_EQ(of("bytes=-5"), 200);
}

}  // namespace
}  // namespace ferrotunnel::origin::files
