// Any bytes are a file, of a server and of a client: it loads, or each mistake has a text and a place in it. Nothing on the machine is looked at.
//
// Two files may be included (a.toml, b.toml): the input after the first and the second line that is "#---".
#include <cstdlib>
#include <string>

#include "app/config/document.h"
#include "app/config/load.h"
#include "app/config/sources.h"
#include "support/fake_outside.h"

namespace {

using namespace ferrotunnel;

void check(bool holds) {
  if (!holds) std::abort();
}

template <class T>
void check_result(const ConfigResult<T>& result) {
  if (result) return;
  check(!result.error().empty() && result.error().size() <= app::config::kMaxErrors + 1);
  for (const ConfigError& error : result.error()) check(!error.file.empty() && !error.text.empty());
  check(!to_text(result.error()).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  app::config::FakeOutside outside;
  outside.variables = {{"A", "value"}, {"EMPTY", ""}, {"SECRET", "0123456789abcdef"}};
  outside.secret_files = {{"secret", "fedcba9876543210\n"}};
  outside.command = [](const std::vector<std::string>& words) -> Result<std::string> { return words.back(); };
  std::string rest(reinterpret_cast<const char*>(data), size);
  for (const char* name : {"main.toml", "a.toml", "b.toml"}) {
    const auto cut = rest.find("\n#---\n");
    outside.files[name] = rest.substr(0, cut);
    rest = cut == std::string::npos ? std::string() : rest.substr(cut + 6);
  }
  const auto server = app::config::load_server("main.toml", outside);
  const auto client = app::config::load_client("main.toml", outside);
  check_result(server);
  check_result(client);
  if (server) check(server->grants.size() <= app::config::kMaxGrants);
  check(outside.files_read <= 2 * 3);
  return 0;
}
