"""Mixed traffic and faults for as long as one likes; every byte is held against what it has to be.

usage: bench/soak.py [BINARY] [--minutes N] [--tls on|off] [--carry mux|direct|auto] [--visitors N] [--seed N] [--patience S]
                     [--break alter|lose] [--json FILE]

Bulk up and down of sizes of chance, echoes with half-close, readers who stall, visitors who go away, origins that reset, HTTP requests on kept
connections. Meanwhile, one after the other: the client and the server are killed by `kill -9` and started again, the origin dies and comes back,
sessions are kicked, both ends reload. In the second half nobody is killed, so that memory can be followed. A connection that overlaps such a fault may be
cut (counted apart), never altered; a reload cuts nothing.

Prints a line a minute (more often in a short run), and at the end the slope of RSS, its lowest values, and what descriptors each end has more than at the start.
  RSS: of the last 40 % of the time. What comes before is left out: the half with kills, and a tenth of the time as warm-up.
  Descriptors: counted before the traffic and after it, each time when nobody visits and every thread of the client runs (it starts them when a
  crowd comes, and keeps them). What the session has open by its own account, links and streams kept for the next HTTP request, comes and goes
  and is not counted. So 0 is what has to come out. In less than two minutes a pipe or two may not be cold yet.
Ends with 0 when no byte was lost or altered, else 1. Whoever waits for --patience seconds (60) without a byte has lost it. --break spoils the origin: it has to end with 1.
"""
import argparse
import contextlib
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import ends  # noqa: E402

CROWD = 64  # visitors at once, for whom the server asks a client for links on all its threads
AT_REST = 45  # seconds until what is kept warm is cold: connections to the origin take 30
LEFT_OUT = 0.6  # of the time, before memory is followed

FIRST_HALF = ("kill client", "kill server", "reload", "kick", "origin dies", "reload")
SECOND_HALF = ("reload", "origin dies", "reload", "kick")


