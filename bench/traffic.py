"""The traffic of soak.py: visitors of many kinds and the service that they ask for, in one process, so that both know what each byte has to be.

A visitor's 32-byte head says what it wants: kind, size, seed. The bytes are content(seed, offset), both ways. Whoever receives compares each byte with
what it has to be; an upload's answer is the count and the SHA-256 of what arrived. So a byte that is altered, repeated, lost in the middle or another
visitor's shows, wherever it happens. What ends early is lost, unless it overlaps a fault that we made (Faults.excuse).
"""
import contextlib
import hashlib
import random
import select
import socket
import struct
import threading
import time

from origins import TcpOrigin, fields, read_head, reset
from visitors import HttpVisitor

PERIOD = 1_048_573  # a prime: no buffer's size divides it
_BLOCK = random.Random(20261124).randbytes(PERIOD)
_BLOCK += _BLOCK[:262_144]
HEAD = struct.Struct("!c7xQQ8x")
ANSWER = struct.Struct("!Q32s")


def content(seed, offset, n):
    """Up to n bytes (256 KiB at most) of the endless content of that seed."""
    at = (seed + offset) % PERIOD
    return _BLOCK[at:at + min(n, 262_144)]


def digest(seed, size):
    made = hashlib.sha256()
    at = 0
    while at < size:
        piece = content(seed, at, size - at)
        made.update(piece)
        at += len(piece)
    return made.digest()


class Altered(Exception):
    pass


class Checker:
    """Takes bytes in order, and holds each against what it has to be."""

    def __init__(self, seed, whose):
        self.seed, self.whose, self.count = seed, whose, 0

    def take(self, piece):
        view = memoryview(piece)
        while view:
            want = content(self.seed, self.count, len(view))
            if view[:len(want)] != want:
                raise Altered(f"{self.whose}: bytes {self.count} to {self.count + len(want)} are others")
            self.count += len(want)
            view = view[len(want):]


class Faults:
    """When we broke something, until it was whole again."""

    def __init__(self):
        self.windows, self.lock = [], threading.Lock()
        self.counts = {}

    @contextlib.contextmanager
    def window(self, what):
        window = [time.monotonic(), None]
        with self.lock:
            self.windows.append(window)
            self.counts[what] = self.counts.get(what, 0) + 1
        yield
        window[1] = time.monotonic()

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def excuse(self, began):
        """Whether something was broken at any time since."""
        with self.lock:
            return any(end is None or end >= began for _, end in self.windows)


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.whole, self.cut, self.gone, self.bytes = 0, 0, 0, 0
        self.kinds = {}
        self.lost, self.altered = [], []

    def put(self, name, kind=None, told=None, moved=0):
        with self.lock:
            self.bytes += moved
            if name in ("lost", "altered"):
                getattr(self, name).append(told)
            else:
                setattr(self, name, getattr(self, name) + 1)
            if name == "whole":
                self.kinds[kind] = self.kinds.get(kind, 0) + 1


