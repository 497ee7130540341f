#include "app/cli/completion.h"

#include <algorithm>
#include <vector>

#include "app/cli/commands.h"

namespace ferrotunnel::cli {
namespace {

// What a flag's value is completed with.
enum class Complete : std::uint8_t { Nothing, Files, Words };
struct Values {
  Complete how = Complete::Nothing;
  std::string words;  // separated by spaces
};

Values values_of(const Flag& flag) {
  const std::string_view value = flag.value;
  if (value == "FILE" || value == "DIR" || value == "TOKEN|@FILE") return {Complete::Files, {}};
  if (flag.name == "log-format") return {Complete::Words, "auto human json"};
  if (flag.name == "log-level") return {Complete::Words, "error warn info debug"};
  // "on|off", "v1|v2": the words themselves
  const bool alternatives = value.find('|') != std::string_view::npos &&
                            value.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789|") == std::string_view::npos;
  if (!alternatives) return {};
  std::string words(value);
  std::ranges::replace(words, '|', ' ');
  return {Complete::Words, words};
}

// The first sentence, without what a shell or a script could take for its own.
std::string short_help(std::string_view help) {
  std::string text(help.substr(0, std::min(help.find(". "), help.find_last_not_of('.') + 1)));
  std::erase_if(text, [](char c) { return c == '\'' || c == '"' || c == '`' || c == '$' || c == '\\'; });
  std::ranges::replace(text, '[', '(');
  std::ranges::replace(text, ']', ')');
  return text;
}

// "token new" begins with "token".
std::string_view first_word(std::string_view name) { return name.substr(0, name.find(' ')); }
std::string_view second_word(std::string_view name) {
  const std::size_t space = name.find(' ');
  return space == std::string_view::npos ? std::string_view() : name.substr(space + 1);
}

struct FirstWord {
  std::string_view word, summary;
  std::string seconds;  // "new list revoke"
};
std::vector<FirstWord> first_words() {
  std::vector<FirstWord> words;
  for (const Command& command : commands()) {
    const std::string_view first = first_word(command.name), second = second_word(command.name);
    const auto known = std::ranges::find(words, first, &FirstWord::word);
    FirstWord& entry = known != words.end()
                           ? *known
                           : words.emplace_back(first, second.empty() ? command.summary : "several commands", "");
    if (!second.empty()) entry.seconds += (entry.seconds.empty() ? "" : " ") + std::string(second);
  }
  return words;
}

template <class Call>
void each_flag(const Command& command, const Call& call) {
  for (const FlagGroup& group : command.groups)
    for (const Flag& flag : group.flags) call(flag);
}

// ---- bash ---------------------------------------------------------------------------------------------------------

std::string bash() {
  std::string firsts, pairs, flags, values;
  for (const FirstWord& word : first_words()) {
    firsts += std::string(word.word) + " ";
    if (!word.seconds.empty()) pairs += "    " + std::string(word.word) + ") words='" + word.seconds + "' ;;\n";
  }
  for (const Command& command : commands()) {
    const std::string name(command.name);
    flags += "    '" + name + "') flags='--help";
    each_flag(command, [&](const Flag& flag) {
      flags += " --" + std::string(flag.name);
      const Values how = values_of(flag);
      if (flag.value.empty()) return;
      values += "    '" + name + " --" + std::string(flag.name) + "') ";
      if (how.how == Complete::Files) values += "files=1 ;;\n";
      if (how.how == Complete::Words) values += "words='" + how.words + "' ;;\n";
      if (how.how == Complete::Nothing) values += "return ;;\n";
    });
    flags += "' ;;\n";
  }
  return "# bash completion for ferrotunnel. Load it: source <(ferrotunnel completion bash)\n"
         "_ferrotunnel() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} first=${COMP_WORDS[1]-}\n"
         "  local command=$first at=2 words= flags= files=\n"
         "  COMPREPLY=()\n"
         "  if ((COMP_CWORD == 1)); then\n"
         "    COMPREPLY=($(compgen -W '" +
         firsts +
         "help --help --version' -- \"$word\"))\n"
         "    return\n"
         "  fi\n"
         "  case $first in\n" +
         pairs +
         "  esac\n"
         "  if [[ -n $words ]]; then\n"
         "    if ((COMP_CWORD == 2)); then\n"
         "      COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "      return\n"
         "    fi\n"
         "    command=\"$first ${COMP_WORDS[2]}\" words=\n"
         "  fi\n"
         "  [[ $first == help ]] && words='" +
         firsts +
         "'\n"
         "  case \"$command $before\" in\n" +
         values +
         "    'completion completion') words='bash zsh fish' ;;\n"
         "    'http http' | 'check check') files=1 ;;\n"
         "  esac\n"
         "  case $command in\n" +
         flags +
         "  esac\n"
         "  if [[ -n $words ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "  elif [[ $word == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n"
         "  elif [[ -n $files ]]; then\n"
         "    compopt -o filenames 2>/dev/null\n"
         "    COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n"
         "  fi\n"
         "}\n"
         "complete -F _ferrotunnel ferrotunnel\n";
}

// ---- zsh ----------------------------------------------------------------------------------------------------------

// In a description of _arguments and _describe a colon ends it.
std::string zsh_help(std::string_view help) {
  std::string text;
  for (const char c : short_help(help)) text.append(c == ':' ? "\\:" : std::string(1, c));
  return text;
}

std::string zsh() {
  std::string describe, seconds, cases;
  for (const FirstWord& word : first_words()) {
    describe += "    '" + std::string(word.word) + ":" + zsh_help(word.summary) + "'\n";
    if (word.seconds.empty()) continue;
    seconds += "    " + std::string(word.word) + ")\n      if ((CURRENT == 3)); then compadd -- " + word.seconds +
               "; return; fi\n      command=\"$words[2] $words[3]\"; words[2]=(); ((CURRENT--)) ;;\n";
  }
  for (const Command& command : commands()) {
    cases += "    '" + std::string(command.name) + "')\n      _arguments '--help[its help]' \\\n";
    each_flag(command, [&](const Flag& flag) {
      cases += "        '" + std::string(flag.repeated ? "*" : "") + "--" + std::string(flag.name) + "[" +
               zsh_help(flag.help) + "]";
      const Values how = values_of(flag);
      if (!flag.value.empty()) {
        std::string value(flag.value);
        std::ranges::replace(value, ':', ' ');
        std::ranges::replace(value, '[', '(');
        std::ranges::replace(value, ']', ')');
        cases += ":" + value + ":";
        if (how.how == Complete::Files) cases += "_files";
        if (how.how == Complete::Words) cases += "(" + how.words + ")";
        if (how.how == Complete::Nothing) cases += " ";
      }
      cases += "' \\\n";
    });
    if (command.name == "completion")
      cases += "        '1:shell:(bash zsh fish)' ;;\n";
    else if (command.name == "http" || command.name == "check")
      cases += "        '1:target:_files' ;;\n";
    else
      cases += "        '1:" + std::string(command.target.empty() ? "nothing" : command.target) + ": ' ;;\n";
  }
  return "#compdef ferrotunnel\n"
         "# zsh completion for ferrotunnel. Load it: source <(ferrotunnel completion zsh), or keep it as _ferrotunnel "
         "in $fpath\n"
         "_ferrotunnel() {\n"
         "  local command=$words[2]\n"
         "  local -a all=(\n" +
         describe +
         "    'help:names the commands'\n"
         "  )\n"
         "  if ((CURRENT == 2)); then _describe command all; return; fi\n"
         "  if [[ $command == help ]]; then ((CURRENT == 3)) && _describe command all; return; fi\n"
         "  case $command in\n" +
         seconds +
         "  esac\n"
         "  shift words; ((CURRENT--))\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "}\n"
         "if [[ $funcstack[1] == _ferrotunnel ]]; then _ferrotunnel \"$@\"; else (($+functions[compdef])) && compdef "
         "_ferrotunnel ferrotunnel; fi\n";
}

// ---- fish ---------------------------------------------------------------------------------------------------------

std::string fish() {
  std::string out =
      "# fish completion for ferrotunnel. Load it: ferrotunnel completion fish | source\ncomplete -c ferrotunnel -f\n";
  std::string firsts;
  for (const FirstWord& word : first_words()) firsts += (firsts.empty() ? "" : " ") + std::string(word.word);
  for (const FirstWord& word : first_words()) {
    out += "complete -c ferrotunnel -n 'not __fish_seen_subcommand_from " + firsts + "' -a " + std::string(word.word) +
           " -d '" + short_help(word.summary) + "'\n";
    if (!word.seconds.empty())
      out += "complete -c ferrotunnel -n '__fish_seen_subcommand_from " + std::string(word.word) +
             "; and not __fish_seen_subcommand_from " + word.seconds + "' -a '" + word.seconds + "'\n";
  }
  for (const Command& command : commands()) {
    std::string when = "'__fish_seen_subcommand_from " + std::string(first_word(command.name));
    if (const auto second = second_word(command.name); !second.empty())
      when += "; and __fish_seen_subcommand_from " + std::string(second);
    when += "'";
    const std::string begin = "complete -c ferrotunnel -n " + when;
    each_flag(command, [&](const Flag& flag) {
      out += begin + " -l " + std::string(flag.name) + (flag.value.empty() ? "" : " -x") + " -d '" +
             short_help(flag.help) + "'";
      const Values how = values_of(flag);
      if (how.how == Complete::Files) out += " -a '(__fish_complete_path)'";
      if (how.how == Complete::Words) out += " -a '" + how.words + "'";
      out += "\n";
    });
    if (command.name == "completion") out += begin + " -a 'bash zsh fish'\n";
    if (command.name == "http" || command.name == "check") out += begin + " -a '(__fish_complete_path)'\n";
  }
  return out;
}

}  // namespace

std::optional<std::string> completion_of(std::string_view shell) {
  if (shell == "bash") return bash();
  if (shell == "zsh") return zsh();
  if (shell == "fish") return fish();
  return std::nullopt;
}

}  // namespace ferrotunnel::cli
