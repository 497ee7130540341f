#include "app/cli/man.h"

#include <algorithm>
#include <string_view>

#include "app/cli/commands.h"
#include "app/cli/help.h"
#include "ferrotunnel/version.h"

namespace ferrotunnel::cli {
namespace {

// Text as it is: nothing in it is a request or an escape of roff, and hyphens can be copied into a shell.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (c == '\n')
      out += ' ';
    else
      out += c;
  }
  // A line that begins with one of these would be a request.
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : roff(text)) out.append(c == '"' ? "\\(dq" : std::string(1, c));
  return out + '"';
}

void append_paragraphs(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find("\n\n"), text.size());
    out += ".PP\n" + roff(text.substr(0, end)) + "\n";
    text.remove_prefix(std::min(end + 2, text.size()));
  }
}

void append_example(std::string& out, const Example& example) {
  out += ".PP\n" + roff(example.says) + "\n.PP\n.RS 4\n.nf\n" + roff(example.line) + "\n.fi\n.RE\n";
}

void append_flag(std::string& out, const Flag& flag) {
  out += ".TP\n\\fB" + roff("--" + std::string(flag.name)) + "\\fR";
  if (!flag.value.empty()) out += " \\fI" + roff(flag.value) + "\\fR";
  out += "\n" + roff(text_of(flag)) + "\n";
}

void append_command(std::string& out, const Command& command) {
  std::string title = "ferrotunnel " + std::string(command.name);
  out += ".SS " + quoted(title) + "\n";
  out += ".PP\n\\fB" + roff(title) + "\\fR " + roff(command.synopsis) + "\n";
  append_paragraphs(out, command.description);
  for (const FlagGroup& group : command.groups) {
    if (!group.title.empty()) out += ".PP\n\\fI" + roff(group.title) + "\\fR\n";
    for (const Flag& flag : group.flags) append_flag(out, flag);
  }
  for (const Example& example : command.examples) append_example(out, example);
}

}  // namespace

std::string man_page() {
  std::string out = ".\\\" Made by: ferrotunnel man\n.TH FERROTUNNEL 1 \"\" " +
                    quoted("ferrotunnel " + std::string(version())) + " " + quoted("User Commands") + "\n.nh\n.ad l\n";
  out += ".SH NAME\n" + roff("ferrotunnel") + " \\- " + roff(kSummaryOfAll) + "\n.SH SYNOPSIS\n";
  for (const Command& command : commands())
    out += ".B " + quoted("ferrotunnel " + std::string(command.name)) + "\n" +
           (command.synopsis.empty() ? "" : roff(command.synopsis) + "\n") + ".br\n";
  out += ".SH DESCRIPTION\n";
  append_paragraphs(out, kDescriptionOfAll);
  out += ".SH COMMANDS\n";
  for (const Command& command : commands()) append_command(out, command);
  out += ".SH EXIT STATUS\n";
  for (const ExitStatus& status : kExitStatuses)
    out += ".TP\n\\fB" + std::to_string(status.code) + "\\fR\n" + roff(status.means) + "\n";
  out += ".SH ENVIRONMENT\n.PP\n" +
         roff(
             "Each flag has a variable, named in brackets behind its text; a flag wins over the variable. Where a flag "
             "may be repeated, the variable holds values separated by white space, or, where its text says so, one a "
             "line. NO_COLOR turns colours off.") +
         "\n.SH FILES\n";
  for (const FileOfOurs& file : kFiles) out += ".TP\n\\fI" + roff(file.path) + "\\fR\n" + roff(file.holds) + "\n";
  return out;
}

}  // namespace ferrotunnel::cli
