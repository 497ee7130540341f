// RawLink: one connection to a server on which a test speaks docs/wire-protocol.md by hand, rightly or not.
//
// Blocking, with a deadline for each wait; while it sends it takes in what the server says, so that neither end waits for the other. One
// thread. What ends it is kept in end(), not thrown. Bytes that it said are kept too: to be said again elsewhere.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/random.h"
#include "session/handshake.h"
#include "session/join_token.h"
#include "transport/tcp/socket.h"
#include "transport/tcp/tcp_stream.h"
#include "transport/tls/tls_context.h"
#include "transport/tls/tls_stream.h"
#include "wire/control.h"
#include "wire/frame.h"

namespace ferrotunnel::test {

using Millis = std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

// The test cannot go on: it is not the server that is judged.
[[noreturn]] inline void give_up(std::string_view what, std::string_view why) {
  std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(what.size()), what.data(), static_cast<int>(why.size()),
               why.data());
  std::exit(2);
}

struct Frame {
  wire::FrameHeader header;
  std::string payload;
};

inline std::string u32(std::uint32_t value) {
  std::array<std::byte, 4> bytes{};
  store_be(bytes.data(), value);
  return std::string(as_text(bytes));
}

// A header that says `length`, whatever follows. Type and flags are not looked at.
inline std::string raw_header(unsigned type, std::uint32_t length, std::uint32_t stream, unsigned flags = 0) {
  const std::uint32_t first = (flags << 28) | (type << 24) | length;
  return u32(first) + u32(stream);
}
inline std::string frame(wire::FrameType type, std::uint32_t stream, std::string_view payload, unsigned flags = 0) {
  return raw_header(static_cast<unsigned>(type), static_cast<std::uint32_t>(payload.size()), stream, flags)
      .append(payload);
}
inline std::string control(std::string_view json) { return frame(wire::FrameType::Control, 0, json); }

// A socket that is connected to "127.0.0.1:80", from this address, non-blocking; nothing where nobody listens.
inline std::optional<transport::UniqueFd> dial(const std::string& to, const std::string& from) {
  const auto colon = to.rfind(':');
  sockaddr_in source{}, target{};
  source.sin_family = target.sin_family = AF_INET;
  target.sin_port = htons(static_cast<std::uint16_t>(std::strtoul(to.c_str() + colon + 1, nullptr, 10)));
  if (::inet_pton(AF_INET, to.substr(0, colon).c_str(), &target.sin_addr) != 1)
    give_up(to, "is not an IPv4 address and port");
  if (::inet_pton(AF_INET, from.c_str(), &source.sin_addr) != 1) give_up(from, "is not an IPv4 address");
  transport::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0)
    give_up(from, "cannot be a source");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) return std::nullopt;
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return fd;
}

