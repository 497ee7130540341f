// WebSocketKey: the handshake's nonce of RFC 6455 section 4.1 and the answer that proves that it was read. A value; any thread.
#pragma once

#include <string>
#include <utility>

namespace ferrotunnel::ingress {

class WebSocketKey {
 public:
  WebSocketKey();  // random
  explicit WebSocketKey(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::string accept() const;  // what Sec-WebSocket-Accept has to be

 private:
  std::string text_;  // base64 of 16 bytes
};

}  // namespace ferrotunnel::ingress
