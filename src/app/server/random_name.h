// Names for tunnels that asked for none: easy to say, hard to guess (42 bits). Any thread.
#pragma once

#include <string>

namespace ferrotunnel::app {

// One label of a host name (RFC 1035 section 2.3.1), such as "calm-otter-h3k9wx".
[[nodiscard]] std::string random_name();

}  // namespace ferrotunnel::app
