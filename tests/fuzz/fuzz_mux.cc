// Two MuxCores driven by the input, beside a simple model of what streams are; and one core fed with the input itself.
//
// The first byte chooses. As a pair, the bytes are operations: open, write, FIN, RESET, take, carry some bytes across, call back from
// inside a callback, and so on. The model knows of each stream's directions how many bytes went in and came out, and that byte i of a
// direction has one value; of the wire, how much credit was delivered. At the end everything is carried and taken, and must add up.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mux/mux_core.h"

using namespace ferrotunnel;
using namespace std::chrono_literals;
using mux::MuxCore;
using mux::MuxLimits;
using mux::Role;
using transport::Fill;
using transport::ResetReason;
using transport::Stream;
using transport::StreamEnd;
using wire::FrameType;

namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  [[nodiscard]] bool empty() const { return at_ == size_; }
  std::uint32_t byte() { return at_ < size_ ? data_[at_++] : 0u; }
  // Mostly small, sometimes large.
  std::size_t length() {
    const std::uint32_t b = byte();
    return b < 128 ? b : b < 192 ? (b - 127) * 64 : (b - 191) * 1024;
  }
  ConstBytes rest() {
    const ConstBytes bytes(reinterpret_cast<const std::byte*>(data_ + at_), size_ - at_);
    at_ = size_;
    return bytes;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
};

MuxLimits limits() {
  MuxLimits limits;
  limits.max_streams = 12;
  limits.max_held = 200'000;
  limits.max_window = 256 * 1024;
  limits.quantum = 20'000;
  for (auto* each : {&limits.max_opens_per_second, &limits.max_empty_per_second, &limits.max_tiny_per_second,
                     &limits.max_pings_per_second, &limits.max_credits_per_second, &limits.max_resets_per_second,
                     &limits.max_controls_per_second})
    *each = 100'000'000;
  limits.max_control_bytes_per_second = 0;
  return limits;
}
constexpr std::size_t kMemory = 4u << 20;
// While the memory is pressed: a full budget, and so many other holders that the share is half of max_held.
constexpr std::size_t kOthers = 41;

// ---- a pair beside the model ------------------------------------------------------------------------------------------

// What goes from `side` on a stream: n bytes from the i-th on. A fixed noise, read from another place for each.
ConstBytes content(std::uint32_t stream, int side, std::uint64_t i, std::size_t n) {
  constexpr std::size_t kPeriod = 8191, kMost = 32'768;
  static const std::vector<std::byte> noise = [] {
    std::vector<std::byte> bytes(kPeriod + kMost);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const std::uint64_t x = (at % kPeriod + 1) * 0x9e37'79b9'7f4a'7c15;
      bytes[at] = static_cast<std::byte>((x ^ (x >> 29)) >> 32);
    }
    return bytes;
  }();
  check(n <= kMost, "no longer than a quantum");
  return ConstBytes(noise).subspan((i + stream * 131 + static_cast<std::uint64_t>(side) * 977) % kPeriod, n);
}

struct Pair;

struct End final : transport::StreamHandler {
  End(Pair& p, int s) : pair(p), side(s) {}
  Pair& pair;
  const int side;
  Stream* stream = nullptr;
  std::uint32_t id = 0;
  std::uint64_t to_send = 0, sent = 0, received = 0;
  bool fin_wanted = false, fin_sent = false, fin = false;
  bool opened_by_us = false, reset_by_us = false;
  int ends = 0;
  StreamEnd end;
  std::size_t appetite = SIZE_MAX;

  std::size_t on_data(Stream& from, ConstBytes bytes) override;
  void on_fin(Stream& from) override;
  void on_end(Stream& from, StreamEnd how) override;
  Fill fill(Stream& from, MutBytes into) override;
};

struct Side final : transport::LinkHandler, mux::MuxHost {
  Side(Pair& p, int i)
      : pair(p), index(i), budget(kMemory), core(i == 0 ? Role::Server : Role::Client, limits(), pool, *this, *this) {}
  Pair& pair;
  const int index;
  MemoryBudget budget;
  BufferPool pool{budget};
  MuxCore core;
  std::map<std::uint32_t, std::unique_ptr<End>> ends;  // by id; they stay when the stream is over
  std::uint64_t controls = 0;
  bool pressed = false, output = false;
  std::size_t before_press = 0;

  void on_open(Stream& stream, const transport::OpenInfo& info) override;
  void on_control(std::string_view json) override;
  void on_goaway(std::uint32_t, std::string_view) override;
  void on_link_closed(const Error&) override { std::abort(); }
  void on_output() override { output = true; }
};

