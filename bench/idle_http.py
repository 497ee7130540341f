"""What an HTTP visitor who does nothing costs the server: its own (anonymous) memory for each connection, kept alive after one request or some.

usage: bench/idle_http.py [BINARY] [--connections N] [--requests N] [--tls] [--memory judge|print] [--json FILE]

For HTTP/1.1, HTTP/2 by prior knowledge, and with --tls for both over TLS: opens N connections (1,000), asks N requests (1) on each with a head as a browser's, waits until
all is answered, and reads what the server's memory grew by. A few come before and are not counted: what is made once is made then. Each kind has a server of its own, since
what one leaves in the heap the next would use.
The binary is build/release/ferrotunnel, $FERROTUNNEL_BIN or the argument. Ends with 0 where every goal is met, or with --memory print.
"""
import argparse
import json
import ssl
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import ends  # noqa: E402

GOALS = {"h1": 3.0, "h2": 16.0}  # KB of 1024 (issue 6), without TLS
HOST = "idle.test"
FIRST = 20  # not counted
PAUSE = 1.5  # seconds until what was lent for the answers is given back: the pools keep some for a moment
BROWSER = [("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36"),
           ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"), ("accept-language", "en-GB,en;q=0.5"),
           ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark")]


def indexed(pairs):
    """Literals that go into the table, as browsers say them: it is part of what a connection holds."""
    from h2_attacks import text

    return b"".join(b"\x40" + text(name.encode()) + text(value.encode()) for name, value in pairs)


class Http1:
    def __init__(self, socket):
        self.stream = socket

    def ask(self, n):
        lines = "".join(f"{name}: {value}\r\n" for name, value in BROWSER)
        self.stream.sendall(f"GET /{n} HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n".encode())

    def answered(self):
        data = b""
        while not data.endswith(b"hello"):
            piece = self.stream.recv(65536)
            assert piece, data
            data += piece
        assert data.startswith(b"HTTP/1.1 200 "), data


class Http2:
    def __init__(self, socket):
        from h2_attacks import PREFACE, SETTINGS, frame

        self.stream, self.next, self.pending = socket, 1, b""
        socket.sendall(PREFACE + frame(SETTINGS))

    def ask(self, n):
        from h2_attacks import HEADERS, frame

        pairs = [(":method", "GET"), (":scheme", "http"), (":authority", HOST), (":path", f"/{n}"), *BROWSER]
        self.stream.sendall(frame(HEADERS, 5, self.next, indexed(pairs)))
        self.next += 2

    def answered(self):
        from h2_attacks import ACK, DATA, SETTINGS, frame

        while True:
            while len(self.pending) >= 9 and len(self.pending) >= 9 + int.from_bytes(self.pending[:3], "big"):
                size, kind, flags = int.from_bytes(self.pending[:3], "big"), self.pending[3], self.pending[4]
                self.pending = self.pending[9 + size:]
                assert kind not in (3, 7), f"frame {kind}"
                if kind == SETTINGS and not flags & ACK:
                    self.stream.sendall(frame(SETTINGS, ACK))
                if kind == DATA and flags & 1:
                    return
            piece = self.stream.recv(65536)
            assert piece
            self.pending += piece


def connect(server, version, tls):
    from processes import address
    from visitors import connect as plain

    if not tls:
        return version(plain(server.http_address))
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["h2" if version is Http2 else "http/1.1"])
    return version(context.wrap_socket(plain(address(server.https)), server_hostname=HOST))


def crowd(server, version, tls, connections, requests):
    visitors = []
    for _ in range(connections):
        visitor = connect(server, version, tls)
        for n in range(requests):
            visitor.ask(n)
            visitor.answered()
        visitors.append(visitor)
    time.sleep(PAUSE)
    return visitors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="?")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--memory", choices=["judge", "print"], default="judge")
    parser.add_argument("--json")
    asked = parser.parse_args()
    ends.binary_of(asked.binary)
    world, close = ends.scratch_world()
    found, missed = {}, []
    try:
        import origins
        from certificates import Authority

        flags = []
        if asked.tls:
            certificate, key = Authority(world.work, "ca").issue("idle", names=f"DNS:{HOST}")
            flags = ["--https-listen", "127.0.0.1:0", "--https-cert", certificate, "--https-key", key]

        def respond(line, fields, stream, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
            return True

        origin = origins.HttpOrigin(world, respond)
        kinds = [("h1", Http1, False), ("h2", Http2, False)]
        if asked.tls:
            kinds += [("h1 over TLS", Http1, True), ("h2 over TLS", Http2, True)]
        for name, version, tls in kinds:
            server = world.server(*flags)
            client = world.http_tunnel(server, origin.port, HOST)
            first = crowd(server, version, tls, FIRST, asked.requests)
            before = ends.memory(server.pid)
            visitors = crowd(server, version, tls, asked.connections, asked.requests)
            after = ends.memory(server.pid)
            kb = (after["anon"] - before["anon"]) / asked.connections
            found[name] = round(kb, 2)
            print(f"{name:12} {kb:6.2f} KB a connection ({before['anon']} KiB before, {after['anon']} after)", flush=True)
            if name in GOALS and kb > GOALS[name]:
                missed.append(f"{name}: {kb:.2f} KB, and {GOALS[name]} may be")
            for visitor in first + visitors:
                visitor.stream.close()
            client.stop()
            server.stop()
    finally:
        close()
    if asked.json:
        Path(asked.json).write_text(json.dumps(found) + "\n")
    if missed and asked.memory == "judge":
        sys.exit("\n".join(missed))


if __name__ == "__main__":
    main()
