#include "transport/tcp/port_owner.h"

#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <span>
#include <sstream>

namespace ferrotunnel::transport {
namespace {

constexpr std::size_t kMostSockets = 1'000'000;      // lines of /proc/self/net/tcp
constexpr std::size_t kMostDescriptors = 1'000'000;  // of all programs together
constexpr int kListening = 0x0A;

std::optional<unsigned long> number(std::string_view text, int base) {
  unsigned long value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return failed == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

// An address as /proc/self/net/tcp writes it: words of 32 bits, each as this machine's integer in hex.
struct Bytes {
  std::array<unsigned char, 16> of{};
  std::size_t size = 0;
  [[nodiscard]] bool any() const {
    return std::ranges::all_of(std::span(of).first(size), [](unsigned char byte) { return byte == 0; });
  }
};
std::optional<Bytes> parse_address(std::string_view text) {
  Bytes bytes;
  constexpr std::size_t kWord = 8;
  while (text.size() >= kWord && bytes.size < bytes.of.size()) {
    const auto word = number(text.substr(0, kWord), 16);
    if (!word) return std::nullopt;
    const auto value = static_cast<std::uint32_t>(*word);
    std::memcpy(bytes.of.data() + bytes.size, &value, sizeof value);
    bytes.size += sizeof value;
    text.remove_prefix(kWord);
  }
  return text.empty() && bytes.size != 0 ? std::optional(bytes) : std::nullopt;
}

Bytes bytes_of(const SocketAddress& address) {
  Bytes bytes;
  const bool v4 = address.family() == AF_INET;
  bytes.size = v4 ? 4 : 16;
  if (v4)
    std::memcpy(bytes.of.data(), &reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr, 4);
  else
    std::memcpy(bytes.of.data(), &reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr, 16);
  return bytes;
}

bool in_the_way(const Bytes& theirs, const Bytes& ours) {
  return theirs.any() || ours.any() || (theirs.size == ours.size && theirs.of == ours.of);
}

// The inodes of the sockets that listen there.
void find_listeners(const char* table, const Bytes& ours, std::uint16_t port, std::set<std::string>& inodes) {
  std::ifstream file(table);
  std::string line;
  std::getline(file, line);  // the heading
  for (std::size_t i = 0; i < kMostSockets && std::getline(file, line); ++i) {
    std::istringstream words(line);
    std::string slot, local, remote, state, queues, timer, retransmits, user, timeout, inode;
    words >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >> inode;
    const std::size_t colon = local.find(':');
    if (colon == std::string::npos || number(state, 16) != kListening) continue;
    const auto address = parse_address(std::string_view(local).substr(0, colon));
    if (address && number(std::string_view(local).substr(colon + 1), 16) == port && in_the_way(*address, ours))
      inodes.insert("socket:[" + inode + "]");
  }
}

std::string name_of(const std::filesystem::path& process) {
  std::ifstream file(process / "comm");
  std::string name;
  std::getline(file, name);
  return name.empty() ? "a program" : name;
}

}  // namespace

std::optional<std::string> port_owner(const SocketAddress& address) {
  namespace fs = std::filesystem;
  if (address.family() != AF_INET && address.family() != AF_INET6) return std::nullopt;
  std::set<std::string> inodes;
  for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"})
    find_listeners(table, bytes_of(address), address.port(), inodes);
  if (inodes.empty()) return std::nullopt;

  std::error_code failed;  // programs end, and others' are not ours to look into: whoever cannot be read is passed over
  std::size_t looked = 0;
  for (fs::directory_iterator process("/proc", failed), end; !failed && process != end; process.increment(failed)) {
    const std::string pid = process->path().filename().string();
    if (!number(pid, 10)) continue;
    std::error_code closed;
    for (fs::directory_iterator fd(process->path() / "fd", closed); !closed && fd != end; fd.increment(closed)) {
      if (++looked > kMostDescriptors) return std::nullopt;
      std::error_code gone;
      if (!inodes.contains(fs::read_symlink(fd->path(), gone).string())) continue;
      if (pid == std::to_string(::getpid())) return "this program itself";
      return name_of(process->path()) + " (pid " + pid + ")";
    }
  }
  return std::nullopt;
}

}  // namespace ferrotunnel::transport
