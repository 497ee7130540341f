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

 private:
  friend Result<struct ParsedLine> parse_arguments(const std::vector<std::string>& words);

  const Command* command_ = nullptr;
  std::string target_;
  std::map<std::string, std::vector<std::string>, std::less<>> given_;
};

// "a,b" in its parts; "" is one empty part.
[[nodiscard]] std::vector<std::string> comma_list(std::string_view text);

struct ParsedLine {
  Arguments arguments;
  std::string print;  // help or the version: print this and be done
};
// `words` without the program's name. Errors: BadInput.
[[nodiscard]] Result<ParsedLine> parse_arguments(const std::vector<std::string>& words);

}  // namespace ferrotunnel::cli
