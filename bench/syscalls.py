"""Where the cost goes: system calls of the server and of the client, counted by strace, for each 64 KB, HTTP request and connection.

usage: bench/syscalls.py [BINARY] [--tls on|off] [--carry mux|direct|auto] [--json FILE]

Each case runs with strace attached to one end, then to the other. Under strace the traced end is slow, so that more bytes are waiting when it looks: counts for
each byte are those of a busy tunnel. Operations that follow one another (one request, one connection at a time) are counted as they are.
Needs strace and the right to trace (root, or kernel.yama.ptrace_scope 0 for one's own).
"""
import argparse
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import ends  # noqa: E402

BULK = 256 << 20
OPERATIONS = 500


def traced(pid, work, call):
    """{name: calls} of the process while call() runs."""
    out = Path(work) / "strace.out"
    strace = subprocess.Popen(["strace", "-f", "-c", "-q", "-o", out, "-p", str(pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    last = time.monotonic() + 10
    while not all_traced(pid):
        if strace.poll() is not None or time.monotonic() > last:
            sys.exit(f"strace does not attach: {strace.stderr.read() if strace.poll() is not None else 'no word'}")
        time.sleep(0.02)
    call()
    strace.send_signal(signal.SIGINT)
    strace.wait(20)
    counts = {}
    for line in out.read_text().splitlines():
        row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if row and row[2] != "total":
            counts[row[2]] = counts.get(row[2], 0) + int(row[1])
    return counts


def all_traced(pid):
    """Whether every thread has a tracer."""
    return all("TracerPid:\t0" not in (task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir())


class Cases:
    def __init__(self, world, options):
        import origins

        self.world = world
        self.server = world.server(*ends.tls_flags(options.tls == "on"), "--log-level", "error", env={"FERROTUNNEL_THREADS": "1"})
        self.origin = origins.TcpOrigin(world, self.serve)
        file = world.work / "client.toml"
        to = self.origin.port
        ends.write_client_file(file, self.server.join, [("raw", f"tcp://127.0.0.1:{to}", "tcp://"), ("web", f"http://127.0.0.1:{to}", "http://bench.test")],
                               options.carry)
        self.client = world.client("client", "--config", file)
        self.raw = ("127.0.0.1", self.client.wait_event("tunnel_up", name="raw")["port"])
        self.client.wait_event("tunnel_up", name="web")

    @staticmethod
    def serve(connection):
        from origins import read_head

        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        first = connection.recv(1, socket.MSG_PEEK)
        if first in (b"D", b"U", b"E"):
            connection.recv(1)  # what stays unread makes the close an RST
        if first == b"D":  # all down, then the end
            block = bytes(1 << 20)
            for _ in range(BULK >> 20):
                connection.sendall(block)
        elif first == b"U":
            while connection.recv(1 << 20):
                pass
            connection.sendall(b"k")
        elif first == b"E":
            while data := connection.recv(65536):
                connection.sendall(data)
        elif first:
            with connection.makefile("rb") as stream:
                while read_head(stream):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n" + bytes(128))

    def down(self):
        with socket.create_connection(self.raw, 60) as visitor:
            visitor.sendall(b"D")
            got = 0
            while piece := visitor.recv(1 << 20):
                got += len(piece)
            assert got == BULK, f"{got} of {BULK}"

    def up(self):
        with socket.create_connection(self.raw, 60) as visitor:
            visitor.sendall(b"U")
            block = bytes(1 << 20)
            for _ in range(BULK >> 20):
                visitor.sendall(block)
            visitor.shutdown(socket.SHUT_WR)
            assert visitor.recv(1) == b"k"

    def connections(self):
        for _ in range(OPERATIONS):
            with socket.create_connection(self.raw, 60) as visitor:
                visitor.sendall(b"Ex")
                assert visitor.recv(1)

    def pings(self):
        with socket.create_connection(self.raw, 60) as visitor:
            visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            visitor.sendall(b"E")
            for _ in range(OPERATIONS):
                visitor.sendall(b"x" * 64)
                got = 0
                while got < 64:
                    got += len(visitor.recv(64))

    def requests(self):
        from visitors import HttpVisitor

        with HttpVisitor(self.server.http_address) as visitor:
            for _ in range(OPERATIONS):
                assert visitor.ask("GET", "/small", "bench.test").status == 200

    def run(self):
        found = {}
        for name, call, units in (("64 KB down", self.down, BULK / 65536), ("64 KB up", self.up, BULK / 65536), ("64 bytes there and back", self.pings, OPERATIONS),
                                  ("connection, echo, close", self.connections, OPERATIONS), ("HTTP request, 128 bytes", self.requests, OPERATIONS)):
            call()  # warm
            for end, pid in (("server", self.server.pid), ("client", self.client.pid)):
                counts = traced(pid, self.world.work, call)
                each = {what: n / units for what, n in sorted(counts.items(), key=lambda c: -c[1])}
                found.setdefault(name, {})[end] = each
                said = ", ".join(f"{what} {n:.2f}" for what, n in each.items() if n >= 0.01)
                print(f"{name:26} {end:7} {sum(each.values()):6.2f}   {said}", flush=True)
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="?")
    parser.add_argument("--tls", choices=("on", "off"), default="off")
    parser.add_argument("--carry", choices=("mux", "direct", "auto"))
    parser.add_argument("--json")
    options = parser.parse_args()
    if not shutil.which("strace"):
        sys.exit("strace is not there: ./scripts/deps bench")
    ends.binary_of(options.binary)
    world, close = ends.scratch_world()
    try:
        found = Cases(world, options).run()
    finally:
        close()
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
