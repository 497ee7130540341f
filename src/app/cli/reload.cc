#include "app/cli/reload.h"

#include <utility>

namespace ferrotunnel::cli {

Result<Reloaded> Reloader::reload() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> files;
  auto done = again_(files);
  if (!done) {
    Error told = done.error();
    told.context = "not reloaded, all is as before: " + told.context;
    watch_.watch_too(files);
    console_->error(told);
    return done;
  }
  watch_.watch(std::move(files));
  console_->reloaded(*done);
  return done;
}

void Reloader::look() {
  if (!on_) return;
  {
    const std::lock_guard lock(mutex_);
    if (!watch_.changed()) return;
  }
  [[maybe_unused]] const auto done = reload();  // said on the console
}

}  // namespace ferrotunnel::cli
