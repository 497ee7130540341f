// Coders: content codings (RFC 9110 section 8.4.1) as Transforms. Private to builtin/.
#pragma once

#include <memory>
#include <string_view>

#include "plugin/phases.h"

namespace ferrotunnel::plugin {

// Fast levels: a shard's thread does it, and each response's state is counted against the memory budget.
// Null: there is no memory for it.
[[nodiscard]] std::unique_ptr<Transform> make_gzip_coder();
[[nodiscard]] std::unique_ptr<Transform> make_zstd_coder();
[[nodiscard]] std::unique_ptr<Transform> make_brotli_coder();

}  // namespace ferrotunnel::plugin