// What is under way from one side to the other, and what its frames say about credit.
struct Way {
  std::vector<std::byte> bytes;
  std::size_t begin = 0;  // of what is not delivered
  [[nodiscard]] std::size_t left() const { return bytes.size() - begin; }
  std::vector<std::byte> produced;  // a frame of it that is not complete
  std::vector<std::byte> delivered;
  std::map<std::uint32_t, std::uint64_t> data, credit;  // produced; delivered
};

struct Pair {
  explicit Pair(Input& in) : input(in) {}
  Input& input;
  TimePoint now{1h};
  Side sides[2]{{*this, 0}, {*this, 1}};
  Way ways[2];  // from side i
  std::uint64_t controls[2] = {0, 0};
  int reaction = -1;  // what the next callback does
  std::uint32_t reaction_stream = 0;
  int reacting = 0;

  End* pick(int side, std::uint32_t n) {
    auto& all = sides[side].ends;
    if (all.empty()) return nullptr;
    auto it = all.begin();
    std::advance(it, n % all.size());
    return it->second.get();
  }
  static void adopt(End& end, Stream& stream) {
    end.stream = &stream;
    end.id = stream.id();
  }
  void open() {
    auto end = std::make_unique<End>(*this, 0);
    End& kept = *end;
    const auto stream = sides[0].core.open({}, kept);
    if (!stream) return;
    kept.opened_by_us = true;
    adopt(kept, **stream);
    check(sides[0].ends.emplace(kept.id, std::move(end)).second, "an id is used once");
  }
  void act(int side, int what, std::uint32_t n) {
    End* end = pick(side, n);
    if (end == nullptr) return;
    switch (what % 7) {
      case 0:
        if (end->stream == nullptr) break;
        end->reset_by_us = true;
        std::exchange(end->stream, nullptr)->reset(static_cast<ResetReason>(n % 13));
        break;
      case 1:
        if (end->stream != nullptr) end->stream->resume_read();
        break;
      case 2:
        end->appetite = SIZE_MAX;
        if (end->stream != nullptr) end->stream->resume_read();
        break;
      case 3:
        if (end->stream != nullptr) end->stream->want_write();
        break;
      case 4:
        if (end->stream == nullptr || end->fin_wanted) break;
        end->to_send += n * 100;
        end->stream->want_write();
        break;
      case 5:
        if (side == 0) open();
        break;
      case 6: sides[side].core.send_ping(now); break;
    }
  }
  // From inside a callback.
  void react(int side) {
    if (reaction < 0 || reacting > 3) return;
    const int what = std::exchange(reaction, -1);
    ++reacting;
    act(side, what, reaction_stream);
    --reacting;
  }

  void watch_produced(int from, ConstBytes bytes) {
    Way& way = ways[from];
    way.produced.insert(way.produced.end(), bytes.begin(), bytes.end());
    std::size_t at = 0;
    while (way.produced.size() - at >= wire::kHeaderSize) {
      const auto header = wire::decode_header(std::span<const std::byte, 8>(way.produced.data() + at, 8));
      check(header.has_value(), "what is sent can be read");
      if (way.produced.size() - at < wire::kHeaderSize + header->length) break;
      if (header->type == FrameType::Data) {
        way.data[header->stream] += header->length;
        check(way.data[header->stream] <= wire::kInitialCredit + ways[1 - from].credit[header->stream],
              "no DATA past the credit");
      }
      at += wire::kHeaderSize + header->length;
    }
    way.produced.erase(way.produced.begin(), way.produced.begin() + static_cast<std::ptrdiff_t>(at));
  }
  void watch_delivered(int from, ConstBytes bytes) {
    Way& way = ways[from];
    way.delivered.insert(way.delivered.end(), bytes.begin(), bytes.end());
    std::size_t at = 0;
    while (way.delivered.size() - at >= wire::kHeaderSize) {
      const auto header = wire::decode_header(std::span<const std::byte, 8>(way.delivered.data() + at, 8));
      if (way.delivered.size() - at < wire::kHeaderSize + header->length) break;
      if (header->type == FrameType::Credit)
        way.credit[header->stream] += load_be<std::uint32_t>(way.delivered.data() + at + 8);
      at += wire::kHeaderSize + header->length;
    }
    way.delivered.erase(way.delivered.begin(), way.delivered.begin() + static_cast<std::ptrdiff_t>(at));
  }

