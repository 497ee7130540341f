// ${NAME} in the strings of a file. One thread.
#pragma once

#include <cstddef>

#include "app/config/document.h"
#include "app/config/outside.h"

namespace ferrotunnel::app::config {

inline constexpr std::size_t kMaxText = 64u << 10;      // bytes of one string when its variables are filled in
inline constexpr std::size_t kMaxExpanded = 16u << 20;  // and of all that variables filled in, in one load

// Fills in ${NAME} and ${NAME:-default} in every string of a table; $${ becomes ${, any other $ stays. As in the shell, a variable that is empty is as
// good as none where there is a default. What is filled in is not looked at again.
class Variables {
 public:
  Variables(Outside& outside, ConfigErrors& errors) : outside_(outside), errors_(errors) {}
  void fill_in(Value& value);

 private:
  // What is wrong with it; empty: nothing. `literal`: Value::literal.
  std::string fill_in_text(std::string& text, bool& literal);

  Outside& outside_;
  ConfigErrors& errors_;
  std::size_t expanded_ = 0;
};

}  // namespace ferrotunnel::app::config
