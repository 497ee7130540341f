#include "ferrotunnel/version.h"

namespace ferrotunnel {

std::string_view version() { return FERROTUNNEL_VERSION; }

}  // namespace ferrotunnel
