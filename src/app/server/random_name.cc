#include "app/server/random_name.h"

#include <array>
#include <string_view>

#include "base/random.h"

namespace ferrotunnel::app {
namespace {

constexpr std::array<std::string_view, 64> kHow = {
    "amber", "apt",    "bold",  "brave",  "brief", "bright", "brisk", "calm",  "clear", "clever", "cool",
    "cosy",  "crisp",  "deep",  "eager",  "early", "fair",   "fast",  "fine",  "firm",  "fond",   "free",
    "fresh", "gentle", "glad",  "golden", "grand", "green",  "happy", "hardy", "jolly", "keen",   "kind",
    "light", "lively", "lucky", "mellow", "merry", "mild",   "neat",  "new",   "noble", "odd",    "pale",
    "plain", "proud",  "quick", "quiet",  "rapid", "rare",   "ripe",  "rosy",  "shy",   "silver", "sleek",
    "smart", "snug",   "soft",  "solid",  "sunny", "swift",  "tall",  "warm",  "wise"};
constexpr std::array<std::string_view, 64> kWho = {
    "acorn",  "aspen", "badger", "beech",  "birch",  "bison",  "brook",  "cedar",  "clover", "comet", "coral",
    "crane",  "creek", "daisy",  "delta",  "dove",   "eagle",  "elm",    "falcon", "fern",   "finch", "fjord",
    "fox",    "glade", "hare",   "hawk",   "hazel",  "heron",  "holly",  "ibis",   "iris",   "ivy",   "jay",
    "kite",   "lark",  "lily",   "linden", "lynx",   "maple",  "marten", "meadow", "moss",   "newt",  "oak",
    "otter",  "owl",   "pine",   "plum",   "poplar", "raven",  "reed",   "robin",  "rook",   "sage",  "seal",
    "spruce", "stoat", "stork",  "swan",   "tern",   "thrush", "trout",  "willow", "wren"};
constexpr std::string_view kLetters = "abcdefghjkmnpqrstuvwxyz23456789";  // none is taken for another
constexpr std::size_t kTail = 6;

}  // namespace

std::string random_name() {
  std::array<std::byte, 2 + kTail> random;
  fill_random(random);
  const auto pick = [&random](std::size_t at, std::size_t of) { return std::to_integer<std::size_t>(random[at]) % of; };
  std::string name(kHow[pick(0, kHow.size())]);
  name.append("-").append(kWho[pick(1, kWho.size())]).append("-");
  for (std::size_t i = 0; i < kTail; ++i) name += kLetters[pick(2 + i, kLetters.size())];
  return name;
}

}  // namespace ferrotunnel::app
