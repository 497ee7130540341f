// Text from outside, made harmless for a page: each function gives valid UTF-8 whatever it gets. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

namespace ferrotunnel::http {

void append_html(std::string& out, std::string_view text);  // for element content and quoted attributes
void append_json(std::string& out, std::string_view text);  // a string literal, quotes included
void append_text(std::string& out, std::string_view text);  // controls become '?'

}  // namespace ferrotunnel::http
