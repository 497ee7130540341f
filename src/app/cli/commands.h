// What the commands are called, which flags they have and what their help says: data, read by arguments.cc (which parses by it) and
// help.cc (which prints it), so that the two cannot differ. Static; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ferrotunnel::cli {

struct Flag {
  std::string_view name;   // "listen", without dashes
  std::string_view value;  // "ADDR"; empty: a switch
  std::string_view help;   // sentences; ends with the default where there is one
  bool repeated = false;   // may be given several times
  // In its environment variable such values are separated by white space; with this, because there are blanks in them, each is a line.
  bool by_line = false;
};
// What help and manual say of it.
[[nodiscard]] std::string text_of(const Flag& flag);
[[nodiscard]] std::string environment_name(const Flag& flag);  // "FERROTUNNEL_LISTEN"

struct FlagGroup {
  std::string_view title;
  std::span<const Flag> flags;
};

// The group of flags that are another program's names for ours (compat.h).
inline constexpr std::string_view kCompatibilityTitle = "COMPATIBILITY";

struct Example {
  std::string_view says, line;
};

struct Command {
  std::string_view name;
  std::string_view summary;      // half a sentence
  std::string_view synopsis;     // behind the name
  std::string_view target;       // what its one positional argument is called; empty: it has none
  std::string_view description;  // paragraphs, separated by empty lines
  std::span<const FlagGroup> groups;
  std::span<const Example> examples;
};

[[nodiscard]] std::span<const Command> commands();
[[nodiscard]] const Command* find_command(std::string_view name);
[[nodiscard]] const Flag* find_flag(const Command& command, std::string_view name);

// The nearest of the names to what was typed, if one is near enough to be meant.
class Nearest {
 public:
  explicit Nearest(std::string_view typed) : typed_(typed) {}
  void offer(std::string_view name);
  [[nodiscard]] std::string_view best() const { return best_; }  // empty: none is near

 private:
  std::string_view typed_;
  std::string_view best_;
  std::size_t distance_ = static_cast<std::size_t>(-1);
};

}  // namespace ferrotunnel::cli
