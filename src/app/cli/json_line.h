// JsonObject: one flat JSON object, written member by member. Strings are escaped (escape.h), so that whatever comes from outside, the result
// is one line of valid JSON. A value; owner's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ferrotunnel::cli {

class JsonObject {
 public:
  JsonObject& text(std::string_view name, std::string_view value);
  // Left out where it is empty.
  JsonObject& text_if(std::string_view name, std::string_view value) {
    return value.empty() ? *this : text(name, value);
  }
  JsonObject& number(std::string_view name, std::uint64_t value);
  JsonObject& milliseconds(std::string_view name, std::uint64_t microseconds);  // 12.345
  JsonObject& boolean(std::string_view name, bool value);
  [[nodiscard]] std::string finish();

 private:
  void name(std::string_view name);
  std::string out_;
};

}  // namespace ferrotunnel::cli
