// Conditional requests and ranges (RFC 9110 sections 8.8, 13 and 14): which answer a file gets. Pure functions; any thread.
//
// One range is answered with 206. Several are answered with the whole file, as section 14.2 allows: a multipart body costs a visitor that
// asks for many little ones more than it gains, and nobody who resumes a download needs it. A range to HEAD is none.
#pragma once

#include <cstdint>
#include <string>

#include "http/message.h"

namespace ferrotunnel::origin::files {

struct FileFacts {
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;  // since 1970
};

struct Validators {
  std::string etag;           // as it is sent: quotes and W/ included
  std::int64_t modified = 0;  // Last-Modified in seconds; never after now
  // False: the file changed so lately that it could change again within the clock of its file system, unseen. Then neither validator
  // proves that bytes are the same, and both say so.
  bool strong = false;
};
[[nodiscard]] Validators validators_of(const FileFacts& file, std::int64_t now_ns);

struct Verdict {
  std::uint16_t status = 200;  // 200, 206, 304, 412 or 416
  std::uint64_t first = 0;     // of the bytes to send, where 200 or 206
  std::uint64_t length = 0;
};
// For GET and HEAD. `now` in seconds.
[[nodiscard]] Verdict judge(const http::RequestHead& request, const Validators& validators, std::uint64_t size,
                            std::int64_t now);

}  // namespace ferrotunnel::origin::files
