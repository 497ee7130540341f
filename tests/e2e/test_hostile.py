"""A client that means harm: whatever it sends ends its own link at most. Beside it an honest client serves every request, and afterwards the
server has its memory and its descriptors back. And a server that runs out of descriptors."""
# ctest: timeout=200
import json
import os
import re
import resource
import subprocess
import threading

import pytest

from processes import until
from visitors import HttpVisitor, connect, curl, read_exactly

CUT = r"goaway 3|closed"  # a flood: what it was told may be lost behind what it still sends
# attack -> how its link ends, and what else is told of it
PARALLEL = {
    "half-handshake": dict(end="closed", ms=range(4500, 15000)),
    "half-preface": dict(end="closed", ms=range(4500, 15000)),
    "not-the-magic": dict(end="closed"),
    "early-ping": dict(end="goaway 1"),
    "early-data": dict(end="goaway 1"),
    "early-open": dict(end="goaway 1"),
    "early-register": dict(end="goaway 1"),
    "early-long": dict(end="goaway 1"),
    "replay": dict(end="refused"),
    "auth-again": dict(end="goaway 1"),
    "open-odd": dict(end="open", resets=[6, 6]),
    "open-even": dict(end="goaway 1"),
    "open-twice": dict(end="goaway 1"),
    "data-unopened": dict(end="goaway 1"),
    "credit-unopened": dict(end="goaway 1"),
    "data-on-0": dict(end="goaway 1"),
    "control-on-2": dict(end="goaway 1"),
    "long-data": dict(end="goaway 1"),
    "long-control": dict(end="goaway 1"),
    "long-goaway": dict(end="goaway 1"),
    "short-credit": dict(end="goaway 1"),
    "short-open": dict(end="goaway 1"),
    "ping-9": dict(end="goaway 1"),
    "short-lie": dict(end="goaway 1"),
    "long-lie": dict(end="closed"),  # the heartbeat's deadline
    "type-15": dict(end="goaway 1"),
    "odd-hosts": dict(end="open", registered=0, rejected=12),
    "same-number-twice": dict(end="open", registered=2, rejected=1),
    "claim@app.test": dict(end="open", registered=0, rejected=1),
    "touch-others": dict(end="open"),
    "name-10k": dict(end="goaway 1"),
    "host-10k": dict(end="goaway 1"),
    "json-deep": dict(end="goaway 1"),
    "json-broken": dict(end="goaway 1"),
    "json-a-list": dict(end="goaway 1"),
    "over-credit": dict(end="open", resets=[7]),
    "credit-over": dict(end="open", resets=[8]),
    "credit-0": dict(end="open", resets=[8]),
    "data-after-fin": dict(end="open", resets=[8]),
    "goaway-garbage": dict(end="goaway 1"),
    **{f"noise@{seed}": dict(end=r"goaway \d|closed") for seed in range(1, 6)},
}
FLOODS = {
    "control-flood": dict(end=CUT),
    "ping-flood": dict(end=CUT),
    "pong-flood": dict(end=CUT),
    "empty-flood": dict(end=CUT),
    "reset-flood": dict(end=CUT),
    "open-flood": dict(end=CUT),
    "register-many": dict(end="open"),
    "register-at-once": dict(end=CUT),
}


def judge(said, wanted):
    wrong = []
    for attack, want in wanted.items():
        got = said.get(attack)
        if got is None:
            wrong.append(f"{attack}: nothing was told of it")
        elif not re.fullmatch(want["end"], got["end"]):
            wrong.append(f"{attack}: wanted {want}, got {got}")
        else:
            wrong += [f"{attack}: wanted {want}, got {got}" for key, value in want.items()
                      if key != "end" and not (got[key] in value if isinstance(value, range) else got[key] == value)]
    assert not wrong, "\n".join(wrong)


class Honest:
    """Visitors of both tunnels without a pause: new connections each time. Not one of them may fail."""

    def __init__(self, http, tcp):
        self.served = {"http": 0, "tcp": 0}
        self.wrong = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=("http", lambda: self._http(http)), daemon=True),
                        threading.Thread(target=self._run, args=("tcp", lambda: self._tcp(tcp)), daemon=True)]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _http(where):
        with HttpVisitor(where) as visitor:
            answer = visitor.ask("GET", "/a.txt", "app.test")
            assert (answer.status, answer.body) == (200, b"a" * 1000), answer.head

    @staticmethod
    def _tcp(where):
        with connect(where) as visitor:
            sent = os.urandom(5000)
            visitor.sendall(sent)
            assert read_exactly(visitor, len(sent)) == sent

    def _run(self, kind, visit):
        while not self.over.is_set():
            try:
                visit()
                self.served[kind] += 1
            except (OSError, AssertionError) as error:
                self.wrong.append(f"{kind} after {self.served[kind]}: {error!r}")

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.wrong, self.wrong[:5]


