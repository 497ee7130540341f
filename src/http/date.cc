#include "http/date.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "http/chars.h"

namespace ferrotunnel::http {
namespace {

using std::chrono::sys_days;

constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kLast = 253'402'300'799;  // the end of the year 9999

void append_number(std::string& out, std::int64_t number, int digits) {
  std::array<char, 4> text{};
  for (int i = digits; i-- > 0; number /= 10) text[static_cast<std::size_t>(i)] = static_cast<char>('0' + number % 10);
  out.append(text.data(), static_cast<std::size_t>(digits));
}

// Takes pieces off the front of a date; the first that is not there fails it for good.
class Reader {
 public:
  explicit Reader(std::string_view text) : left_(text) {}

  void literal(std::string_view text) {
    if (!left_.starts_with(text)) return fail();
    left_.remove_prefix(text.size());
  }
  int number(std::size_t digits) {
    if (left_.size() < digits || !all(left_.substr(0, digits), kDigitByte)) {
      fail();
      return 0;
    }
    int number = 0;
    for (const char c : left_.substr(0, digits)) number = number * 10 + (c - '0');
    left_.remove_prefix(digits);
    return number;
  }
  unsigned month() {
    for (unsigned i = 0; i < kMonths.size(); ++i) {
      if (!left_.starts_with(kMonths[i])) continue;
      left_.remove_prefix(kMonths[i].size());
      return i + 1;
    }
    fail();
    return 1;
  }
  std::int64_t time_of_day() {
    const int hours = number(2);
    literal(":");
    const int minutes = number(2);
    literal(":");
    const int seconds = number(2);  // 60: a leap second
    if (hours > 23 || minutes > 59 || seconds > 60) fail();
    return hours * 3600 + minutes * 60 + seconds;
  }
  bool skip(char c) {
    if (!left_.starts_with(c)) return false;
    left_.remove_prefix(1);
    return true;
  }
  void fail() { failed_ = true; }
  [[nodiscard]] bool good() const { return !failed_ && left_.empty(); }

 private:
  std::string_view left_;
  bool failed_ = false;
};

std::optional<std::int64_t> seconds_of(int year, unsigned month, int day, std::int64_t time) {
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return sys_days(date).time_since_epoch().count() * kDay + time;
}

int year_of(std::int64_t seconds) {
  const std::chrono::year_month_day date{
      sys_days(std::chrono::days(static_cast<int>(std::clamp<std::int64_t>(seconds, 0, kLast) / kDay)))};
  return static_cast<int>(date.year());
}

}  // namespace

void append_date(std::string& out, std::int64_t seconds) {
  seconds = std::clamp<std::int64_t>(seconds, 0, kLast);
  const sys_days day{std::chrono::days(static_cast<int>(seconds / kDay))};
  const std::chrono::year_month_day date{day};
  const std::int64_t time = seconds % kDay;
  out += kDays[std::chrono::weekday(day).c_encoding()].substr(0, 3);
  out += ", ";
  append_number(out, static_cast<unsigned>(date.day()), 2);
  out += ' ';
  out += kMonths[static_cast<unsigned>(date.month()) - 1];
  out += ' ';
  append_number(out, static_cast<int>(date.year()), 4);
  out += ' ';
  append_number(out, time / 3600, 2);
  out += ':';
  append_number(out, time / 60 % 60, 2);
  out += ':';
  append_number(out, time % 60, 2);
  out += " GMT";
}

std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now) {
  const auto is_day = [text](std::string_view day) { return text.starts_with(day.substr(0, 3)); };
  const auto day = std::ranges::find_if(kDays, is_day);
  if (day == kDays.end()) return std::nullopt;
  const bool full = text.starts_with(*day);
  Reader read(text.substr(full ? day->size() : 3));
  int year = 0, day_of_month = 0;
  unsigned month = 1;
  std::int64_t time = 0;
  if (full) {  // Sunday, 06-Nov-94 08:49:37 GMT
    read.literal(", ");
    day_of_month = read.number(2);
    read.literal("-");
    month = read.month();
    read.literal("-");
    const int this_year = year_of(now);
    year = this_year - this_year % 100 + read.number(2);
    if (year > this_year + 50) year -= 100;
    read.literal(" ");
    time = read.time_of_day();
    read.literal(" GMT");
  } else if (read.skip(',')) {  // Sun, 06 Nov 1994 08:49:37 GMT
    read.literal(" ");
    day_of_month = read.number(2);
    read.literal(" ");
    month = read.month();
    read.literal(" ");
    year = read.number(4);
    read.literal(" ");
    time = read.time_of_day();
    read.literal(" GMT");
  } else {  // Sun Nov  6 08:49:37 1994
    read.literal(" ");
    month = read.month();
    read.literal(" ");
    day_of_month = read.skip(' ') ? read.number(1) : read.number(2);
    read.literal(" ");
    time = read.time_of_day();
    read.literal(" ");
    year = read.number(4);
  }
  if (!read.good()) return std::nullopt;
  return seconds_of(year, month, day_of_month, time);
}

}  // namespace ferrotunnel::http