class RawLink {
 public:
  // Dials the token's first address; over TLS where the token says so.
  RawLink(const session::JoinToken& token, const std::string& from) : token_(token) {
    auto fd = dial(token.addresses.at(0), from);
    if (!fd) {
      end_ = "closed";
      return;
    }
    if (!token.tls) {
      stream_ = std::make_unique<transport::TcpStream>(std::move(*fd));
      return;
    }
    transport::TlsClientOptions options;
    options.pin = token.fingerprint;
    auto context = transport::TlsClientContext::make(options);
    if (!context) give_up("TLS", context.error().context);
    auto tls = transport::TlsStream::connect(fd->release(), *context, "localhost");
    if (!tls) give_up("TLS", tls.error().context);
    const auto deadline = Steady::now() + Millis(20'000);
    while (true) {
      const auto step = (*tls)->handshake();
      if (!step) {
        end_ = "closed";
        return;
      }
      if (*step == transport::TlsProgress::Done) break;
      wait((*tls)->fd(), *step == transport::TlsProgress::WantRead ? POLLIN : POLLOUT, deadline);
    }
    auto exporter = (*tls)->exporter(session::kExporterLabel);
    if (!exporter) give_up("TLS", exporter.error().context);
    exporter_ = *exporter;
    stream_ = std::move(*tls);
  }

  // What a good client does. "" when welcome, else why not.
  std::string sign_in() {
    session::ClientHandshakeOptions options;
    options.grant = token_.grant;
    options.key = session::AuthKey::of(token_.secret);
    fill_random(options.instance);
    options.version = "hostile";
    options.exporter = exporter_;
    session::ClientHandshake handshake(std::move(options));
    while (!ended()) {
      if (const auto output = handshake.take_output(); !output.empty()) {
        said_.append(as_text(output));
        send(as_text(output));
      }
      if (handshake.done()) return {};
      if (in_.empty() && !take_in(Steady::now() + Millis(20'000))) break;
      const auto fed = handshake.feed(as_bytes(in_));
      if (!fed) return fed.error().context;
      in_.erase(0, *fed);
      preface_due_ = false;
    }
    return "the connection ended: " + end();
  }
  [[nodiscard]] const std::string& said() const { return said_; }

  // False when the link ended before all was taken. Frames that came meanwhile wait for next().
  bool send(std::string_view bytes) {
    const auto deadline = Steady::now() + Millis(30'000);
    while (!bytes.empty() && !ended()) {
      const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
      const transport::IoResult wrote = stream_->write({&piece, 1});
      if (wrote.status == transport::IoStatus::Ok) {
        bytes.remove_prefix(wrote.n);
      } else if (wrote.status == transport::IoStatus::WouldBlock) {
        if (!wait(stream_->fd(), POLLIN | POLLOUT, deadline)) return false;
      } else {
        // What the server said before it closed may still be there to read.
        while (read_some()) {
        }
        if (!ended()) end_ = "closed";
        return false;
      }
      while (read_some()) {
      }
    }
    return !ended();
  }

  // The next frame, waited for this long at most. A GOAWAY that ends the link is in end(), and nothing else comes.
  std::optional<Frame> next(Millis patience) {
    const auto deadline = Steady::now() + patience;
    while (true) {
      if (preface_due_ && in_.size() >= wire::kPrefaceSize) {
        in_.erase(0, wire::kPrefaceSize);
        preface_due_ = false;
      }
      if (!preface_due_ && in_.size() >= wire::kHeaderSize) {
        const auto header = wire::decode_header(as_bytes(in_).first<wire::kHeaderSize>());
        if (!header) give_up("the server's frame", header.error().context);
        if (in_.size() >= wire::kHeaderSize + header->length) {
          Frame got{*header, in_.substr(wire::kHeaderSize, header->length)};
          in_.erase(0, wire::kHeaderSize + header->length);
          if (header->type == wire::FrameType::Goaway) {
            goaway_ = wire::decode_goaway(as_bytes(got.payload)).code;
            continue;
          }
          if (header->type == wire::FrameType::Ping && polite_) send(frame(wire::FrameType::Pong, 0, got.payload));
          return got;
        }
      }
      if (!take_in(deadline)) return std::nullopt;
    }
  }

  // Frames until the link's end or for so long; whether it has ended.
  bool wait_end(Millis patience) {
    const auto deadline = Steady::now() + patience;
    while (Steady::now() < deadline) {
      const auto left = std::chrono::duration_cast<Millis>(deadline - Steady::now());
      if (!next(left) && ended()) return true;
    }
    return ended();
  }

  void answer_pings(bool on) { polite_ = on; }
  void reset() {
    stream_->abort();
    stream_.reset();
    end_ = "closed";
  }
  [[nodiscard]] bool ended() const { return !end_.empty(); }
  // "goaway N", "closed" (without a word), or "" while it stands.
  [[nodiscard]] std::string end() const { return goaway_ && ended() ? "goaway " + std::to_string(*goaway_) : end_; }
  [[nodiscard]] int fd() const { return stream_->fd(); }

 private:
  static bool wait(int fd, short events, Steady::time_point deadline) {
    const auto left = std::chrono::duration_cast<Millis>(deadline - Steady::now()).count();
    pollfd one{fd, events, 0};
    return left > 0 && ::poll(&one, 1, static_cast<int>(left)) > 0;
  }
  // One read; false when nothing is there now.
  bool read_some() {
    if (ended()) return false;
    std::array<std::byte, 16384> buffer;
    const transport::IoResult got = stream_->read(buffer);
    if (got.status == transport::IoStatus::WouldBlock) return false;
    if (got.status != transport::IoStatus::Ok) {
      end_ = "closed";
      return false;
    }
    in_.append(as_text(ConstBytes(buffer).first(got.n)));
    return true;
  }
  bool take_in(Steady::time_point deadline) {
    while (!ended()) {
      if (read_some()) return true;
      if (ended() || !wait(stream_->fd(), POLLIN, deadline)) return false;
    }
    return false;
  }

  const session::JoinToken& token_;
  transport::ByteStreamPtr stream_;
  std::optional<session::ExporterKey> exporter_;
  std::string in_, said_, end_;
  std::optional<std::uint32_t> goaway_;
  bool polite_ = true;
  bool preface_due_ = true;  // the server's, before its first frame
};

}  // namespace ferrotunnel::test
