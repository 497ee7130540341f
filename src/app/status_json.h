// A ServerStatus or ClientStatus for programs: what the control socket answers. Any thread.
#pragma once

#include <boost/json/object.hpp>

#include "ferrotunnel/client.h"
#include "ferrotunnel/server.h"

namespace ferrotunnel::app {

[[nodiscard]] boost::json::object status_json(const ServerStatus& status);
// And back; what is not there, or is of another type, is as in a ServerStatus that was just made.
[[nodiscard]] ServerStatus status_from_json(const boost::json::object& object);

// One part to the others, field by field.
void add(HttpStatus& to, const HttpStatus& part);

[[nodiscard]] boost::json::object status_json(const ClientStatus& status);
[[nodiscard]] ClientStatus client_status_from_json(const boost::json::object& object);
[[nodiscard]] boost::json::object reloaded_json(const Reloaded& reloaded);
[[nodiscard]] Reloaded reloaded_from_json(const boost::json::object& object);

}  // namespace ferrotunnel::app