class Soak:
    def __init__(self, world, options):
        import traffic

        self.world, self.options = world, options
        self.faults, self.ledger = traffic.Faults(), traffic.Ledger()
        self.new_origin = lambda port=0: traffic.SoakOrigin(world, self.ledger, port, getattr(options, "break"))
        self.origin = self.new_origin()
        self.server = self.start_server()
        self.file, self.socket = world.work / "client.toml", world.work / "client.sock"
        self.extra = 0
        self.write_file()
        self.client = self.start_client()
        self.whole_again()
        self.threads = ends.threads(self.client.pid) + len(os.sched_getaffinity(0)) - 1
        self.start_kinds = self.kinds_at_rest(lambda kinds, same_for: same_for >= 2, patience=20)
        print(f"at the start: descriptors {self.words_of(self.start_kinds)}, {ends.threads(self.client.pid)} threads of the client", flush=True)
        self.visitors = traffic.Visitors(self.where, self.ledger, self.faults, options.visitors, options.seed, options.patience)

    # --- the two ends

    def start_server(self, old=None):
        where = {"listen": old.listen, "http": old.http, "state": old.state} if old else {}
        return self.world.server(*ends.tls_flags(self.options.tls == "on"), "--log-level", "warn", **where)

    def write_file(self):
        to = self.origin.port
        tunnels = [("raw", f"tcp://127.0.0.1:{to}", "tcp://"), ("web", f"http://127.0.0.1:{to}", "http://soak.test")]
        tunnels += [(f"more{self.extra}", f"http://127.0.0.1:{to}", f"http://more{self.extra}.test")] if self.extra else []
        ends.write_client_file(self.file, self.server.join, tunnels, self.options.carry, f'control_socket = "{self.socket}"')

    def start_client(self):
        client = self.world.client("client", "--config", self.file)
        client.wait_event("tunnel_up", name="raw")
        client.wait_event("tunnel_up", name="web")
        return client

    def where(self):
        port = self.client.events("tunnel_up", name="raw")[-1]["port"]
        return ("127.0.0.1", port), self.server.http_address

    def whole_again(self):
        """Until a byte comes through, both ways of coming in."""
        from processes import until

        until(self.through, "the tunnels work again", patience=60)

    def through(self):
        from visitors import HttpVisitor

        try:
            raw, web = self.where()
            with socket.create_connection(raw, 5) as visitor:
                visitor.sendall(b"!")
                if visitor.recv(1) != b"!":
                    return False
            with HttpVisitor(web) as visitor:
                return visitor.ask("GET", "/plain/1/10", "soak.test").status == 200
        except (OSError, AssertionError, IndexError):
            return False

    # --- faults

    def fault(self, what):
        if what == "reload":  # nothing may be cut: no window
            self.faults.count(what)
            return self.reload()
        with self.faults.window(what):
            if what.startswith("kill"):
                self.killed = time.monotonic()
            if what == "kill client":
                self.client.kill()
                time.sleep(0.5)
                self.client = self.start_client()
            elif what == "kill server":
                self.server.kill()
                time.sleep(0.5)
                self.server = self.start_server(self.server)
            elif what == "kick":
                done = self.world.run("kick", "default", "--state", self.server.state)
                assert done.returncode == 0, done.stderr
            else:
                port = self.origin.port
                self.origin.close()
                time.sleep(0.5)
                self.origin = self.new_origin(port)
            self.whole_again()

    def reload(self):
        self.extra += 1
        self.write_file()
        for which in (("--state", self.server.state), ("--socket", self.socket)):
            done = self.world.run("reload", *which)
            assert done.returncode == 0, done.stderr

    # --- what is told

    def fds(self):
        return ends.descriptors(self.server.pid), ends.descriptors(self.client.pid)

    def between(self):
        """What is open between the two ends, as the server says: connections, and streams (with those that are kept for the next HTTP request)."""
        told = self.world.run("status", "--json", "--state", self.server.state)
        assert told.returncode == 0, told.stderr
        connections = streams = 0
        for one in json.loads(told.stdout)["sessions"]:
            direct = one.get("direct", 0)
            connections += one.get("links", 1) + direct + one.get("direct_warm", 0)
            streams += one["streams"] + direct
        return connections, streams

    def kinds(self):
        """What descriptors each end has, without those connections, and without the client's to the origin, one for each stream."""
        connections, self.streams_left = self.between()
        server, client = (ends.descriptor_kinds(end.pid) for end in (self.server, self.client))
        return [{**server, "socket": server.get("socket", 0) - connections},
                {**client, "socket": client.get("socket", 0) - connections - self.streams_left}]

    def kinds_at_rest(self, good, patience):
        """The same, when a crowd has been there and gone and good(kinds, seconds since they changed), or after the patience."""
        self.crowd()
        kinds, since, last = None, 0, time.monotonic() + patience
        while True:
            now, at = self.kinds(), time.monotonic()
            if now != kinds:
                kinds, since = now, at
            if good(kinds, at - since) or at > last:
                return kinds
            time.sleep(0.25)

    def crowd(self):
        """So many visitors at once that every thread of the client runs; they stay until it does."""
        import traffic
        from processes import until

        try:
            with contextlib.ExitStack() as stack:
                visitors = [stack.enter_context(socket.create_connection(self.where()[0], 10)) for _ in range(CROWD)]
                for visitor in visitors:
                    visitor.sendall(traffic.HEAD.pack(b"E", 0, 0))
                with contextlib.suppress(AssertionError):
                    until(lambda: ends.threads(self.client.pid) >= self.threads, "every thread of the client runs", patience=15)
                for visitor in visitors:
                    visitor.shutdown(socket.SHUT_WR)
                    assert visitor.recv(1) == b"", "a byte that nobody sent"
        except (OSError, AssertionError) as error:
            self.ledger.put("lost", told=f"one of {CROWD} visitors at once, while nothing was broken: {error!r}")
        if ends.threads(self.client.pid) < self.threads:
            print(f"soak: the client runs {ends.threads(self.client.pid)} threads and not {self.threads}: its descriptors are counted without those", flush=True)

    @staticmethod
    def words_of(kinds):
        return ", ".join(f"{end} {sum(of.values())}" for end, of in zip(("server", "client"), kinds))

    def changed_kinds(self, kinds):
        """In words, what is more or fewer than at the start."""
        words = []
        for end, then, now in zip(("server", "client"), self.start_kinds, kinds):
            words += [f"{end} {kind} {now.get(kind, 0) - then.get(kind, 0):+}" for kind in sorted({*then, *now}) if now.get(kind, 0) != then.get(kind, 0)]
        return f" ({', '.join(words)})" if words else ""

    def row(self, minutes):
        server, client = ends.memory(self.server.pid)["rss"] / 1024, ends.memory(self.client.pid)["rss"] / 1024
        fds, ledger = self.fds(), self.ledger
        print(f"{minutes:7.2f} {server:9.1f} {client:9.1f} {fds[0]:7} {fds[1]:7} {ledger.bytes / 1e6:9.0f} {ledger.whole:8} {ledger.gone:6} {ledger.cut:6} "
              f"{len(ledger.lost):5} {len(ledger.altered):7} {sum(self.faults.counts.values()):7}", flush=True)

    def run(self):
        total = self.options.minutes * 60
        gap, every = min(40, max(2.5, total / 24)), min(60, max(2, total / 6))
        print(f"{'minute':>7} {'server MB':>9} {'client MB':>9} {'its fds':>7} {'its fds':>7} {'MB moved':>9} {'whole':>8} {'gone':>6} {'cut':>6} {'lost':>5} "
              f"{'altered':>7} {'faults':>7}")
        self.began = self.killed = began = time.monotonic()
        samples = []
        next_fault, next_row, n, half = gap, every, 0, False
        while (at := time.monotonic() - began) < total:
            if not half and at >= total / 2:
                half, n = True, 0
            if at >= next_fault and total - at > 2:
                order = SECOND_HALF if half else FIRST_HALF
                self.fault(order[n % len(order)])
                n, next_fault = n + 1, time.monotonic() - began + gap
            if at >= next_row:
                self.row(at / 60)
                next_row += every
            if at > total * LEFT_OUT:
                samples.append((at / 60, *(ends.memory(end.pid)["rss"] for end in (self.server, self.client))))
            time.sleep(0.5)
        hanging = self.visitors.stop()
        if hanging:
            self.ledger.put("lost", told=f"{hanging} visitors still wait for something")
        self.row(total / 60)
        return self.tell(samples)

    def tell(self, samples):
        ledger = self.ledger
        # What is warm gets the time to grow cold.
        kinds = self.kinds_at_rest(lambda kinds, _: kinds == self.start_kinds and not self.streams_left, patience=AT_REST if self.options.minutes >= 2 else 5)
        fds = [sum(now.values()) - sum(then.values()) for now, then in zip(kinds, self.start_kinds)]
        rest = [ends.memory(end.pid)["rss"] for end in (self.server, self.client)]
        slopes = [slope([(s[0], s[i]) for s in samples]) for i in (1, 2)]
        over = samples[-1][0] - samples[0][0] if samples else 0
        left_out = samples[0][0] if samples else self.options.minutes
        warm = left_out - (self.killed - self.began) / 60
        print("faults:", ", ".join(f"{what} {n}" for what, n in sorted(self.faults.counts.items())))
        print("whole:", ", ".join(f"{kind} {n}" for kind, n in sorted(ledger.kinds.items())))
        print(f"RSS slope, KB a minute: server {slopes[0]:.1f}, client {slopes[1]:.1f} (of the last {over:.1f} minutes; the {left_out:.1f} before are left out, "
              f"{warm:.1f} of them warm-up since an end was started last)")
        print(f"RSS, MB, lowest of the first and of the last quarter of that time, then at rest: server {lowest(samples, 1)}, {rest[0] / 1024:.1f}; "
              f"client {lowest(samples, 2)}, {rest[1] / 1024:.1f}")
        print(f"descriptors against the start, at rest: server {fds[0]:+}, client {fds[1]:+}{self.changed_kinds(kinds)}"
              + (f"; {self.streams_left} streams are still open, and not counted" if self.streams_left else ""))
        for name in ("lost", "altered"):
            for told in getattr(ledger, name)[:20]:
                print(f"{name.upper()}: {told}")
        good = not ledger.lost and not ledger.altered and ledger.whole > 0
        print(f"soak: {ledger.bytes / 1e6:.0f} MB in {ledger.whole} exchanges whole, {ledger.cut} cut by our faults, {len(ledger.lost)} lost, {len(ledger.altered)} altered: "
              f"{'all is well' if good else 'FAILED'}")
        if self.options.json:
            Path(self.options.json).write_text(json.dumps({
                "good": good, "minutes": self.options.minutes, "tls": self.options.tls, "carry": self.options.carry, "bytes": ledger.bytes, "whole": ledger.whole,
                "kinds": ledger.kinds, "gone": ledger.gone, "cut": ledger.cut, "lost": ledger.lost, "altered": ledger.altered, "faults": self.faults.counts,
                "rss_slope_kb_a_minute": {"server": slopes[0], "client": slopes[1]}, "rss_samples_kb": samples,
                "rss_left_out_minutes": left_out, "rss_warm_up_minutes": warm,
                "rss_at_rest_kb": {"server": rest[0], "client": rest[1]},
                "fd_delta": {"server": fds[0], "client": fds[1]}, "streams_left": self.streams_left}, indent=1))
        return good


def slope(points):
    """Of the line of least squares."""
    if len(points) < 3:
        return 0.0
    x, y = (sum(p[i] for p in points) / len(points) for i in (0, 1))
    spread = sum((p[0] - x) ** 2 for p in points)
    return sum((p[0] - x) * (p[1] - y) for p in points) / spread if spread else 0.0


def lowest(samples, i):
    """Of the first and of the last quarter: what traffic holds by chance is not in it, what leaks is."""
    quarter = max(1, len(samples) // 4)
    return ", ".join(f"{min((s[i] for s in part), default=0) / 1024:.1f}" for part in (samples[:quarter], samples[-quarter:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="?")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--tls", choices=("on", "off"), default="off")
    parser.add_argument("--carry", choices=("mux", "direct", "auto"))
    parser.add_argument("--visitors", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=60)
    parser.add_argument("--break", choices=("alter", "lose"))
    parser.add_argument("--json")
    options = parser.parse_args()
    ends.binary_of(options.binary)
    threading.stack_size(512 << 10)
    world, close = ends.scratch_world()
    try:
        return 0 if Soak(world, options).run() else 1
    finally:
        close()


if __name__ == "__main__":
    sys.exit(main())
