// HttpStatus from what the ingress of one shard counts. Pure functions; any thread.
#pragma once

#include "ferrotunnel/server.h"
#include "ingress/http1/http_ingress_host.h"

namespace ferrotunnel::app {

[[nodiscard]] HttpStatus to_status(const ingress::HttpIngressStats& stats);

}  // namespace ferrotunnel::app
