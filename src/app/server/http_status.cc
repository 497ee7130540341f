#include "app/server/http_status.h"

#include <array>

namespace ferrotunnel::app {
namespace {

std::uint64_t Http2Abuse::* member_of(http::H2Abuse kind) {
  switch (kind) {
    case http::H2Abuse::Resets: return &Http2Abuse::resets;
    case http::H2Abuse::MadeResets: return &Http2Abuse::made_resets;
    case http::H2Abuse::Settings: return &Http2Abuse::settings;
    case http::H2Abuse::Pings: return &Http2Abuse::pings;
    case http::H2Abuse::EmptyFrames: return &Http2Abuse::empty_frames;
    case http::H2Abuse::Priorities: return &Http2Abuse::priorities;
    case http::H2Abuse::WindowUpdates: return &Http2Abuse::window_updates;
    case http::H2Abuse::Continuations: return &Http2Abuse::continuations;
    case http::H2Abuse::HeaderBytes: return &Http2Abuse::header_bytes;
    case http::H2Abuse::Queued: return &Http2Abuse::queued;
    case http::H2Abuse::Unknown: return &Http2Abuse::unknown;
  }
  return &Http2Abuse::unknown;
}

}  // namespace

HttpStatus to_status(const ingress::HttpIngressStats& stats) {
  HttpStatus status;
  status.visitors = stats.visitors;
  status.h2_visitors = stats.h2_visitors;
  status.upgraded = stats.upgraded;
  status.idle_origins = stats.idle_origins;
  status.accepted = stats.accepted;
  status.moved = stats.moved;
  status.requests = stats.requests;
  status.h2_requests = stats.h2_requests;
  status.errors = stats.errors;
  status.redirects = stats.redirects;
  status.cut = stats.cut;
  status.timeouts = stats.timeouts;
  status.too_slow = stats.too_slow;
  status.half_closed = stats.half_closed;
  status.made_room = stats.made_room;
  status.no_memory = stats.no_memory;
  status.retries = stats.retries;
  status.origins_opened = stats.origins_opened;
  status.origins_reused = stats.origins_reused;
  status.origins_dropped = stats.origins_dropped;
  status.rule_timeouts = stats.rule_timeouts;
  status.auth_busy = stats.auth_busy;
  status.auth_limited = stats.auth_limited;
  status.h2_upgrades = stats.h2_upgrades;
  status.h2_malformed = stats.h2_malformed;
  status.h2_stalled = stats.h2_stalled;
  status.h2_origin_abuse = stats.h2_origin_abuse;
  status.compressed = stats.compressed;
  status.compressed_in = stats.compressed_in;
  status.compressed_out = stats.compressed_out;
  for (std::size_t i = 0; i < http::kH2Abuses; ++i)
    status.h2_abuse.*member_of(static_cast<http::H2Abuse>(i)) = stats.h2_abuse[i];
  return status;
}

}  // namespace ferrotunnel::app
