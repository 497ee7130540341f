// H2Abuse: what a visitor may do over HTTP/2 that is cheap for it and not for us, how often, and the count of it on one connection.
//
// Each kind has an allowance: a burst, and so many a second beyond it. What is useful pays some of it back (a request for priorities, DATA
// for window updates and pings). Past it the connection ends with GOAWAY ENHANCE_YOUR_CALM. Values; owner's thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace ferrotunnel::http {

enum class H2Abuse : std::uint8_t {
  Resets,         // RST_STREAM of the visitor's ("rapid reset")
  MadeResets,     // RST_STREAM that we were made to send ("made you reset")
  Settings,       // SETTINGS
  Pings,          // PING
  EmptyFrames,    // DATA and HEADERS that carry nothing and end nothing, or come for a stream that we have reset
  Priorities,     // PRIORITY and PRIORITY_UPDATE
  WindowUpdates,  // WINDOW_UPDATE
  Continuations,  // more CONTINUATION in one header block than there may be
  HeaderBytes,    // a header block that decodes to far more than is taken
  Queued,         // answers to its frames that it does not read
  Unknown,        // frames of no known type, GOAWAY
};
inline constexpr std::size_t kH2Abuses = 11;
using H2AbuseCounts = std::array<std::uint64_t, kH2Abuses>;
[[nodiscard]] std::string_view to_string(H2Abuse kind);  // "resets", ...

struct H2Allowance {
  std::uint32_t burst = 0;
  std::uint32_t a_second = 0;
};

struct H2Limits {
  std::uint32_t max_streams = 100;         // at once: SETTINGS_MAX_CONCURRENT_STREAMS; more are refused
  std::uint32_t stream_window = 65'535;    // bytes of a body that may wait for the origin
  std::uint32_t max_continuations = 16;    // CONTINUATION in one header block
  std::uint32_t max_settings = 32;         // entries of one SETTINGS
  std::uint32_t max_queued_acks = 200;     // acknowledgements that wait to be read
  std::uint32_t max_queued_frames = 1000;  // of all kinds but DATA
  std::uint32_t header_bytes_factor =
      4;  // times limits.head_bytes: what a block may decode to before the connection ends
  H2Allowance resets{200, 20};
  H2Allowance made_resets{200, 20};
  H2Allowance settings{20, 1};
  H2Allowance pings{200, 10};
  H2Allowance empty_frames{100, 10};
  H2Allowance late_data{500, 50};  // DATA of less than 1 KiB on a stream that we have reset
  H2Allowance priorities{200, 20};
  H2Allowance window_updates{500, 50};
  H2Allowance unknown{200, 10};
};

// What is left of one allowance.
class H2Tally {
 public:
  // False: it is used up.
  [[nodiscard]] bool take(const H2Allowance& allowance, TimePoint now) {
    if (begun_) {
      const double seconds = std::chrono::duration<double>(now - last_).count();
      used_ = std::max(0.0F, used_ - static_cast<float>(seconds * allowance.a_second));
    }
    begun_ = true;
    last_ = now;
    used_ += 1;
    return used_ <= static_cast<float>(allowance.burst);
  }
  void pay_back(std::uint32_t n) { used_ = std::max(0.0F, used_ - static_cast<float>(n)); }

 private:
  TimePoint last_{};
  float used_ = 0;
  bool begun_ = false;
};

}  // namespace ferrotunnel::http
