// Reading: values of a file by the types of their keys, secrets among them. One thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "app/config/document.h"
#include "app/config/keys.h"
#include "app/config/outside.h"

namespace ferrotunnel::app::config {

class Reading {
 public:
  Reading(Outside& outside, ConfigErrors& errors) : outside_(outside), errors_(errors) {}

  // `where`: "server.listen". Nothing: it is not as the key wants it, and `errors` has why.
  [[nodiscard]] std::optional<Read> read(const Key& key, const Value& value, const std::string& where);

 private:
  bool read_number(const Key& key, const Value& value, Read& into);
  bool read_texts(const Key& key, const Value& value, Read& into);
  bool read_secrets(const Key& key, const Value& value, Read& into);
  std::optional<std::string> text_of(const Key& key, const Value& value);
  std::optional<std::string> secret_of(const Key& key, const Value& value);
  bool may_stand_in_its_file(const Value& secret);
  std::optional<std::string> secret_from(const Value& source);
  Result<std::string> fetch(const std::string& source, const Value& value);
  bool checked(const Key& key, const std::string& text, Place place);
  bool wrong(const Value& value, const std::string& text);
  bool wrong_kind(const Key& key, const Value& value);

  Outside& outside_;
  ConfigErrors& errors_;
  std::string where_;
  std::chrono::milliseconds commands_left_ = kMaxCommands;
};

}  // namespace ferrotunnel::app::config
