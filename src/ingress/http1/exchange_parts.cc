#include "ingress/http1/exchange_parts.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "http/forward.h"
#include "transport/tcp/socket.h"

namespace ferrotunnel::ingress {

void append_origin_head(std::string& out, const http::RequestHead& head, const IngressContext& context,
                        std::string_view version, std::string_view proto, const transport::PeerAddress& peer,
                        const RequestId& id, std::string_view host_rewrite,
                        const transport::VisitorCertificate* certificate) {
  const std::string address = transport::to_string(peer);
  std::array<char, 64> via;
  http::ForwardContext forward;
  forward.visitor = address;
  forward.proto = proto;
  forward.request_id = id.text();
  forward.forwarded = true;
  if (!context.options.via.empty()) forward.via = http::via_value(version, context.options.via, via);
  forward.trust_forwarded = context.options.trust_forwarded;
  forward.host_rewrite = host_rewrite;
  if (certificate != nullptr) forward.certificate = certificate->told;
  http::append_request_head(out, head, forward);
}

void charge_head(IngressContext& context, std::size_t& charged, std::size_t bytes) {
  MemoryBudget& budget = context.shard.buffers().budget();
  if (bytes <= BufferPool::kSizes.front()) bytes = 0;  // small change
  if (bytes > charged) budget.add(bytes - charged);
  if (bytes < charged) budget.sub(charged - bytes);
  charged = bytes;
}

std::string_view gather_head(IngressContext& context, Buffer& gathered, std::size_t& size, ConstBytes bytes) {
  const std::size_t room = std::size_t{context.options.limits.head_bytes} + 1 - size;
  const std::size_t n = std::min(room, bytes.size());
  if (gathered.size() - size < n) {
    Buffer larger = context.shard.buffers().borrow(size + n);
    assert(larger.size() >= size + n);
    if (size > 0) std::memcpy(larger.data(), gathered.data(), size);
    gathered = std::move(larger);
  }
  std::memcpy(gathered.data() + size, bytes.data(), n);
  size += n;
  return as_text(gathered.bytes().first(size));
}

}  // namespace ferrotunnel::ingress
