#include "app/config/sources.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>
#include <vector>

#include "app/config/variables.h"

namespace ferrotunnel::app::config {
namespace {

class Sources {
 public:
  Sources(Outside& outside, ConfigErrors& errors) : outside_(outside), errors_(errors), variables_(outside, errors) {}

  // `from`: where it is included; nothing: it is the file that was asked for.
  void read(const std::string& path, const Place* from);
  Value take() { return std::move(all_); }

 private:
  void complain(const Place* from, const std::string& text);
  void include(const Value& wanted);
  void include_one(const Value& pattern);
  void merge(Value&& table);
  void merge_section(const std::string& name, Value& into, Value&& from);

  Outside& outside_;
  ConfigErrors& errors_;
  Variables variables_;
  Value all_;
  std::vector<std::string> open_;  // identities of the files that are being read, one included by the other
  std::set<std::string> seen_;
  std::size_t bytes_ = 0;
  bool full_ = false;  // a limit was met: no more files
};

void Sources::complain(const Place* from, const std::string& text) {
  errors_.add(from != nullptr ? *from : Place{}, text);
}

void Sources::read(const std::string& path, const Place* from) {
  if (full_) return;
  std::string identity = outside_.identity(path);
  if (std::ranges::find(open_, identity) != open_.end())
    return complain(from, path + " is included by itself; leave it out here");
  if (seen_.contains(identity)) return;
  if (open_.size() > kMaxDepth)
    return complain(from, path + ": files are included more than " + std::to_string(kMaxDepth) + " deep");
  if (seen_.size() >= kMaxFiles) {
    full_ = true;
    return complain(from, "more than " + std::to_string(kMaxFiles) + " files");
  }
  seen_.insert(identity);  // also one that cannot be read: once is enough
  const std::uint32_t number = errors_.add_file(path);
  auto text = outside_.read_file(path, kMaxFile);
  if (!text) return complain(from, text.error().context);
  bytes_ += text->size();
  if (bytes_ > kMaxAllFiles) {
    full_ = true;
    return complain(from, "all files together have more than " + std::to_string(kMaxAllFiles >> 20) + " MiB");
  }
  open_.push_back(std::move(identity));
  Value table = parse_document(*text, number, errors_);
  variables_.fill_in(table);
  Value wanted;
  if (const auto at = table.members.find("include"); at != table.members.end()) {
    wanted = std::move(at->second);
    table.members.erase(at);
    merge(std::move(table));
    include(wanted);
  } else {
    merge(std::move(table));
  }
  open_.pop_back();
}

void Sources::include(const Value& wanted) {
  if (wanted.kind == Value::Kind::String) return include_one(wanted);
  if (wanted.kind != Value::Kind::Array)
    return errors_.add(wanted.place, "include: an array of files is wanted, such as [\"grants.d/*.toml\"], not " +
                                         std::string(kind_name(wanted.kind)));
  for (const Value& one : wanted.items) {
    if (one.kind == Value::Kind::String)
      include_one(one);
    else
      errors_.add(one.place, "include: a file is wanted, not " + std::string(kind_name(one.kind)));
  }
}

void Sources::include_one(const Value& pattern) {
  if (pattern.unusable) return;
  if (pattern.text.empty()) return errors_.add(pattern.place, "include: the name of a file is missing");
  const std::string path = beside(pattern.text, pattern.place, errors_);
  if (path.find_first_of("*?[") == std::string::npos) return read(path, &pattern.place);
  auto found = outside_.matches(path);
  if (!found) return errors_.add(pattern.place, "include: " + found.error().context);
  for (const std::string& one : *found) {
    if (full_) return;
    read(one, &pattern.place);
  }
}

void Sources::merge(Value&& table) {
  for (auto& [name, member] : table.members) {
    const auto [at, added] = all_.members.try_emplace(name);
    if (added)
      at->second = std::move(member);
    else
      merge_section(name, at->second, std::move(member));
  }
}

// [server] may be in two files, but each of its keys in one only; and so with [grants] and a grant as a whole.
void Sources::merge_section(const std::string& name, Value& into, Value&& from) {
  const auto clash = [&](const std::string& what, Place second, Place first) {
    errors_.add(second, what + " is in " + errors_.text_of(first) + " too; leave out one of the two");
  };
  if (into.kind != Value::Kind::Table || from.kind != Value::Kind::Table) return clash(name, from.place, into.place);
  const std::string prefix = name + ".";
  for (auto& [key, member] : from.members) {
    const auto [at, added] = into.members.try_emplace(key);
    if (added)
      at->second = std::move(member);
    else
      clash(prefix + key, member.place, at->second.place);
  }
}

}  // namespace

Value read_sources(const std::string& path, Outside& outside, ConfigErrors& errors) {
  Sources sources(outside, errors);
  sources.read(path, nullptr);
  return sources.take();
}

std::string beside(const std::string& path, Place place, const ConfigErrors& errors) {
  if (path.empty() || path.front() == '/') return path;
  const std::filesystem::path directory = std::filesystem::path(errors.file_name(place.file)).parent_path();
  return directory.empty() ? path : (directory / path).string();
}

}  // namespace ferrotunnel::app::config
