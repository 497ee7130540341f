#include "app/control_answers.h"

#include <boost/json.hpp>

#include "app/status_json.h"

namespace ferrotunnel::app {
namespace {

std::unexpected<Error> refuse(std::string why) {
  return std::unexpected(Error(ErrorCode::BadInput, Side::Local, false, std::move(why)));
}

}  // namespace

Result<boost::json::object> DrainAnswer::answer(const boost::json::object& question, const Asked& asked) {
  constexpr std::int64_t kMost = 24LL * 3600 * 1000;
  std::optional<std::chrono::milliseconds> patience;
  if (const boost::json::value* given = question.if_contains("patience_ms")) {
    if (!given->is_int64() || given->get_int64() < 0 || given->get_int64() > kMost)
      return refuse("patience_ms is a number of milliseconds, a day at most");
    patience = std::chrono::milliseconds(given->get_int64());
  }
  if (!takes_) {
    if (!asked) return refuse("the program that this is part of ends it by means of its own");
    takes_ = asked(patience);
  }
  return boost::json::object{{"drain_ms", takes_->count()}};
}

Result<boost::json::object> answer_reload(const std::function<Result<Reloaded>()>& asked) {
  if (!asked) return refuse("it was started without a configuration file: there is nothing to read anew");
  const auto reloaded = asked();
  if (!reloaded) return std::unexpected(reloaded.error());
  return reloaded_json(*reloaded);
}

}  // namespace ferrotunnel::app