def rss(server):
    with open(f"/proc/{server.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1])


def attack(world, token, wanted):
    done = world.tool("hostile_client", token, *wanted)
    done.wait_event("over", patience=90)
    assert done.wait_exit() == 0, done.story()
    return {event["attack"]: event for event in done.events("attack")}


@pytest.fixture
def victims(world, nginx, echo):
    """A server, an honest client that was served once, and tokens of two others."""
    nginx.file("a.txt", b"a" * 1000)

    def start(*flags):
        # What was freed is given back at once: the sanitizer keeps it for a while otherwise.
        options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
        server = world.server("--log-level", "warn", *flags, env={"ASAN_OPTIONS": options})
        client = world.client("client", "--http", f"h={nginx.port},host=app.test", "--tcp", f"t={echo.port}", join=server)
        client.wait_event("tunnel_up", name="h")
        server.tcp = ("127.0.0.1", client.wait_event("tunnel_up", name="t")["port"])
        server.honest = client
        server.tokens = [world.run("token", "new", "--name", name, "--state", server.state).stdout.strip() for name in ("mallory", "trudy")]
        return server

    return start


def test_an_attacker_hurts_its_own_link_only(world, victims):
    server = victims()
    # Once without a look at memory, for what a first time keeps: pools, tables, the heap's shape.
    judge(attack(world, server.tokens[0], PARALLEL), PARALLEL)
    until(lambda: len(json.loads(world.run("status", "--json", "--state", server.state).stdout)["sessions"]) == 1, "the attackers are gone")
    memory, descriptors = rss(server), server.fds()
    honest = Honest(server.http_address, server.tcp)
    said = attack(world, server.tokens[0], PARALLEL)
    floods = attack(world, server.tokens[1], FLOODS)
    honest.stop()
    judge(said, PARALLEL)
    judge(floods, FLOODS)
    many = floods["register-many"]
    assert many["registered"] + many["rejected"] == 10_000 and many["registered"] <= 2_000, many
    assert min(honest.served.values()) > 50, honest.served
    assert not server.honest.events("disconnected"), "the honest client never noticed"
    until(lambda: len(json.loads(world.run("status", "--json", "--state", server.state).stdout)["sessions"]) == 1, "the attackers are gone")
    until(lambda: server.fds() <= descriptors + 16, f"descriptors are back at {descriptors}")
    until(lambda: rss(server) < memory + 60_000, f"memory is back at {memory} kB, not {rss(server)}")
    print(f"served {honest.served}; RSS {memory} -> {rss(server)} kB; descriptors {descriptors} -> {server.fds()}")


def test_without_tls_a_recorded_handshake_is_worth_nothing_either(world, victims):
    server = victims("--tls", "off")
    wanted = {name: PARALLEL[name] for name in ("replay", "early-register", "half-handshake", "goaway-garbage", "noise@1", "short-lie")}
    judge(attack(world, server.tokens[0], wanted), wanted)
    assert curl("http://app.test/a.txt", server) == b"a" * 1000


def test_too_few_descriptors_for_a_while(world, victims):
    """`prlimit --nofile` on a running server: visitors past it have to wait or are turned away; when others leave, it serves again."""
    server = victims()
    limit = server.fds() + 24
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
    visitors = []
    try:
        for _ in range(60):
            visitor = connect(server.tcp)
            visitors.append(visitor)
        for visitor in visitors[:5]:
            visitor.sendall(b"hello")
            assert read_exactly(visitor, 5) == b"hello", "those who came first are served on"
        assert server.alive()
        # What it costs to be out of them: not a core. 0.5 s of CPU a second would be a loop of failing accept().
        before = cpu(server)
        with pytest.raises(subprocess.TimeoutExpired):
            server.child.wait(2)
        assert cpu(server) - before < 1.0, "it spins"
    finally:
        for visitor in visitors:
            visitor.close()

    def served():
        try:
            with connect(server.tcp) as visitor:
                visitor.settimeout(2)
                visitor.sendall(b"hello")
                return read_exactly(visitor, 5) == b"hello"
        except (OSError, AssertionError):
            return False

    until(served, "it serves again when visitors have left", patience=20)
    assert curl("http://app.test/a.txt", server) == b"a" * 1000
    assert not server.honest.events("disconnected")


def cpu(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
