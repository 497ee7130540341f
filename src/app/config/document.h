// Document: a TOML text as values that know where they stand. The one place that knows the TOML library. Values; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "app/config/errors.h"

namespace ferrotunnel::app::config {

struct Value {
  enum class Kind : std::uint8_t {
    Bool,
    Integer,
    Float,
    String,
    Date,           // with a zone, or the beginning of a day in UTC
    LocalDateTime,  // without a zone: a moment that nobody can name
    Time,
    Array,
    Table
  };
  using Members = std::map<std::string, Value, std::less<>>;

  Kind kind = Kind::Table;
  Place place;  // of its key in the file; of an array's element: its own
  bool flag = false;
  bool unusable = false;  // a variable in it is missing, which is reported already
  bool literal = false;   // of a string: something in it stands in the file, not in a variable of the environment
  std::int64_t integer = 0;
  double real = 0;
  std::string text;
  std::chrono::sys_seconds date{};
  std::vector<Value> items;
  Members members;

  [[nodiscard]] const Value* find(std::string_view key) const;
};

[[nodiscard]] std::string_view kind_name(Value::Kind kind);  // "a string"

// The members of a table in the order of the file.
[[nodiscard]] std::vector<const Value::Members::value_type*> in_order(const Value& table);

// Mistakes in the syntax go to `errors`. Where leaving out the lines they are in gives a whole text again, the rest is read all the same, so that
// its mistakes are found too (and ConfigErrors::leave_out() is called); otherwise the table is empty.
[[nodiscard]] Value parse_document(std::string_view text, std::uint32_t file, ConfigErrors& errors);

}  // namespace ferrotunnel::app::config