class SoakOrigin(TcpOrigin):
    """Raw bytes by a head, or HTTP, by what comes first. broken: "alter" or "lose", to see that the visitors notice."""

    def __init__(self, world, ledger, port=0, broken=None):
        self.ledger, self.broken = ledger, broken
        super().__init__(world, self.answer, port=port)

    def answer(self, connection):
        try:
            first = connection.recv(1, socket.MSG_PEEK)
            if first in (b"U", b"D", b"E", b"R"):
                self.raw(connection)
            elif first and first != b"!":
                self.http(connection)
            elif first:  # is anybody there?
                connection.sendall(connection.recv(1))
        except Altered as error:
            self.ledger.put("altered", told=f"at the origin: {error}")

    def raw(self, connection):
        head = b""
        while len(head) < HEAD.size:
            more = connection.recv(HEAD.size - len(head))
            if not more:
                return
            head += more
        kind, size, seed = HEAD.unpack(head)
        if kind == b"U":
            got, sha = Checker(seed, "upload"), hashlib.sha256()
            while piece := connection.recv(262_144):
                got.take(piece)
                sha.update(piece)
            connection.sendall(ANSWER.pack(got.count, sha.digest()))
        elif kind == b"E":
            got = Checker(seed, "echo on its way in")
            while piece := connection.recv(65_536):
                got.take(piece)
                connection.sendall(self.spoil(piece))
        else:
            self.send(connection, seed, size // 2 if kind == b"R" else size)
            if kind == b"R":
                return reset(connection)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass

    def send(self, connection, seed, size):
        at = 0
        if self.broken == "lose" and size > 1000:
            size -= 1
        while at < size:
            piece = content(seed, at, size - at)
            connection.sendall(self.spoil(piece))
            at += len(piece)

    def spoil(self, piece):
        if self.broken == "alter" and len(piece) > 1000:
            return piece[:500] + bytes([piece[500] ^ 1]) + piece[501:]
        return piece

    def http(self, connection):
        with connection.makefile("rb") as stream:
            while head := read_head(stream):
                method, target, _ = head[0].split(" ")
                _, what, seed, size = target.split("/")
                seed, size = int(seed), int(size)
                if method == "POST":
                    self.taken(connection, stream, fields(head), seed)
                elif what == "chunked":
                    self.chunks(connection, seed, size)
                else:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                    self.send(connection, seed, size)

    def taken(self, connection, stream, field, seed):
        got, sha, left = Checker(seed, "body of a request"), hashlib.sha256(), int(field["content-length"])
        while left > 0:
            piece = stream.read(min(left, 65_536))
            if not piece:
                return
            left -= len(piece)
            got.take(piece)
            sha.update(piece)
        text = f"{got.count} {sha.hexdigest()}".encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    def chunks(self, connection, seed, size):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        at = 0
        while at < size:
            piece = content(seed, at, min(size - at, 50_000))
            connection.sendall(b"%x\r\n" % len(piece) + self.spoil(piece) + b"\r\n")
            at += len(piece)
        connection.sendall(b"0\r\n\r\n")


class Lost(Exception):
    """It ended, or stood still, before it was whole."""


class Visitors:
    """Threads that visit, each for itself, until stop(). where() gives (TCP address, HTTP address)."""

    KINDS = ("upload", "upload", "download", "download", "echo", "echo", "stalled", "leaves", "reset", "http", "http", "http")
    SIZES = (0, 1, 100, 5_000, 70_000, 70_000, 600_000, 3_000_000, 9_000_000)

    def __init__(self, where, ledger, faults, count, seed=1, patience=60.0):
        self.patience = patience  # seconds without a byte either way, where somebody reads, that count as lost
        self.where, self.ledger, self.faults = where, ledger, faults
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(random.Random(seed * 1000 + n),), daemon=True) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Those under way finish. Gives how many have not in time."""
        self.over.set()
        last = time.monotonic() + self.patience + 30
        for thread in self.threads:
            thread.join(max(0.1, last - time.monotonic()))
        return sum(thread.is_alive() for thread in self.threads)

    def _run(self, chance):
        while not self.over.is_set():
            kind, began = chance.choice(self.KINDS), time.monotonic()
            try:
                moved = getattr(self, f"_{kind}")(chance)
                self.ledger.put("gone" if kind == "leaves" else "whole", kind, moved=moved)
            except (Altered, AssertionError) as error:
                self._ended(kind, began, error, "altered" if isinstance(error, Altered) else "lost")
            except (Lost, OSError) as error:
                self._ended(kind, began, error, "lost")
                time.sleep(0.05)  # perhaps there is nobody: not to spin
            except Exception as error:  # noqa: BLE001 an answer that cannot be read: whoever visits must not die of it unnoticed
                cut_off = isinstance(error, ValueError) and "b''" in str(error)  # where a chunk's size should be, the end
                self._ended(kind, began, error, "lost" if cut_off else "altered")

    def _ended(self, kind, began, error, name):
        if name != "altered" and self.faults.excuse(began):
            self.ledger.put("cut")
        else:
            self.ledger.put(name, told=f"{kind} of {time.monotonic() - began:.1f} s: {error!r}")

    # --- raw

    def _connect(self):
        visitor = socket.create_connection(self.where()[0], timeout=self.patience)
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return visitor

    def _upload(self, chance):
        size, seed = chance.choice(self.SIZES), chance.randrange(PERIOD)
        with self._connect() as visitor:
            answer = b"".join(self._exchange(visitor, chance, b"U", size, seed, sends=size))
            if len(answer) != ANSWER.size:
                raise Lost(f"an answer of {len(answer)} bytes")
            if ANSWER.unpack(answer) != (size, digest(seed, size)):
                raise Altered(f"upload of {size}: {ANSWER.unpack(answer)[0]} arrived, with the hash {answer[8:12].hex()}…")
        return size

    def _download(self, chance, pause=0.0, most=9_000_000):
        size, seed = min(most, chance.choice(self.SIZES)), chance.randrange(PERIOD)
        with self._connect() as visitor:
            self._check(self._exchange(visitor, chance, b"D", size, seed, pause=pause), seed, size, "download")
        return size

    def _echo(self, chance):
        size, seed = chance.choice(self.SIZES), chance.randrange(PERIOD)
        with self._connect() as visitor:
            self._check(self._exchange(visitor, chance, b"E", size, seed, sends=size), seed, size, "echo")
        return 2 * size

    def _stalled(self, chance):
        return self._download(chance, pause=chance.uniform(0.2, 4))

    def _leaves(self, chance):
        seed, got = chance.randrange(PERIOD), 0
        with self._connect() as visitor:
            if chance.random() < 0.25:  # without a word, or in the middle of the first one
                visitor.sendall(HEAD.pack(b"D", 50_000_000, seed)[:chance.randrange(HEAD.size)])
                if chance.random() < 0.5:
                    reset(visitor)
                return 0
            visitor.sendall(HEAD.pack(b"D", 50_000_000, seed))
            checker, leave = Checker(seed, "download that is left"), chance.randrange(1, 2_000_000)
            while got < leave:
                piece = visitor.recv(65_536)
                if not piece:
                    raise Lost(f"ended after {got}")
                checker.take(piece)
                got += len(piece)
            if chance.random() < 0.5:
                reset(visitor)
        return got

    def _reset(self, chance):
        """The origin sends half and an RST: that is what has to arrive, not an end in good order."""
        seed, size, got = chance.randrange(PERIOD), chance.choice((10_000, 400_000)), 0
        with self._connect() as visitor:
            visitor.sendall(HEAD.pack(b"R", size, seed))
            checker = Checker(seed, "download before an RST")
            try:
                while piece := visitor.recv(65_536):
                    checker.take(piece)
                    got += len(piece)
            except ConnectionError:
                return got
            raise Lost(f"the origin's RST came as an end in good order, after {got} of {size // 2}")

    @staticmethod
    def _check(pieces, seed, size, what):
        checker = Checker(seed, what)
        for piece in pieces:
            checker.take(piece)
        if checker.count > size:
            raise Altered(f"{what}: {checker.count} came for {size}")
        if checker.count < size:
            raise Lost(f"{what}: {checker.count} of {size}")

    def _exchange(self, visitor, chance, kind, size, seed, sends=0, pause=0.0):
        """Sends the head and `sends` bytes in pieces of all sizes, half-closes, and yields what comes until the end."""
        out, sent, shut = HEAD.pack(kind, size, seed), 0, False
        visitor.setblocking(False)
        last, pause_at = time.monotonic(), (chance.randrange(1, max(2, size)) if pause else None)
        got = 0
        while True:
            readable, writable, _ = select.select([visitor], [] if shut else [visitor], [], self.patience)
            if not readable and not writable or time.monotonic() - last > self.patience:
                raise Lost(f"nothing moved for {self.patience:.0f} s after {got} of {size}")
            if writable:
                if not out and sent < sends:
                    out = content(seed, sent, min(sends - sent, chance.choice((1, 700, 17_000, 262_144))))
                    sent += len(out)
                if out:
                    with contextlib.suppress(BlockingIOError):
                        out = out[visitor.send(out):]
                        last = time.monotonic()
                if not out and sent == sends:
                    visitor.shutdown(socket.SHUT_WR)
                    shut = True
            if readable:
                piece = visitor.recv(65_536)
                last = time.monotonic()
                if not piece:
                    if not shut:
                        raise Lost(f"the end came first, after {sent} of {sends} were sent")
                    return
                got += len(piece)
                yield piece
                if pause_at is not None and got >= pause_at:
                    time.sleep(pause)
                    last, pause_at = time.monotonic(), None

    # --- HTTP

    def _http(self, chance):
        """Some requests on one connection."""
        moved = 0
        visitor = HttpVisitor(self.where()[1])
        with visitor:
            visitor.socket.settimeout(self.patience)
            for _ in range(chance.randrange(1, 12)):
                size, seed = min(600_000, chance.choice(self.SIZES)), chance.randrange(PERIOD)
                if chance.random() < 0.3:
                    body = b"".join(content(seed, at, min(262_144, size - at)) for at in range(0, size, 262_144))
                    answer = self._ok(visitor.ask("POST", f"/u/{seed}/{size}", "soak.test", body=body) if body else
                                      visitor.ask("POST", f"/u/{seed}/0", "soak.test", "Content-Length: 0"))
                    if answer.body != f"{size} {digest(seed, size).hex()}".encode():
                        raise Altered(f"body of {size}: the origin says {answer.body[:60]!r}")
                else:
                    what = chance.choice(("plain", "chunked"))
                    answer = self._ok(visitor.ask("GET", f"/{what}/{seed}/{size}", "soak.test"))
                    self._check([answer.body], seed, size, f"body of an answer ({what})")
                moved += size
                if answer.fields.get("connection") == "close":
                    break
        return moved

    @staticmethod
    def _ok(answer):
        if answer.status != 200:
            raise Lost(f"status {answer.status} {answer.fields.get('ferrotunnel-error', '')}")
        return answer