  bool carry(int from, std::size_t room) {
    if (!sides[from].core.has_output()) return false;
    static std::vector<std::byte> buffer(128 * 1024);
    const MutBytes out = MutBytes(buffer).first(std::clamp<std::size_t>(room, MuxCore::kMinProduce, buffer.size()));
    sides[from].output = false;
    const std::size_t n = sides[from].core.produce(out, now);
    check(n <= out.size(), "inside the buffer");
    watch_produced(from, out.first(n));
    ways[from].bytes.insert(ways[from].bytes.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(n));
    return true;
  }
  bool deliver(int from, std::size_t most) {
    Way& way = ways[from];
    const std::size_t n = std::min(most, way.left());
    if (n == 0) return false;
    const auto at = way.bytes.begin() + static_cast<std::ptrdiff_t>(way.begin);
    const std::vector<std::byte> some(
        at, at + static_cast<std::ptrdiff_t>(n));  // of its own, so that a read past it is seen
    way.begin += n;
    if (way.begin == way.bytes.size()) {
      way.bytes.clear();
      way.begin = 0;
    }
    watch_delivered(from, some);
    check(sides[1 - from].core.receive(some, now).has_value(), "two cores agree");
    return true;
  }
  void check_bounds() {
    for (Side& side : sides) {
      check(side.core.held() <= limits().max_held, "held is bounded");
      check(side.core.streams() <= limits().max_streams, "streams are bounded");
      std::size_t held = 0;
      for (auto& [id, end] : side.ends)
        if (end->stream != nullptr) held += end->stream->held();
      check(held == side.core.held(), "held is the sum");
      const std::size_t used = side.budget.used() - (side.pressed ? kMemory : 0);
      check(used <= 3 * held + side.core.streams() * 16'384 + 16'384, "what is held costs about its size");
      if (held == 0) check(side.pool.lent() == 0, "nothing held, nothing borrowed");
      check(side.budget.holders() == (held > 0 ? 1 : 0) + (side.pressed ? kOthers : 0), "who holds is a holder");
      if (!side.pressed) side.before_press = used;
      check(!side.pressed || used <= std::max(side.before_press, kMemory / (kOthers + 1)) + 16'384, "a share is kept");
    }
  }
  void press(int side, bool on) {
    Side& one = sides[side];
    if (one.pressed == on) return;
    one.pressed = on;
    on ? one.budget.add(kMemory) : one.budget.sub(kMemory);
    for (std::size_t i = 0; i < kOthers; ++i) on ? one.budget.add_holder() : one.budget.sub_holder();
  }

  void run() {
    while (!input.empty()) {
      const std::uint32_t op = input.byte();
      const int side = (op >> 7) & 1;
      switch (op % 16) {
        case 0: open(); break;
        case 1:
        case 2: {
          End* end = pick(side, input.byte());
          const std::size_t n = input.length();
          if (end == nullptr || end->stream == nullptr || end->fin_wanted) break;
          end->to_send += n;
          end->stream->want_write();
          break;
        }
        case 3: {
          End* end = pick(side, input.byte());
          if (end == nullptr || end->stream == nullptr) break;
          end->fin_wanted = true;
          end->stream->want_write();
          break;
        }
        case 4: act(side, 0, input.byte()); break;
        case 5: {
          End* end = pick(side, input.byte());
          const std::size_t n = input.length();
          if (end == nullptr || end->stream == nullptr) break;
          end->appetite = n;
          end->stream->resume_read();
          break;
        }
        case 6: act(side, 2, input.byte()); break;
        case 7:
        case 8: carry(side, input.length()); break;
        case 9:
        case 10: deliver(side, input.length()); break;
        case 11: deliver(side, SIZE_MAX); break;
        case 12: sides[side].core.send_ping(now); break;
        case 13: {
          std::string text(2 + input.length() % 5000, ' ');
          text[0] = '{';
          text[1] = '}';
          sides[side].core.send_control(text);
          ++controls[side];
          break;
        }
        case 14: {
          const std::uint32_t what = input.byte();
          if (what < 250) {
            reaction = static_cast<int>(what);
            reaction_stream = input.byte();
          } else if (what < 253) {
            press(side, !sides[side].pressed);
          } else {
            sides[side].core.goaway(wire::GoawayCode::Done, "drain");
          }
          break;
        }
        case 15: now += std::chrono::milliseconds(input.length() / 8); break;
      }
      check_bounds();
    }
    settle();
    finish();
  }

  // All is carried, and all is taken.
  void settle() {
    reaction = -1;
    for (int side = 0; side < 2; ++side) press(side, false);
    for (int round = 0;; ++round) {
      check(round < 100'000, "it settles");
      bool moved = false;
      for (int side = 0; side < 2; ++side) {
        moved |= carry(side, 64 * 1024);
        moved |= deliver(side, SIZE_MAX);
        for (auto& [id, end] : sides[side].ends) {
          end->appetite = SIZE_MAX;
          if (end->stream != nullptr && end->stream->held() > 0) {
            moved = true;
            end->stream->resume_read();
          }
        }
      }
      now += 1ms;
      if (!moved) break;
    }
    check_bounds();
  }
  void finish() {
    for (int side = 0; side < 2; ++side) {
      check(sides[side].controls == controls[1 - side], "every CONTROL arrives");
      check(sides[side].core.held() == 0, "nothing is held any more");
      for (auto& [id, end] : sides[side].ends) {
        const auto found = sides[1 - side].ends.find(id);
        End* other = found == sides[1 - side].ends.end() ? nullptr : found->second.get();
        check(end->ends + (end->reset_by_us ? 1 : 0) <= 1, "one end at most");
        if (end->reset_by_us) {
          check(other == nullptr || other->stream == nullptr, "a RESET arrives");
        } else if (end->ends == 0) {
          // Alive: all that the other sent is here, and the FIN.
          check(other != nullptr && other->stream != nullptr, "alive at both ends or at none");
          check(end->received == other->sent && other->sent == other->to_send, "every byte arrives");
          check(end->fin == other->fin_wanted, "and the FIN");
          check(!(end->fin && end->fin_sent), "what both finished is over");
        } else if (end->end.clean) {
          check(end->fin && end->fin_sent, "clean means both FINs");
          check(end->sent == end->to_send, "all was sent");
          // Unless what was under way found no memory there: that end knows, this one had finished before.
          const bool no_memory = other != nullptr && other->ends == 1 && other->end.reason == ResetReason::Memory;
          if (other != nullptr && !other->reset_by_us && !no_memory)
            check(end->received == other->sent && other->end.clean, "and arrived");
        }
      }
    }
    for (Side& side : sides) {
      side.core.lost();
      for (auto& [id, end] : side.ends) check(end->ends + (end->reset_by_us ? 1 : 0) == 1, "exactly one end");
      check(side.pool.lent() == 0 && side.budget.used() == 0 && side.budget.holders() == 0, "all is given back");
    }
  }
};

std::size_t End::on_data(Stream& from, ConstBytes bytes) {
  check(&from == stream && ends == 0 && !fin, "bytes of a live stream");
  check(!bytes.empty(), "bytes");
  const std::size_t n = std::min(appetite, bytes.size());
  check(n == 0 || std::memcmp(bytes.data(), content(id, 1 - side, received, n).data(), n) == 0, "the right bytes");
  received += n;
  if (appetite != SIZE_MAX) appetite -= n;
  pair.react(side);
  // Still there, whatever happened.
  check(n == 0 || std::memcmp(bytes.data(), content(id, 1 - side, received - n, n).data(), n) == 0, "the bytes stay");
  return n;
}
void End::on_fin(Stream& from) {
  check(&from == stream && ends == 0 && !fin, "one FIN");
  fin = true;
  const auto other = pair.sides[1 - side].ends.find(id);
  check(other != pair.sides[1 - side].ends.end() && other->second->fin_sent && other->second->sent == received,
        "a FIN behind all bytes");
  pair.react(side);
}
void End::on_end(Stream& from, StreamEnd how) {
  check(&from == stream && ends == 0 && !reset_by_us, "one end");
  ++ends;
  end = how;
  stream = nullptr;
  pair.react(side);
}
Fill End::fill(Stream& from, MutBytes into) {
  check(&from == stream && ends == 0 && !fin_sent && !into.empty(), "asked in order");
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), to_send - sent));
  pair.react(side);
  if (stream == nullptr) return {};
  if (n > 0) std::memcpy(into.data(), content(id, side, sent, n).data(), n);
  sent += n;
  fin_sent = fin_wanted && sent == to_send;
  return {n, fin_sent, sent < to_send || (fin_wanted && !fin_sent)};
}

