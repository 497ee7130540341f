#include "app/cli/arguments.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <ranges>

#include "app/cli/compat.h"
#include "app/cli/escape.h"
#include "app/cli/help.h"
#include "ferrotunnel/config.h"

namespace ferrotunnel::cli {
namespace {

Error wrong(std::string text) { return {ErrorCode::BadInput, Side::Local, false, std::move(text)}; }

Error unknown_command(std::string_view typed) {
  Nearest nearest(typed);
  for (const Command& command : commands()) nearest.offer(command.name);
  std::string text = "there is no command '" + shown(typed, 80) + "'";
  if (!nearest.best().empty()) text += "; did you mean '" + std::string(nearest.best()) + "'?";
  return wrong(text + " (ferrotunnel --help names them all)");
}

// The key that a flag would be of, where no command has it.
std::string key_of_file(const Command& command, std::string_view flag) {
  constexpr std::size_t kMaxKey = 64;
  if (find_flag(command, "config") == nullptr || flag.empty() || flag.size() > kMaxKey) return {};
  const auto has = [flag](const Command& one) { return find_flag(one, flag) != nullptr; };
  if (std::ranges::any_of(commands(), has)) return {};
  std::string key(flag);
  std::ranges::replace(key, '-', '_');
  return config_reference().contains("\n| `" + key + "` |") ? key : std::string();
}

// Another command's flag, a mistyped one, or one too much on the line.
Error unknown_word(const Command& command, std::string_view typed) {
  const std::string name(command.name);
  if (!typed.starts_with('-') || typed == "-" || typed == "--")
    return wrong("'" + shown(typed, 80) + "' is one argument too many for ferrotunnel " + name + " (see ferrotunnel " +
                 name + " --help)");
  const std::string_view flag = typed.substr(
      typed.find_first_not_of('-') == std::string_view::npos ? typed.size() : typed.find_first_not_of('-'));
  const std::string_view bare = flag.substr(0, flag.find('='));
  Nearest nearest(bare);
  for (const FlagGroup& group : command.groups)
    for (const Flag& known : group.flags) nearest.offer(known.name);
  std::string text = "ferrotunnel " + name + " has no flag " + shown(typed.substr(0, typed.find('=')), 80);
  if (const std::string key = key_of_file(command, bare); !key.empty())
    return wrong(text + "; " + key + " is a key of configuration files alone, such as one of ferrotunnel " +
                 (name == "server" ? "server" : "client") + " --config FILE");
  if (!nearest.best().empty()) return wrong(text + "; did you mean --" + std::string(nearest.best()) + "?");
  std::string others;
  for (const Command& other : commands())
    if (&other != &command && find_flag(other, bare) != nullptr)
      others += (others.empty() ? "" : ", ") + std::string(other.name);
  if (!others.empty()) text += "; it belongs to " + others;
  return wrong(text + " (see ferrotunnel " + name + " --help)");
}

bool truthy(std::string_view text) { return text == "1" || text == "true" || text == "on" || text == "yes"; }

// Without blanks around each line, nor lines that are empty.
std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  constexpr std::string_view kBlanks = " \t\r";
  for (const auto part : std::views::split(text, '\n')) {
    const std::string_view line(part.begin(), part.end());
    const std::size_t at = line.find_first_not_of(kBlanks);
    if (at != std::string_view::npos) lines.emplace_back(line.substr(at, line.find_last_not_of(kBlanks) + 1 - at));
  }
  return lines;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  constexpr std::string_view kSpace = " \t\n";
  for (std::size_t at = text.find_first_not_of(kSpace); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(kSpace, at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = text.find_first_not_of(kSpace, end);
  }
  return words;
}

const Flag* flag_of(const Command& command, std::string_view word) {
  return word.starts_with("--") ? find_flag(command, word.substr(2)) : nullptr;
}

// A flag at the end, or before another flag, that should have a value; CLI11 would take the other flag for it.
std::optional<Error> missing_value(const Command& command, const std::vector<std::string>& words) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    const Flag* flag = flag_of(command, words[i]);
    if (flag == nullptr || flag->value.empty()) continue;
    if (i + 1 == words.size() || flag_of(command, words[i + 1]) != nullptr)
      return wrong(words[i] + " needs a value: " + words[i] + " " + std::string(flag->value));
    ++i;  // its value
  }
  return std::nullopt;
}

// A value behind a flag that is on or off, and is neither.
std::optional<Error> unwanted_value(const Command& command, const std::vector<std::string>& words) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (const Flag* flag = flag_of(command, word); flag != nullptr && !flag->value.empty()) ++i;  // its value
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view value = word.substr(equals + 1), bare = word.substr(0, equals);
    const Flag* flag = flag_of(command, bare);
    constexpr std::array<std::string_view, 8> kSwitch{"1", "true", "on", "yes", "0", "false", "off", "no"};
    if (flag == nullptr || !flag->value.empty() || std::ranges::find(kSwitch, value) != kSwitch.end()) continue;
    return wrong(std::string(bare) + " takes no value, such as '" + shown(value, 80) + "': write " + std::string(bare) +
                 " alone" +
                 (flag->name == "compress" ? "; which codings, the key compress of a configuration file says" : ""));
  }
  return std::nullopt;
}

