"""Many at once, on a real server and client over loopback: how many fail, and what memory it takes.

usage: bench/load.py [BINARY] [--streams N] [--tunnels N] [--clients N] [--seconds S] [--piece BYTES] [--tls on|off]
                     [--carry mux|direct|auto] [--memory judge|print] [--alter BYTES] [--json FILE]

  --streams N   N visitors of one tunnel, first idle, then all moving bytes at once, each byte checked   (default 10000)
  --tunnels N   N TCP tunnels of one client, each of which serves a visitor                              (default 1000)
  --clients N   N client sessions (the library, several in a process), each of which serves a visitor    (default 1000)
Any of the three alone: only that. "MB" is Pss; what grew is the program's own (anonymous) memory: of Pss others may take a share. The binary is
build/release/ferrotunnel, $FERROTUNNEL_BIN or the argument; its tools are beside it in tools/, or in $FERROTUNNEL_TOOLS. `./scripts/build release ferrotunnel tools`
makes both.
Ends with 0 when nothing failed and, unless --memory print, every goal is met. --alter has the origin turn over a bit of every so many bytes: it
has to end with 1.
"""
import argparse
import contextlib
import json
import math
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import ends  # noqa: E402

# Issue 5. MB and KB are 1024's.
GOALS = {"server MB, streams moving": 60, "client MB, streams moving": 60, "KB an idle visitor, both ends": 2,
         "MB the server grew for the sessions": 12, "MB the server grew for the tunnels": 3}
VISITORS_A_PROCESS = 5_000
CLIENTS_A_PROCESS = 250
SESSIONS_A_GRANT = 1_000


class Visitors:
    """Processes of stream_load, each with visitors from an address of its own."""

    def __init__(self, world, ports, count):
        from processes import TOOLS, Process

        self.shares = []
        ports = ",".join(map(str, ports))
        for n in range(math.ceil(count / VISITORS_A_PROCESS)):
            process = world.add(Process([f"{TOOLS}/stream_load", "visit", f"127.0.0.{2 + n}", ports], world.work, world.name("visitors"),
                                        world.env, stdin=subprocess.PIPE))
            self.shares.append((process, min(VISITORS_A_PROCESS, count - n * VISITORS_A_PROCESS)))
        self.asked = 0

    def begin(self, verb, *words):
        for process, share in self.shares:
            command = " ".join(map(str, (verb, share, *words) if verb == "open" else (verb, *words)))
            process.child.stdin.write(f"{command}\n".encode())
            process.child.stdin.flush()
        self.asked += 1

    def over(self):
        """Whether all have answered what was begun last."""
        return all(len(process.events()) >= self.asked for process, _ in self.shares)

    def answer(self, patience=180):
        from processes import until

        until(self.over, "the visitors are done", patience)
        told = [process.events()[self.asked - 1] for process, _ in self.shares]
        sum_ = {key: sum(t[key] for t in told) for key in ("open", "failed", "altered", "bytes", "rounds")}
        return {**sum_, "least": min(t["rounds_least"] for t in told), "worst_ms": max(t["worst_ms"] for t in told),
                "seconds": max(t["seconds"] for t in told)}

    def ask(self, verb, *words):
        self.begin(verb, *words)
        return self.answer()

    def end(self):
        for process, _ in self.shares:
            process.child.stdin.close()
            assert process.wait_exit() == 0, process.story()


