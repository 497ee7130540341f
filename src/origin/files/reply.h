// What one request to a shared directory is answered with: a head, perhaps a short body, perhaps a part of an open file.
//
// GET and HEAD fetch; OPTIONS is 204; every other method is 405. A directory is its index.html, or else a page that lists it; without
// the slash at its end it is a 301 to the one with. File I/O is blocking, and none of it is of a file's content. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/h1_head.h"
#include "origin/files/open_file.h"

namespace ferrotunnel::origin::files {

struct Reply {
  std::string text;  // the head, and what body is no file's
  transport::UniqueFd file;
  std::uint64_t offset = 0;  // of the next byte of the file
  std::uint64_t left = 0;    // bytes of the file that are still to be sent
};

// `close`: the connection ends behind it, and the head says so.
[[nodiscard]] Reply make_reply(const Root& root, const http::RequestHead& request, std::int64_t now_ns, bool close);
// For a request that was no request.
[[nodiscard]] Reply make_refusal(const http::Refusal& refusal, std::int64_t now_ns);

}  // namespace ferrotunnel::origin::files