// What stands behind the command, as CLI11 takes it: the last word first. It takes "--flag=" for a flag without a value, where an empty one is meant.
std::vector<std::string> backwards(const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (std::size_t i = words.size(); i-- > 1;) {
    const std::string& word = words[i];
    const bool empty_value = word.starts_with("--") && word.size() > 3 && word.find('=') == word.size() - 1;
    if (empty_value) out.emplace_back();
    out.push_back(empty_value ? word.substr(0, word.size() - 1) : word);
  }
  return out;
}

// Commands of two words ("token new") as one.
std::vector<std::string> joined(std::vector<std::string> words) {
  const std::size_t at = words.front() == "help" ? 1 : 0;
  if (words.size() < at + 2) return words;
  const std::string both = words[at] + " " + words[at + 1];
  if (find_command(both) == nullptr) return words;
  words[at] = both;
  words.erase(words.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  return words;
}

}  // namespace

std::vector<std::string> comma_list(std::string_view text) {
  std::vector<std::string> items;
  while (true) {
    const std::size_t comma = text.find(',');
    items.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return items;
    text.remove_prefix(comma + 1);
  }
}

std::vector<Arguments::Value> Arguments::values(std::string_view name) const {
  const Flag* flag = find_flag(*command_, name);
  if (flag == nullptr) return {};
  std::vector<Value> out;
  if (const auto at = given_.find(name); at != given_.end()) return at->second;
  const std::string variable = environment_name(*flag);
  const char* text = std::getenv(variable.c_str());
  if (text == nullptr || *text == '\0') return out;
  if (flag->value.empty() && !truthy(text)) return out;
  if (!flag->repeated) return {{text, variable}};
  for (std::string& one : flag->by_line ? lines_of(text) : words_of(text)) out.push_back({std::move(one), variable});
  return out;
}

std::optional<Arguments::Value> Arguments::value(std::string_view flag) const {
  auto all = values(flag);
  if (all.empty()) return std::nullopt;
  return std::move(all.back());
}

Result<ParsedLine> parse_arguments(const std::vector<std::string>& typed) {
  ParsedLine line;
  if (typed.empty())
    return std::unexpected(wrong("which command? One of server, http, tcp, client, version (see ferrotunnel --help)"));
  std::vector<std::string> words = joined(typed);
  const std::string first = words.front();
  if (first == "--help" || first == "-h" || (first == "help" && words.size() == 1)) {
    line.print = help_of_all();
    return line;
  }
  if (first == "--version" || first == "-V") {
    line.print = version_text(false);
    return line;
  }
  const bool help_asked = first == "help";
  const std::string name = help_asked ? words[1] : first;
  const Command* command = find_command(name);
  if (command == nullptr) {
    if (name.starts_with('-'))
      return std::unexpected(
          wrong("the command comes first: ferrotunnel server " + shown(name, 80) + " … (see ferrotunnel --help)"));
    return std::unexpected(unknown_command(name));
  }
  // "ferrotunnel http help": no service is called so.
  const bool help_behind =
      words.size() == 2 && words[1] == "help" && (command->target.empty() || command->target == "TARGET");
  if (help_asked || help_behind) {
    line.print = help_of(*command);
    return line;
  }
  words = with_bare_tls(*command, std::move(words));
  if (auto missing = missing_value(*command, words)) return std::unexpected(std::move(*missing));
  if (auto unwanted = unwanted_value(*command, words)) return std::unexpected(std::move(*unwanted));

  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  bool help = false;
  app.add_flag("-h,--help", help);
  std::map<std::string, std::vector<std::string>> texts;
  std::map<std::string, bool> switches;
  for (const FlagGroup& group : command->groups) {
    for (const Flag& flag : group.flags) {
      const std::string dashed = "--" + std::string(flag.name);
      if (flag.value.empty()) {
        app.add_flag(dashed, switches[std::string(flag.name)]);
      } else {
        app.add_option(dashed, texts[std::string(flag.name)])->allow_extra_args(false);
      }
    }
  }
  std::string target;
  if (!command->target.empty()) app.add_option("target", target);
  try {
    app.parse(backwards(words));
  } catch (const CLI::ArgumentMismatch&) {
    return std::unexpected(wrong("a flag has no value (see ferrotunnel " + name + " --help)"));
  } catch (const CLI::Error& error) {
    return std::unexpected(wrong(shown(error.what(), 200) + " (see ferrotunnel " + name + " --help)"));
  }
  if (help) {
    line.print = help_of(*command);
    return line;
  }

  const std::vector<std::string> extra = app.remaining();
  const auto dashed =
      std::ranges::find_if(extra, [](const std::string& word) { return word.starts_with('-') && word != "--"; });
  if (dashed != extra.end()) return std::unexpected(unknown_word(*command, *dashed));
  if (!extra.empty()) return std::unexpected(unknown_word(*command, extra.front()));

  Arguments& arguments = line.arguments;
  arguments.command_ = command;
  arguments.target_ = target;
  for (auto& [flag, given] : texts) {
    if (given.empty()) continue;
    if (given.size() > 1 && !find_flag(*command, flag)->repeated)
      return std::unexpected(wrong("--" + flag + " is given twice"));
    std::vector<Arguments::Value> values;
    for (std::string& text : given) values.push_back({std::move(text), "--" + flag});
    arguments.put(flag, std::move(values));
  }
  for (const auto& [flag, on] : switches)
    if (on) arguments.put(flag, {{"on", "--" + flag}});
  auto notes = translate(arguments);
  if (!notes) return std::unexpected(notes.error());
  line.notes = std::move(*notes);
  return line;
}

}  // namespace ferrotunnel::cli
