// What an exchange does whatever version of HTTP its visitor speaks. Private to http1/ and http2/; the shard's thread only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "http/message.h"
#include "ingress/http1/ingress_context.h"

namespace ferrotunnel::ingress {

// Appends the request head that the origin gets. `version`: of the visitor's HTTP, as Via says it; `proto`: "http" or "https";
// `host_rewrite`: in place of the visitor's Host, "" none.
void append_origin_head(std::string& out, const http::RequestHead& head, const IngressContext& context,
                        std::string_view version, std::string_view proto, const transport::PeerAddress& peer,
                        const RequestId& id, std::string_view host_rewrite,
                        const transport::VisitorCertificate* certificate = {});

// Counts a head of so many bytes to the memory budget, in place of the `charged` of before. It is no buffer of the pool's, but it is held as
// long as the answer takes and as large as the visitor likes.
void charge_head(IngressContext& context, std::size_t& charged, std::size_t bytes);

// Puts bytes of a response head that did not come in one piece behind the `size` that are gathered, as far as a head may be long (the
// scanner refuses it there). Gives all that is gathered.
[[nodiscard]] std::string_view gather_head(IngressContext& context, Buffer& gathered, std::size_t& size,
                                           ConstBytes bytes);

}  // namespace ferrotunnel::ingress
