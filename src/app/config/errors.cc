#include "app/config/errors.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "wire/control.h"

namespace ferrotunnel::app::config {
namespace {

constexpr std::size_t kMaxErrorText = 1'000;

// Of Damerau and Levenshtein: letters changed, left out, put in, or two that stand the wrong way round.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::uint32_t ConfigErrors::add_file(std::string name) {
  files_.push_back(std::move(name));
  return static_cast<std::uint32_t>(files_.size() - 1);
}

std::string ConfigErrors::text_of(Place place) const { return files_[place.file] + ":" + std::to_string(place.line); }

void ConfigErrors::add(Place place, std::string_view text) {
  if (errors_.size() >= kMaxErrors) {
    ++more_;
    return;
  }
  errors_.push_back({place, wire::clean_text(text, kMaxErrorText)});
}

std::vector<ConfigError> ConfigErrors::sorted() const {
  std::vector<One> errors = errors_;
  std::ranges::sort(errors,
                    [](const One& a, const One& b) { return std::tie(a.place, a.text) < std::tie(b.place, b.text); });
  std::vector<ConfigError> all;
  all.reserve(errors.size() + 1);
  for (One& one : errors)
    all.push_back({files_[one.place.file], one.place.line, one.place.column, std::move(one.text)});
  if (more_ > 0) all.push_back({files_[0], 0, 0, "and " + std::to_string(more_) + " more mistakes"});
  return all;
}

void NearestName::offer(std::string_view name) {
  constexpr std::size_t kMaxWritten = 64;
  if (written_.size() > kMaxWritten) return;
  const std::size_t d = distance(written_, name);
  // A third of it may be wrong; and "tcp_listen" is near enough to "tcp_listen_host", "warning" to "warn".
  const bool near = d <= std::max<std::size_t>(1, std::max(written_.size(), name.size()) / 3) ||
                    (written_.size() >= 3 && name.starts_with(written_)) ||
                    (name.size() >= 3 && written_.starts_with(name));
  if (near && d < distance_) {
    distance_ = d;
    best_ = name;
  }
}

}  // namespace ferrotunnel::app::config

namespace ferrotunnel {

std::string to_text(const ConfigError& error) {
  constexpr std::size_t kMaxPath = 4096;
  std::string text = wire::clean_text(error.file, kMaxPath);
  if (error.line != 0) text += ":" + std::to_string(error.line) + ":" + std::to_string(error.column);
  return text + ": " + error.text;
}

std::string to_text(const std::vector<ConfigError>& errors) {
  std::string text;
  for (const ConfigError& error : errors) {
    if (!text.empty()) text += '\n';
    text += to_text(error);
  }
  return text;
}

}  // namespace ferrotunnel
