// Fields: reads the fields of one control message, or of an object within one. For control.cc and tunnel_fields.cc alone.
#pragma once

#include <array>
#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "wire/base64.h"
#include "wire/control.h"

namespace ferrotunnel::wire {

namespace json = boost::json;

inline constexpr std::uint64_t kMaxU32 = 0xffff'ffff;
inline constexpr std::uint64_t kMaxPort = 0xffff;

inline Error protocol_error(std::string text) { return {ErrorCode::Protocol, Side::Tunnel, false, std::move(text)}; }

inline json::string_view to_json(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view from_json(json::string_view text) { return {text.data(), text.size()}; }

// Takes the fields of one message; remembers the first that is not as it should be.
class Fields {
 public:
  Fields(std::string_view type, const json::object& object) : type_(type), object_(object) {}

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  std::string text(std::string_view field, std::size_t limit) {
    const json::string* value = string(field);
    if (value == nullptr) return {};
    if (value->size() > limit) {
      wrong(field, "is longer than " + std::to_string(limit) + " bytes");
      return {};
    }
    return {value->data(), value->size()};
  }

  std::string name(std::string_view field) {
    const json::string* value = string(field);
    if (value == nullptr) return {};
    if (!valid_name(from_json(*value))) {
      wrong(field, "is not 1 to 64 of A-Z a-z 0-9 . _ - (the first not . or -)");
      return {};
    }
    return {value->data(), value->size()};
  }

  template <std::size_t N>
  void bytes(std::string_view field, std::array<std::byte, N>& into) {
    const json::string* value = string(field);
    if (value != nullptr && !base64url_decode_exact(from_json(*value), into))
      wrong(field, "is not " + std::to_string(N) + " bytes of base64url");
  }

  template <class T>
  void number(std::string_view field, T& into, std::uint64_t least, std::uint64_t most) {
    const json::value* value = find(field);
    if (value == nullptr) return;
    std::uint64_t n = 0;
    if (const auto* u = value->if_uint64()) {
      n = *u;
    } else if (const auto* i = value->if_int64(); i != nullptr && *i >= 0) {
      n = static_cast<std::uint64_t>(*i);
    } else {
      return wrong(field, "is not a whole number");
    }
    if (n < least || n > most)
      return wrong(field, "is not within " + std::to_string(least) + " and " + std::to_string(most));
    into = static_cast<T>(n);
  }

  // Left out: false.
  bool flag(std::string_view field) {
    if (!has(field)) return false;
    const json::value* value = find(field);
    if (!value->is_bool()) wrong(field, "is neither true nor false");
    return value->is_bool() && value->get_bool();
  }

  std::vector<std::string> texts(std::string_view field, std::size_t most, std::size_t limit) {
    std::vector<std::string> list;
    const json::value* value = find(field);
    if (value == nullptr) return list;
    const json::array* array = value->if_array();
    if (array == nullptr || array->size() > most) {
      wrong(field, "is not a list of at most " + std::to_string(most) + " strings");
      return list;
    }
    list.reserve(array->size());
    for (const json::value& one : *array) {
      const json::string* text = one.if_string();
      if (text == nullptr || text->size() > limit) {
        wrong(field, "has an item that is not a string of at most " + std::to_string(limit) + " bytes");
        return list;
      }
      list.emplace_back(text->data(), text->size());
    }
    return list;
  }

  [[nodiscard]] const json::array* array(std::string_view field, std::size_t most) {
    const json::value* value = find(field);
    if (value == nullptr) return nullptr;
    const json::array* list = value->if_array();
    if (list != nullptr && list->size() <= most) return list;
    wrong(field, "is not a list of at most " + std::to_string(most));
    return nullptr;
  }

  // An object inside, read as one of its own. Nothing where it is none.
  [[nodiscard]] const json::object* object(std::string_view field) {
    const json::value* value = find(field);
    if (value == nullptr) return nullptr;
    const json::object* inside = value->if_object();
    if (inside == nullptr) wrong(field, "is not an object");
    return inside;
  }
  [[nodiscard]] Fields inside(const json::object& object) const { return {type_, object}; }
  void take_error(const Fields& inside) {
    if (!error_) error_ = inside.error_;
  }

  [[nodiscard]] bool has(std::string_view field) const { return object_.if_contains(to_json(field)) != nullptr; }

  void wrong(std::string_view field, std::string_view how) {
    if (error_) return;
    std::string text("the peer's message \"");
    text.append(type_).append("\": field \"").append(field).append("\" ").append(how);
    error_ = protocol_error(std::move(text));
  }

 private:
  const json::value* find(std::string_view field) {
    const json::value* value = object_.if_contains(to_json(field));
    if (value == nullptr) wrong(field, "is missing");
    return value;
  }

  const json::string* string(std::string_view field) {
    const json::value* value = find(field);
    if (value == nullptr) return nullptr;
    const json::string* text = value->if_string();
    if (text == nullptr) wrong(field, "is not a string");
    return text;
  }

  std::string_view type_;
  const json::object& object_;
  std::optional<Error> error_;
};

}  // namespace ferrotunnel::wire
