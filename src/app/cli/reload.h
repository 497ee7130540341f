// Reloading a program that runs from the command line: asked for by SIGHUP, over the control socket, or because a file has changed.
// `again` reads the options anew and hands them to the library; one at a time, from the main thread or the control socket's.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "app/cli/console.h"
#include "app/cli/file_watch.h"
#include "app/cli/options.h"
#include "ferrotunnel/config.h"

namespace ferrotunnel::cli {

class Reloader {
 public:
  // Gives what has happened, and in `files` what is to be watched from now on. On an error nothing has changed, and `files`
  // are those that the failed reading came to, where the mistake may be corrected.
  using Again = std::function<Result<Reloaded>(std::vector<std::string>& files)>;
  Reloader(const RunOptions& options, Console& console)
      : console_(console), watch_(options.files), on_(options.watch) {}
  // Before anybody asks.
  void set(Again again) { again_ = std::move(again); }

  // Says what came of it, on the console and to the caller.
  Result<Reloaded> reload();
  // Main thread, once a second: reloads if a file has changed, where that is wanted.
  void look();

 private:
  Console& console_;
  Again again_;
  std::mutex mutex_;  // one reload at a time; the watch
  FileWatch watch_;
  const bool on_;
};

}  // namespace ferrotunnel::cli
