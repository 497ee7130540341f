// decode() takes anything; what it accepts, encode() writes in a form that decodes to the same and is written the same again.
#include <cstdlib>

#include "wire/control.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ferrotunnel;
  const auto first = wire::decode({reinterpret_cast<const char*>(data), size});
  if (!first) {
    if (first.error().code != ErrorCode::Protocol || first.error().context.empty()) std::abort();
    return 0;
  }
  if (!*first) return 0;
  // The first encode() may clean text; from then on nothing changes.
  const std::string json = wire::encode(**first);
  const auto second = wire::decode(json);
  if (!second || !*second || (*second)->index() != (*first)->index()) std::abort();
  const std::string again = wire::encode(**second);
  const auto third = wire::decode(again);
  if (again != json || !third || *third != *second) std::abort();
  return 0;
}