class Load:
    def __init__(self, options):
        self.options = options
        self.figures, self.broken = {}, []

    @contextlib.contextmanager
    def world(self):
        """With a server and an origin; all that was started in it ends with it, also where its own start fails."""
        self._world, close = ends.scratch_world()
        try:
            self.server = self._world.server(*ends.tls_flags(self.options.tls == "on"), "--log-level", "warn")
            self.origin = self._world.tool("stream_load", "origin", *([self.options.alter] if self.options.alter else []))
            self.origin_port = self.origin.wait_event("ready")["port"]
            yield self._world
        finally:
            close()

    def client(self, count):
        """One with so many tunnels: their ports."""
        file = self._world.work / "client.toml"
        tunnels = [(f"t{n}", f"tcp://127.0.0.1:{self.origin_port}", "tcp://") for n in range(count)]
        ends.write_client_file(file, self.server.join, tunnels, self.options.carry)
        self.process = self._world.client("client", "--config", file)
        self.process.wait_event("tunnel_up", after=count - 1, patience=120)
        return [event["port"] for event in self.process.events("tunnel_up")]

    def check(self, what, told, open_):
        if told["failed"] or told["altered"] or told["open"] != open_:
            self.broken.append(f"{what}: {told['failed']} failed, {told['altered']} bytes altered, {told['open']} of {open_} are open")

    def put(self, name, value):
        self.figures[name] = round(value, 2)
        goal = GOALS.get(name)
        verdict = "" if goal is None else f"   goal {goal}: {'met' if value <= goal else 'MISSED'}"
        print(f"  {name:46} {value:12.2f}{verdict}", flush=True)

    # --- the three

    def streams(self, count):
        with self.world() as world:
            port = self.client(1)
            both = (self.server.pid, self.process.pid)
            first = Visitors(world, port, 1)
            self.check("the first visitor", first.ask("open"), 1)
            empty = [ends.memory(pid) for pid in both]
            visitors = Visitors(world, port, count)
            told = visitors.ask("open")
            self.check("opened", told, count)
            print(f"{count} visitors of one tunnel ({self.words()}):")
            self.put("seconds until all were served", told["seconds"])
            idle = [ends.memory(pid) for pid in both]
            self.put("KB an idle visitor, both ends", sum(i["anon"] - e["anon"] for i, e in zip(idle, empty)) / count)
            self.put("server MB, streams idle", idle[0]["pss"] / 1024)
            self.put("client MB, streams idle", idle[1]["pss"] / 1024)
            self.moving(visitors, both, count)
            visitors.ask("close")
            self.put("descriptors of the server at the peak", self.peak_fds)
            visitors.end()
            first.end()

    def moving(self, visitors, both, count):
        peak, self.peak_fds = [0, 0], 0
        visitors.begin("move", self.options.piece, self.options.seconds)
        while not visitors.over():
            for n, pid in enumerate(both):
                peak[n] = max(peak[n], ends.memory(pid)["pss"])
            self.peak_fds = max(self.peak_fds, ends.descriptors(both[0]))
            time.sleep(0.2)
        told = visitors.answer()
        self.check("moving", told, count)
        self.put("streams that failed", told["failed"])
        self.put("bytes altered", told["altered"])
        self.put("pieces that the slowest stream moved", told["least"])
        self.put("ms that the slowest piece took", told["worst_ms"])
        self.put("MB/s each way, all streams", told["bytes"] / 1e6 / told["seconds"])
        self.put("server MB, streams moving", peak[0] / 1024)
        self.put("client MB, streams moving", peak[1] / 1024)
        if told["least"] == 0 and count:
            self.broken.append("a stream moved nothing")

    def tunnels(self, count):
        with self.world() as world:
            self.client(1)
            empty = ends.memory(self.server.pid)["anon"]
            self.process.stop()
            ports = self.client(count)
            grown = ends.memory(self.server.pid)["anon"]
            print(f"{count} TCP tunnels of one client ({self.words()}):")
            self.put("MB the server grew for the tunnels", (grown - empty) / 1024)
            self.put("client MB, tunnels", ends.memory(self.process.pid)["pss"] / 1024)
            self.put("descriptors of the server, tunnels", ends.descriptors(self.server.pid))
            self.each_served(world, ports, "tunnels")

    def clients(self, count):
        with self.world() as world:
            time.sleep(0.5)
            empty = ends.memory(self.server.pid)["anon"]
            tokens = [self.server.join]
            while len(tokens) * SESSIONS_A_GRANT < count:
                made = world.run("token", "new", "--name", f"more{len(tokens)}", "--state", self.server.state)
                tokens.append(made.stdout.strip())
            began, processes, left = time.monotonic(), [], count
            while left > 0:
                n = min(CLIENTS_A_PROCESS, left, SESSIONS_A_GRANT - (count - left) % SESSIONS_A_GRANT)
                token = tokens[(count - left) // SESSIONS_A_GRANT]
                processes.append(world.tool("many_clients", token, n, f"127.0.0.1:{self.origin_port}"))
                left -= n
            for process in processes:
                process.wait_event("all_up", patience=120)
            took = time.monotonic() - began
            grown = ends.memory(self.server.pid)["anon"]
            print(f"{count} client sessions, a tunnel each ({self.words()}):")
            self.put("seconds until all were up", took)
            self.put("MB the server grew for the sessions", (grown - empty) / 1024)
            self.put("KB a session", (grown - empty) / count)
            self.put("descriptors of the server, sessions", ends.descriptors(self.server.pid))
            self.each_served(world, [event["port"] for process in processes for event in process.events("up")], "sessions")

    def each_served(self, world, ports, whose):
        visitors = Visitors(world, ports, len(ports))
        told = visitors.ask("open")
        self.check(f"a visitor of each of the {whose}", told, len(ports))
        self.put(f"visitors that failed, one each of the {whose}", told["failed"])
        visitors.ask("close")
        visitors.end()

    def words(self):
        return f"tls {self.options.tls}" + (f", carry {self.options.carry}" if self.options.carry else "")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="?")
    for name in ("streams", "tunnels", "clients"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--piece", type=int, default=1024)
    parser.add_argument("--tls", choices=("on", "off"), default="off")
    parser.add_argument("--carry", choices=("mux", "direct", "auto"))
    parser.add_argument("--memory", choices=("judge", "print"), default="judge")
    parser.add_argument("--alter", type=int)
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.streams is None and options.tunnels is None and options.clients is None:
        options.streams, options.tunnels, options.clients = 10_000, 1_000, 1_000
    return options


def main():
    options = parse()
    ends.binary_of(options.binary)
    ends.need_tools("stream_load", *(["many_clients"] if options.clients else []))
    load = Load(options)
    for part in ("streams", "tunnels", "clients"):
        if getattr(options, part):
            getattr(load, part)(getattr(options, part))
    missed = [name for name, goal in GOALS.items() if load.figures.get(name, 0) > goal]
    if options.json:
        Path(options.json).write_text(json.dumps({"figures": load.figures, "broken": load.broken, "missed": missed}, indent=1))
    for line in load.broken:
        print(f"load: BROKEN: {line}")
    for name in missed:
        print(f"load: {name}: {load.figures[name]}, goal {GOALS[name]}" + (" (not judged)" if options.memory == "print" else ""))
    good = not load.broken and (not missed or options.memory == "print")
    print(f"load: {'all is well' if good else 'FAILED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
