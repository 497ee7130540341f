// Limits: how much of a message's frame (head, chunk lines, trailers) this room takes before it refuses. Bodies are never held here.
//
// Each limit is inclusive: a message that is exactly at it passes. They bite while bytes arrive, so a caller never has to hold
// more than head_bytes. A value; copies freely; any thread. Units: bytes, unless said otherwise.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ferrotunnel::http {

struct Limits {
  std::uint32_t head_bytes = 32 * 1024;   // start line to the empty line, both included; else 431
  std::uint32_t fields = 100;             // field lines; else 431
  std::uint32_t target_bytes = 8 * 1024;  // request target; else 414
  std::uint32_t method_bytes = 32;        // else 501
  std::uint32_t connection_options = 32;  // members of Connection: each costs a look at every field on forwarding
  std::uint32_t chunk_line_bytes = 256;   // size and extensions, without CRLF
  std::uint32_t chunk_overhead_bytes = 16 * 1024;  // extensions that no payload pays for, over a whole body
  std::uint32_t trailer_bytes = 8 * 1024;          // trailer section including its empty line
  std::uint32_t interim_responses = 100;           // 1xx before a final response; counted by the caller
};

}  // namespace ferrotunnel::http
