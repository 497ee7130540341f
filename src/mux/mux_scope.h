// Private to mux/: streams that died inside a call into the core are freed when the outermost call ends, so that no handler and no
// loop up the stack is left with a dead reference.
#pragma once

#include "mux/mux_core.h"

namespace ferrotunnel::mux {

struct MuxCore::Scope {
  explicit Scope(MuxCore& owner) : core(owner) { ++core.depth_; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() {
    if (--core.depth_ > 0) return;
    for (MuxStream* stream : core.dead_) delete stream;
    core.dead_.clear();
  }
  MuxCore& core;
};

}  // namespace ferrotunnel::mux
