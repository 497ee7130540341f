#include <atomic>
#include <thread>

#include "app/cli/run.h"

namespace ferrotunnel::cli {

int drain_until_signal(Signals& signals, Console& console, std::chrono::milliseconds patience,
                       const std::function<bool()>& drain, const std::function<void()>& stop) {
  console->stopping(patience);
  std::atomic<bool> over{false};
  bool finished = false, interrupted = false;
  std::thread drainer([&] {
    finished = drain();
    over.store(true);
    signals.wake();
  });
  while (!over.load()) {
    constexpr std::chrono::seconds kLook(1);
    if (signals.wait(kLook) != Signals::Woken::Stop) continue;
    interrupted = true;
    signals.restore();  // a third signal ends the program whatever it hangs in
    stop();
    break;
  }
  drainer.join();
  console->stopped(finished && !interrupted);
  console.close();
  return kExitDone;
}

}  // namespace ferrotunnel::cli
