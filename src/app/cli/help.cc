#include "app/cli/help.h"

#include <sys/utsname.h>

#include <algorithm>
#include <string_view>

#include "app/cli/json_line.h"
#include "ferrotunnel/version.h"

namespace ferrotunnel::cli {
namespace {

constexpr std::size_t kIndent = 4;
constexpr unsigned kWireVersion = 1;  // docs/wire-protocol.md

// Breaks text between words. A paragraph ends at an empty line.
void append_wrapped(std::string& out, std::string_view text, std::size_t indent) {
  std::size_t column = 0;
  const auto new_line = [&] {
    out += '\n';
    column = 0;
  };
  while (!text.empty()) {
    if (text.starts_with("\n\n")) {
      new_line();
      new_line();
      text.remove_prefix(2);
      continue;
    }
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string_view word = text.substr(0, end);
    if (column != 0 && column + 1 + word.size() > kHelpWidth) new_line();
    if (column == 0) {
      out.append(indent, ' ');
      column = indent;
    } else {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    text.remove_prefix(end);
    if (text.starts_with(' ')) text.remove_prefix(1);
  }
  new_line();
}

void append_section(std::string& out, std::string_view title) {
  if (!out.empty()) out += '\n';
  out.append(title).append("\n");
}

void append_flag(std::string& out, const Flag& flag) {
  out.append(kIndent, ' ').append("--").append(flag.name);
  if (!flag.value.empty()) out.append(" ").append(flag.value);
  out += '\n';
  append_wrapped(out, text_of(flag), 2 * kIndent);
}

void append_exit_status(std::string& out) {
  append_section(out, "EXIT STATUS");
  for (const ExitStatus& status : kExitStatuses)
    append_wrapped(out, std::to_string(status.code) + "  " + std::string(status.means), kIndent);
}

}  // namespace

const std::string_view kDescriptionOfAll =
    "Run the server on a machine that others can reach, and a client beside the service that they cannot. "
    "The client dials out to the "
    "server, and the server's visitors reach the service through that connection.\n\n"
    "Each flag has an environment variable, named in its help; a flag wins over the environment, the "
    "environment over the default. Where a flag may be repeated, its variable holds values separated by white space, "
    "or, where its help says so, one a line. "
    "Output on a terminal is for a person, elsewhere one JSON object a line. NO_COLOR turns colours off.";

std::string short_help() {
  return "ferrotunnel shares a local service through a server that can be reached.\n\n"
         "    ferrotunnel server                         on the machine that others can reach\n"
         "    ferrotunnel http 3000 --join ft1_AbC…      beside the service: the line that the server prints\n"
         "    ferrotunnel tcp 22 --join ft1_AbC…         the same for a TCP port\n\n"
         "ferrotunnel --help names every command, ferrotunnel COMMAND --help its flags.\n";
}

std::string help_of_all() {
  std::string out;
  append_section(out, "NAME");
  append_wrapped(out, "ferrotunnel - " + std::string(kSummaryOfAll), kIndent);
  append_section(out, "SYNOPSIS");
  for (const Command& command : commands()) {
    out.append(kIndent, ' ').append("ferrotunnel ").append(command.name);
    if (!command.synopsis.empty()) out.append(" ").append(command.synopsis);
    out += '\n';
  }
  append_section(out, "COMMANDS");
  for (const Command& command : commands()) {
    constexpr std::size_t kColumn = 14;
    out.append(kIndent, ' ')
        .append(command.name)
        .append(kColumn - command.name.size(), ' ')
        .append(command.summary)
        .append("\n");
  }
  append_section(out, "DESCRIPTION");
  append_wrapped(out, kDescriptionOfAll, kIndent);
  append_section(out, "FLAGS");
  append_wrapped(out, "--help     This page, or the command's own: ferrotunnel COMMAND --help.", kIndent);
  append_wrapped(out, "--version  As the command version.", kIndent);
  append_section(out, "EXAMPLES");
  append_wrapped(out, "On the machine that others can reach:", kIndent);
  out += "        ferrotunnel server --public-address eu.example.com\n";
  append_wrapped(out, "Beside the service, with the token that the server printed:", kIndent);
  out += "        ferrotunnel http 3000 --join ft1_AbC…\n";
  append_exit_status(out);
  return out;
}

std::string help_of(const Command& command) {
  std::string out;
  append_section(out, "NAME");
  append_wrapped(out, "ferrotunnel " + std::string(command.name) + " - " + std::string(command.summary), kIndent);
  append_section(out, "SYNOPSIS");
  append_wrapped(out, "ferrotunnel " + std::string(command.name) + " " + std::string(command.synopsis), kIndent);
  append_section(out, "DESCRIPTION");
  append_wrapped(out, command.description, kIndent);
  for (const FlagGroup& group : command.groups) {
    if (!group.title.empty()) append_section(out, group.title);
    for (const Flag& flag : group.flags) append_flag(out, flag);
  }
  if (!command.examples.empty()) {
    append_section(out, "EXAMPLES");
    for (const Example& example : command.examples) {
      append_wrapped(out, example.says, kIndent);
      out.append(2 * kIndent, ' ').append(example.line).append("\n");
    }
  }
  for (const FileOfOurs& file : kFiles) {
    if (find_flag(command, file.of_flag) == nullptr) continue;
    append_section(out, "FILES");
    append_wrapped(out, std::string(file.path) + "  " + std::string(file.holds), kIndent);
  }
  append_exit_status(out);
  return out;
}

std::string version_text(bool json) {
  utsname system{};
  ::uname(&system);
  if (json) {
    JsonObject object;
    object.text("name", "ferrotunnel").text("version", version()).number("wire", kWireVersion);
    object.text("system", system.sysname).text("machine", system.machine);
    return object.finish() + "\n";
  }
  return "ferrotunnel " + std::string(version()) + " (wire protocol " + std::to_string(kWireVersion) + ", " +
         system.sysname + " " + system.machine + ")\n";
}

}  // namespace ferrotunnel::cli
