// KeptHead: a request head that outlives the bytes that it was parsed from. A value; any thread.
#pragma once

#include <cstddef>
#include <string>

#include "http/message.h"

namespace ferrotunnel::http {

class KeptHead {
 public:
  explicit KeptHead(const RequestHead& head);
  KeptHead(const KeptHead&) = delete;
  KeptHead& operator=(const KeptHead&) = delete;

  // Its views are good as long as this is.
  [[nodiscard]] const RequestHead& head() const { return head_; }
  [[nodiscard]] std::size_t bytes() const { return text_.capacity() + head_.fields.size() * sizeof(Field); }

 private:
  std::string text_;
  RequestHead head_;
};

}  // namespace ferrotunnel::http
