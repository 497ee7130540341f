#include "transport/pair_relay.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "transport/tcp/socket.h"

namespace ferrotunnel::transport {

PairRelay::PairRelay(Shard& shard, ByteStreamPtr first, ByteStreamPtr second, PairRelayOwner& owner)
    : shard_(shard),
      owner_(owner),
      first_(*this, std::move(first)),
      second_(*this, std::move(second)),
      ways_{Way(first_, second_), Way(second_, first_)},
      spliced_(first_.socket->plain() && second_.socket->plain()) {}

PairRelay::~PairRelay() {
  for (Side* side : {&first_, &second_}) {
    if (side->watched) shard_.poller().remove(side->socket->fd(), *side);
    if (side->socket) side->socket->abort();  // not over, or never begun: nobody must take it for an end
  }
}

bool PairRelay::watch(Side& side) {
  side.watched = shard_.poller().add(side.socket->fd(), side).has_value();
  return side.watched;
}

void PairRelay::start(ConstBytes to_first, ConstBytes to_second) {
  assert(to_first.size() <= kMaxHead && to_second.size() <= kMaxHead);
  first_.socket->arm_reset();
  second_.socket->arm_reset();
  if (!watch(first_) || !watch(second_)) return finish({false, ResetReason::Refused});
  if (!to_first.empty()) hold(ways_[1], shard_.buffers().borrow(to_first.size()), to_first);
  if (!to_second.empty()) hold(ways_[0], shard_.buffers().borrow(to_second.size()), to_second);
  pump();
}

void PairRelay::stop(ResetReason reason) {
  if (!over_) finish({false, reason});
}

void PairRelay::hold(Way& way, Buffer buffer, ConstBytes bytes) {
  way.held = std::move(buffer);
  std::ranges::copy(bytes, way.held.data());
  way.held_begin = 0;
  way.held_end = static_cast<std::uint32_t>(bytes.size());
}

void PairRelay::on_ready(Side& side, std::uint32_t what) {
  if (over_) return;
  if ((what & (kPeerClosed | kFailed)) != 0) side.closed = true;
  if ((what & kReadable) != 0) side.readable = true;
  if ((what & kFailed) != 0 && (!way_from(side).eof || take_error(side.socket->fd()) != 0)) side.failed = true;
  if ((what & kWritable) != 0) {
    side.writable = true;
    // The end of a TLS connection is a record, which may have found no room.
    if (way_to(side).done && !side.failed && !side.socket->plain()) side.socket->shutdown_write();
  }
  pump();
}

void PairRelay::run_turn() {
  if (over_) return owner_.on_pair_end(*this, end_);
  pump();
}

void PairRelay::pump() {
  Turn turn;
  second_begins_ = !second_begins_;
  Way& one = ways_[second_begins_ ? 1 : 0];
  Way& other = ways_[second_begins_ ? 0 : 1];
  move(one, turn);
  move(other, turn);
  // A write that failed in the second may have left the first something to see to.
  if (one.from.failed && !turn.over()) move(one, turn);
  const bool more = turn.over();
  for (const Way* way : {&one, &other}) {
    if (way->from.failed && (way->done || way->eof || !more)) return finish({false, ResetReason::PeerReset});
  }
  if (one.done && other.done) return finish({true, ResetReason::Cancel});
  if (more) shard_.next_turn(*this);
}

// Until it waits for a socket, or the turn is over.
void PairRelay::move(Way& way, Turn& turn) {
  while (!way.done && !turn.over()) {
    if (way.holds()) {
      if (!way.to.writable) return;
      write_held(way, turn);
    } else if (way.eof) {
      return end_half(way);
    } else {
      if (!way.from.readable || !way.to.writable) return;
      read_some(way, turn);
    }
  }
}

void PairRelay::end_half(Way& way) {
  if (way.from.failed) return;  // its error was told to somebody before, and what is read then is no end
  way.done = true;
  way.to.socket->shutdown_write();
}

void PairRelay::read_some(Way& way, Turn& turn) {
  if (spliced_ && way.bulk) {
    if (!way.pipe) way.pipe = shard_.pipes().borrow();
    if (way.pipe) return splice_some(way, turn);
  }
  copy_some(way, turn);
}

void PairRelay::splice_some(Way& way, Turn& turn) {
  const IoResult got = way.pipe->fill_from(way.from.socket->fd(), way.pipe->capacity());
  turn.spend(got.n);
  if (got.status != IoStatus::Ok) {
    way.pipe.reset();
    return not_read(way, got);
  }
  way.bytes += got.n;
  way.bulk = got.n >= kTightRead;  // below that two calls are cheaper than three
  write_held(way, turn);
}

void PairRelay::copy_some(Way& way, Turn& turn) {
  const bool tight = shard_.buffers().budget().tight();
  const MutBytes buffer = shard_.read_buffer().first(tight ? kTightRead : spliced_ ? kSmallRead : kLargeRead);
  const IoResult got = way.from.socket->read(buffer);
  turn.spend(got.n);
  if (got.status != IoStatus::Ok) return not_read(way, got);
  way.bytes += got.n;
  way.bulk = got.n >= kSmallRead;
  if (got.n < buffer.size() && !way.from.closed && !way.from.socket->read_pending()) {
    way.from.readable = false;
    shard_.poller().await(way.from.socket->fd(), way.from, kReadable);
  }
  const ConstBytes bytes = buffer.first(got.n);
  const iovec piece{buffer.data(), got.n};
  const IoResult result = way.to.socket->write({&piece, 1});
  turn.spend(0);
  const std::size_t taken = wrote(way, result, got.n, way.to.socket->plain());
  if (taken < got.n) hold(way, shard_.buffers().borrow(got.n - taken), bytes.subspan(taken));
}

void PairRelay::write_held(Way& way, Turn& turn) {
  if (way.pipe && !way.pipe->empty()) {
    const std::size_t had = way.pipe->size();
    const IoResult result = way.pipe->drain_to(way.to.socket->fd(), had);
    turn.spend(0);
    const std::size_t taken = wrote(way, result, had, false);
    if (taken == had || way.done) {
      // It stays while there is bulk to come in this turn: not_read() gives it back.
      if (!way.bulk || way.done) way.pipe.reset();
    }
    return;
  }
  const iovec piece{way.held.data() + way.held_begin, way.held_end - way.held_begin};
  const IoResult result = way.to.socket->write({&piece, 1});
  turn.spend(0);
  way.held_begin += static_cast<std::uint32_t>(wrote(way, result, piece.iov_len, way.to.socket->plain()));
  if (way.held_begin < way.held_end && !way.done) return;
  way.held.reset();
  way.held_begin = way.held_end = 0;
}

// How many bytes are off our hands: taken, or dropped since nobody is there to take them.
std::size_t PairRelay::wrote(Way& way, const IoResult& result, std::size_t asked, bool certain) {
  if (result.status == IoStatus::Ok) {
    // A plain socket that took a part is full. Of a pipe's pieces, or TLS records, it may take more: it is asked until it says so.
    if (result.n == asked || !certain) return result.n;
  } else if (result.status != IoStatus::WouldBlock) {
    way.to.failed = way.to.closed = way.to.readable =
        true;  // what it said before (why it refuses an upload) is read yet
    way.done = true;
    return asked;
  }
  way.to.writable = false;
  shard_.poller().await(way.to.socket->fd(), way.to, kWritable);
  return result.n;
}

void PairRelay::not_read(Way& way, const IoResult& got) {
  way.pipe.reset();
  way.bulk = false;
  switch (got.status) {
    case IoStatus::Ok: return;
    case IoStatus::WouldBlock:
      way.from.readable = false;
      if (!way.from.failed) shard_.poller().await(way.from.socket->fd(), way.from, kReadable);
      return;
    case IoStatus::Eof: way.eof = true; return;
    case IoStatus::Error:
      way.from.failed = true;
      way.from.readable = false;
      return;
  }
}

// The sockets go now; the owner hears later, from the top of the stack.
void PairRelay::finish(StreamEnd end) {
  end_ = end;
  over_ = true;
  for (Side* side : {&first_, &second_}) {
    if (side->watched) shard_.poller().remove(side->socket->fd(), *side);
    side->watched = false;
    if (end.clean) {
      side->socket->disarm_reset();
    } else {
      side->socket->abort();
    }
    side->socket.reset();
  }
  for (Way& way : ways_) {
    way.held.reset();
    way.pipe.reset();
  }
  shard_.at_turn_end(*this);
}

}  // namespace ferrotunnel::transport
