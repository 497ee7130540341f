// A ServerStatus for programs: what the control socket answers. Any thread.
#pragma once

#include <boost/json/object.hpp>

#include "ferrotunnel/server.h"

namespace ferrotunnel::app {

[[nodiscard]] boost::json::object status_json(const ServerStatus& status);

}  // namespace ferrotunnel::app
