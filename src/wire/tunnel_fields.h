// What `register` and `update` say of a tunnel's limits, rules, carriage and origin. For control.cc alone.
#pragma once

#include <vector>

#include "wire/control_fields.h"
#include "wire/control_writer.h"

namespace ferrotunnel::wire {

[[nodiscard]] Limits read_limits(Fields& outer);
[[nodiscard]] std::vector<Rule> read_rules(Fields& outer);
// A later version's word is as good as none said.
[[nodiscard]] Carry read_carry(Fields& f);
// What a later version knows is refused by whoever has to speak it, not taken for something else.
[[nodiscard]] OriginProto read_origin(Fields& f);

// What is no limit is left out.
void write_limits(Writer& w, const Limits& m);
void write_rules(Writer& w, const std::vector<Rule>& rules);

}  // namespace ferrotunnel::wire