void Side::on_open(Stream& stream, const transport::OpenInfo&) {
  auto end = std::make_unique<End>(pair, index);
  End& kept = *end;
  Pair::adopt(kept, stream);
  stream.set_handler(kept);
  check(ends.emplace(kept.id, std::move(end)).second, "an id comes once");
  pair.react(index);
}
void Side::on_control(std::string_view json) {
  check(json.starts_with("{}"), "as sent");
  ++controls;
  pair.react(index);
}
void Side::on_goaway(std::uint32_t, std::string_view) { pair.react(index); }

// ---- raw bytes into one core ------------------------------------------------------------------------------------------

struct Raw final : transport::LinkHandler, mux::MuxHost, transport::StreamHandler {
  Raw(Role role, std::uint32_t mood_bits) : mood(mood_bits), core(role, small(), pool, *this, *this) {
    if (role != Role::Server) return;
    for (int i = 0; i < 3; ++i) (void)core.open({}, *this);
  }
  static MuxLimits small() {
    MuxLimits some = limits();
    some.max_tiny_per_second = some.max_empty_per_second = some.max_pings_per_second = 1000;
    return some;
  }
  std::uint32_t mood;  // changes with each call
  MemoryBudget budget{1u << 20};
  BufferPool pool{budget};
  MuxCore core;

