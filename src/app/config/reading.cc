#include "app/config/reading.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "app/config/sources.h"
#include "app/config/values.h"

namespace ferrotunnel::app::config {
namespace {

using Kind = Value::Kind;

std::string shown(const Key& key, std::uint64_t number) {
  if (key.type == Type::Duration && number != 0) {
    for (const auto& [unit, name] : {std::pair{3'600'000u, "h"}, {60'000u, "m"}, {1'000u, "s"}})
      if (number >= unit && number % unit == 0) return std::to_string(number / unit) + name;
    return std::to_string(number) + "ms";
  }
  if (key.type == Type::Size) {
    for (const auto& [shift, name] : {std::pair{30u, "G"}, {20u, "M"}, {10u, "K"}})
      if (number != 0 && (number & ((std::uint64_t{1} << shift) - 1)) == 0)
        return std::to_string(number >> shift) + name;
  }
  return std::to_string(number);
}

std::string wanted(const Key& key) {
  switch (key.type) {
    case Type::Bool: return "true or false is wanted";
    case Type::Text:
    case Type::Path: return "a string is wanted";
    case Type::Texts: return "a string or an array of strings is wanted";
    case Type::TextsOrTrue: return "true, false, a string or an array of strings is wanted";
    case Type::Ports: return "an array of ports and ranges is wanted, such as [2222, \"3000-3010\"]";
    case Type::Choice: {
      std::string list;
      for (const std::string_view word : words(key.choices))
        list += (list.empty() ? "\"" : ", \"") + std::string(word) + "\"";
      return "one of " + list + " is wanted";
    }
    case Type::Number:
      return "a whole number from " + std::to_string(key.least) + " to " + std::to_string(key.most) + " is wanted";
    case Type::Size:
      return "a size from " + shown(key, key.least) + " to " + shown(key, key.most) +
             " is wanted, such as \"64K\" or \"10M\", or bytes";
    case Type::Duration:
      return "a duration from " + shown(key, key.least) + " to " + shown(key, key.most) +
             " is wanted, such as \"250ms\", \"30s\" or \"5m\", or seconds";
    case Type::Date: return "a date without quotes is wanted, such as 2027-01-31 or 2027-01-31T12:00:00Z";
    case Type::Secret:
      return "a secret is wanted: a string, { file = \"...\" }, { env = \"NAME\" } or { command = [\"...\"] }";
    case Type::Tables: return "tables are wanted";
    case Type::Secrets: return "an array of one or two secrets is wanted";
  }
  return {};
}

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n\v\f";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

bool Reading::wrong(const Value& value, const std::string& text) {
  errors_.add(value.place, where_ + ": " + text);
  return false;
}

bool Reading::wrong_kind(const Key& key, const Value& value) {
  return wrong(value, wanted(key) + ", not " + std::string(kind_name(value.kind)));
}

bool Reading::checked(const Key& key, const std::string& text, Place place) {
  if (key.check == nullptr) return true;
  const auto right = key.check(text);
  if (!right) errors_.add(place, where_ + ": " + right.error().context);
  return right.has_value();
}

std::optional<Read> Reading::read(const Key& key, const Value& value, const std::string& where) {
  if (value.unusable) return std::nullopt;
  where_ = where;
  Read read;
  bool good = false;
  switch (key.type) {
    case Type::Bool:
      good = value.kind == Kind::Bool || wrong_kind(key, value);
      read.flag = value.flag;
      break;
    case Type::Text:
    case Type::Path:
    case Type::Choice:
      if (auto text = text_of(key, value)) {
        read.text = std::move(*text);
        good = true;
      }
      break;
    case Type::TextsOrTrue:
      if (value.kind == Kind::Bool) {
        read.flag = value.flag;
        good = true;
        break;
      }
      [[fallthrough]];
    case Type::Texts:
    case Type::Ports: good = read_texts(key, value, read); break;
    case Type::Number:
    case Type::Size:
    case Type::Duration: good = read_number(key, value, read); break;
    case Type::Date: {
      // What a clock of nanoseconds in 64 bits can hold.
      constexpr std::chrono::sys_days kFirst{std::chrono::year(1970) / 1 / 1}, kEnd{std::chrono::year(2262) / 1 / 1};
      if (value.kind != Kind::Date) return wrong_kind(key, value), std::nullopt;
      if (value.date < kFirst || value.date >= kEnd)
        return wrong(value, "a date from 1970 to 2261 is wanted"), std::nullopt;
      read.date = value.date;
      good = true;
      break;
    }
    case Type::Secret:
      if (auto secret = secret_of(key, value)) {
        read.text = std::move(*secret);
        good = true;
      }
      break;
    case Type::Tables: break;
    case Type::Secrets: good = read_secrets(key, value, read); break;
  }
  if (!good) return std::nullopt;
  return read;
}

bool Reading::read_number(const Key& key, const Value& value, Read& into) {
  std::optional<std::uint64_t> number;
  if (value.kind == Kind::Integer && value.integer >= 0) {
    number = static_cast<std::uint64_t>(value.integer);
    if (key.type == Type::Duration) number = *number > key.most / 1'000 ? key.most + 1 : *number * 1'000;
  } else if (value.kind == Kind::Float && key.type == Type::Duration && value.real >= 0 &&
             value.real <= static_cast<double>(key.most) / 1'000) {
    number = static_cast<std::uint64_t>(std::llround(value.real * 1'000));
  } else if (value.kind == Kind::String && key.type == Type::Duration) {
    if (const auto time = parse_duration(value.text)) number = static_cast<std::uint64_t>(time->count());
  } else if (value.kind == Kind::String && key.type == Type::Size) {
    number = parse_size(value.text);
  } else if (value.kind != Kind::Integer && !(value.kind == Kind::Float && key.type == Type::Duration)) {
    return wrong_kind(key, value);
  }
  if (!number || *number < key.least || *number > key.most) {
    std::string said = value.kind == Kind::String    ? "'" + value.text + "'"
                       : value.kind == Kind::Integer ? std::to_string(value.integer)
                                                     : "this";
    return wrong(value, wanted(key) + "; " + said + " is none");
  }
  into.number = *number;
  if (key.type == Type::Duration) into.time = std::chrono::milliseconds(*number);
  return true;
}

std::optional<std::string> Reading::text_of(const Key& key, const Value& value) {
  if (value.kind != Kind::String) {
    wrong_kind(key, value);
    return std::nullopt;
  }
  if (key.type == Type::Choice) {
    NearestName nearest(value.text);
    for (const std::string_view word : words(key.choices)) {
      if (word == value.text) return value.text;
      nearest.offer(word);
    }
    wrong(value, wanted(key) + ", not \"" + value.text + "\"" +
                     (nearest.best().empty() ? "" : "; did you mean \"" + std::string(nearest.best()) + "\"?"));
    return std::nullopt;
  }
  if (key.type == Type::Path && value.text.empty()) {
    wrong(value, "a path is missing; leave the key out for its default");
    return std::nullopt;
  }
  if (!checked(key, value.text, value.place)) return std::nullopt;
  if (key.type != Type::Path) return value.text;
  std::string path = beside(value.text, value.place, errors_);
  if (const auto good = outside_.check_files(key.files, path); !good) {
    wrong(value, good.error().context);
    return std::nullopt;
  }
  return path;
}

bool Reading::read_texts(const Key& key, const Value& value, Read& into) {
  const auto one = [&](const Value& item) {
    if (item.unusable) return false;
    if (item.kind == Kind::Integer && key.type == Type::Ports) {
      into.texts.push_back(std::to_string(item.integer));
    } else if (item.kind == Kind::String) {
      into.texts.push_back(item.text);
    } else {
      return wrong(item, std::string(key.type == Type::Ports ? "a port or a range is wanted" : "a string is wanted") +
                             ", not " + std::string(kind_name(item.kind)));
    }
    return checked(key, into.texts.back(), item.place);
  };
  if (value.kind == Kind::String || (value.kind == Kind::Integer && key.type == Type::Ports)) return one(value);
  if (value.kind != Kind::Array) return wrong_kind(key, value);
  bool good = true;
  for (const Value& item : value.items) good = one(item) && good;
  return good;
}

bool Reading::read_secrets(const Key& key, const Value& value, Read& into) {
  if (value.kind != Kind::Array) return wrong_kind(key, value);
  if (value.items.empty() || value.items.size() > 2)
    return wrong(value, wanted(key) + ", not " + std::to_string(value.items.size()));
  bool good = true;
  for (const Value& item : value.items) {
    auto secret = secret_of(key, item);
    good = secret && good;
    if (secret) into.texts.push_back(std::move(*secret));
  }
  return good;
}

std::optional<std::string> Reading::secret_of(const Key& key, const Value& value) {
  if (value.unusable) return std::nullopt;
  std::optional<std::string> secret;
  if (value.kind == Kind::String) {
    if (value.literal && !may_stand_in_its_file(value)) return std::nullopt;
    secret = trimmed(value.text);
  } else if (value.kind == Kind::Table) {
    secret = secret_from(value);
  } else {
    wrong(value, wanted({.name = key.name, .type = Type::Secret}) + ", not " + std::string(kind_name(value.kind)));
  }
  if (!secret || !checked(key, *secret, value.place)) return std::nullopt;
  return secret;
}

bool Reading::may_stand_in_its_file(const Value& secret) {
  const auto ours = outside_.check_private(errors_.file_name(secret.place.file));
  return ours || wrong(secret, "a secret stands here, and " + ours.error().context +
                                   ", or leave the secret in a file of its own: { file = \"...\" }");
}

// { file = "..." } and the like.
std::optional<std::string> Reading::secret_from(const Value& source) {
  constexpr std::string_view kSources[] = {"file", "env", "command"};
  bool known = true;
  for (const auto* member : in_order(source)) {
    NearestName nearest(member->first);
    for (const std::string_view name : kSources) nearest.offer(name);
    if (nearest.best() == member->first) continue;
    known =
        wrong(member->second, "unknown key \"" + member->first + "\" of a secret; " +
                                  (nearest.best().empty() ? "file, env and command are known"
                                                          : "did you mean \"" + std::string(nearest.best()) + "\"?"));
  }
  if (!known) return std::nullopt;
  if (source.members.size() != 1) {
    wrong(source, "a secret comes from one of file, env and command");
    return std::nullopt;
  }
  const auto& [name, value] = *source.members.begin();
  if (value.unusable || std::ranges::any_of(value.items, &Value::unusable)) return std::nullopt;
  auto text = fetch(name, value);
  if (!text) {
    wrong(value, text.error().context);
    return std::nullopt;
  }
  if (text->find('\0') != std::string::npos) {
    wrong(value, "there is a NUL character in the secret: is this the right " + name + "?");
    return std::nullopt;
  }
  return trimmed(*text);
}

Result<std::string> Reading::fetch(const std::string& source, const Value& value) {
  const auto bad = [](std::string text) {
    return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(text)));
  };
  if (source == "command") {
    std::vector<std::string> command;
    for (const Value& word : value.items) {
      if (word.kind != Kind::String) command.clear();
      if (word.kind != Kind::String) break;
      command.push_back(word.text);
    }
    if (command.empty() || command[0].empty())
      return bad(
          "command: a program and its arguments are wanted, such as [\"pass\", \"tunnel\"]; no shell looks at them");
    if (commands_left_ <= std::chrono::milliseconds::zero())
      return bad("the commands of this file have taken longer than " + std::to_string(kMaxCommands.count() / 1'000) +
                 " s together; this one was not started");
    const auto begun = std::chrono::steady_clock::now();
    auto text = outside_.run(command, std::min(kMaxCommand, commands_left_));
    commands_left_ -= std::chrono::ceil<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun);
    return text;
  }
  if (value.kind != Kind::String || value.text.empty())
    return bad(source == "file" ? "file: the path of a file is wanted" : "env: the name of a variable is wanted");
  if (source == "file") return outside_.read_secret_file(beside(value.text, value.place, errors_));
  auto text = outside_.environment(value.text);
  if (!text) return bad("the environment has no variable " + value.text);
  return std::move(*text);
}

}  // namespace ferrotunnel::app::config
