// Arguments: what was typed and what the environment says, by flag, before anybody asks what it means.
//
// parse_arguments() finds the command and its flags, and says which name was meant where one is mistyped. Values; main thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/cli/commands.h"
#include "ferrotunnel/error.h"

namespace ferrotunnel::cli {

class Arguments {
 public:
  struct Value {
    std::string text;
    std::string from;  // "--listen" or "FERROTUNNEL_LISTEN", for messages
  };

  [[nodiscard]] const Command& command() const { return *command_; }
  [[nodiscard]] const std::string& target() const { return target_; }

  // Flag over environment; nothing where neither says anything.
  [[nodiscard]] std::optional<Value> value(std::string_view flag) const;
  [[nodiscard]] std::vector<Value> values(std::string_view flag) const;

  // As if these had been typed, though they keep where they are from; none: as if nothing was said, not even by the environment.
  void put(std::string_view flag, std::vector<Value> values) {
    given_.insert_or_assign(std::string(flag), std::move(values));
  }
  void drop(std::string_view flag) { put(flag, {}); }

 private:
  friend Result<struct ParsedLine> parse_arguments(const std::vector<std::string>& words);

  const Command* command_ = nullptr;
  std::string target_;
  std::map<std::string, std::vector<Value>, std::less<>> given_;
};

// "a,b" in its parts; "" is one empty part.
[[nodiscard]] std::vector<std::string> comma_list(std::string_view text);

struct ParsedLine {
  Arguments arguments;
  std::string print;  // help or the version: print this and be done
  std::vector<std::string>
      notes;  // for stderr, one line each: what is meant by the words of another program (compat.h)
};
// `words` without the program's name. Errors: BadInput.
[[nodiscard]] Result<ParsedLine> parse_arguments(const std::vector<std::string>& words);

}  // namespace ferrotunnel::cli