  std::uint32_t next() { return mood = mood * 1664525u + 1013904223u, mood >> 24; }
  void on_open(Stream& stream, const transport::OpenInfo&) override {
    if (next() % 8 == 0) return stream.reset(ResetReason::NoTunnel);
    stream.set_handler(*this);
    if (next() % 2 == 0) stream.want_write();
  }
  void on_control(std::string_view json) override {
    check(json.size() >= 2 && json.size() <= wire::kMaxControl, "CONTROL's size");
  }
  void on_goaway(std::uint32_t, std::string_view text) override {
    check(text.size() <= wire::kMaxGoawayText, "GOAWAY's size");
  }
  void on_link_closed(const Error&) override { std::abort(); }
  void on_output() override {}
  std::size_t on_data(Stream& stream, ConstBytes bytes) override {
    switch (next() % 8) {
      case 0: return 0;
      case 1: return bytes.size() / 2;
      case 2: stream.reset(ResetReason::Cancel); return bytes.size();
      default: return bytes.size();
    }
  }
  void on_fin(Stream& stream) override {
    if (next() % 4 == 0)
      stream.reset(ResetReason::Idle);
    else
      stream.want_write();
  }
  void on_end(Stream&, StreamEnd) override {}
  Fill fill(Stream&, MutBytes into) override {
    const std::uint32_t what = next();
    return {std::min<std::size_t>(into.size(), what * 10), what % 8 == 0, what % 3 == 0 && what > 0};
  }
};

void raw(Input& input, std::uint32_t first) {
  Raw side((first & 2) != 0 ? Role::Client : Role::Server, first);
  const bool reads_output = (first & 4) != 0;
  const std::size_t piece = 1 + input.byte() * 3;
  ConstBytes bytes = input.rest();
  TimePoint now{1h};
  std::vector<std::byte> out(4096), sent;
  bool failed = false;
  while (!bytes.empty()) {
    const std::size_t n = std::min(piece, bytes.size());
    const bool fine = side.core.receive(bytes.first(n), now).has_value();
    check(!(failed && !fine), "one error");
    failed |= !fine;
    bytes = bytes.subspan(n);
    now += 100us;
    check(side.core.held() <= limits().max_held, "held is bounded");
    check(side.budget.used() <= 3 * side.core.held() + (side.core.streams() + 1) * 16'384, "memory is bounded");
    if (reads_output && side.core.has_output()) {
      const std::size_t wrote = side.core.produce(out, now);
      sent.insert(sent.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(wrote));
    }
  }
  // Whatever came in, what goes out are frames.
  for (int i = 0; i < 1000 && side.core.has_output(); ++i) {
    const std::size_t wrote = side.core.produce(out, now);
    sent.insert(sent.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(wrote));
  }
  ConstBytes left = sent;
  while (left.size() >= wire::kHeaderSize) {
    const auto header = wire::decode_header(left.first<wire::kHeaderSize>());
    check(header.has_value(), "what is sent can be read");
    if (left.size() < wire::kHeaderSize + header->length) break;
    left = left.subspan(wire::kHeaderSize + header->length);
  }
  side.core.lost();
  check(side.pool.lent() == 0, "all is given back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint32_t first = input.byte();
  if ((first & 1) != 0) {
    raw(input, first);
  } else {
    Pair(input).run();
  }
  return 0;
}
