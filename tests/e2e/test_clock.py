"""The wall clock leaps by a day, forth and back, while a server and a client run: nobody notices but grants that end at a time of day."""
# ctest: timeout=150
import json
import signal
import struct

import pytest

from processes import preloaded, until
from visitors import HttpVisitor, connect, read_exactly

DAY = 86_400


class WallClock:
    """The clock of every program that is started with .env; the test's own is the machine's."""

    def __init__(self, work):
        self.file = work / "wall-clock"
        self.set(0)
        self.env = {**preloaded("wall_clock"), "FT_WALL_CLOCK": str(self.file)}

    def set(self, seconds):
        # In place: the programs have mapped it.
        with open(self.file, "r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))


@pytest.fixture
def clock(world):
    return WallClock(world.work)


def token(world, server, name, *flags):
    made = world.run("token", "new", "--name", name, "--state", server.state, *flags)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def sign_in(world, clock, join, echo):
    client = world.client("tcp", echo.port, "--no-save", join=join, env=clock.env)
    port = client.wait_event("tunnel_up")["port"]
    with connect(("127.0.0.1", port)) as visitor:
        visitor.sendall(b"ping")
        assert read_exactly(visitor, 4) == b"ping"
    return client


@pytest.mark.parametrize("leap", [DAY, -DAY])
def test_a_leap_of_the_wall_clock_is_not_noticed(world, clock, echo, nginx, leap):
    nginx.file("a.txt", b"a")
    server = world.server(env=clock.env)
    client = world.client("client", "--tcp", f"t={echo.port}", "--http", f"h={nginx.port},host=app.test", join=server, env=clock.env)
    port = client.wait_event("tunnel_up", name="t")["port"]
    client.wait_event("tunnel_up", name="h")
    client.wait_event("token_kept")
    with connect(("127.0.0.1", port)) as tcp, HttpVisitor(server.http_address) as http:
        for at in (0, leap, 0, leap):
            clock.set(at)
            for _ in range(20):
                tcp.sendall(b"ping")
                assert read_exactly(tcp, 4) == b"ping", "who is inside stays"
                assert http.ask("GET", "/a.txt", "app.test").body == b"a"
            with connect(("127.0.0.1", port)) as newcomer:
                newcomer.sendall(b"ping")
                assert read_exactly(newcomer, 4) == b"ping"
            sign_in(world, clock, server.join, echo).stop()
        shown = json.loads(world.run("status", "--json", "--state", server.state).stdout)
        assert all(0 <= session["up_s"] < 100 for session in shown["sessions"]), shown
    # Heartbeats: who falls silent is found out in their time, neither at once nor a day later; who comes back is let in.
    down = len(server.events("session_down"))
    client.signal(signal.SIGSTOP)
    try:
        server.wait_event("session_down", after=down, patience=20)
    finally:
        client.signal(signal.SIGCONT)
    client.wait_event("tunnel_up", name="t", after=1)
    assert len(client.events("disconnected")) == 1, "once, when it was stopped"
    with connect(("127.0.0.1", port)) as visitor:
        visitor.sendall(b"ping")
        assert read_exactly(visitor, 4) == b"ping"


def test_a_grant_ends_by_the_wall_clock(world, clock, echo):
    server = world.server(env=clock.env)
    forever = sign_in(world, clock, server.join, echo)
    short = token(world, server, "short", "--expires", "12h")
    client = sign_in(world, clock, short, echo)
    clock.set(DAY)
    late = world.run("tcp", echo.port, "--join", short)
    assert late.returncode == 3 and "expired" in late.stderr, late
    # A session that stands is looked at once a minute, and whenever the grants change.
    token(world, server, "another")
    assert client.wait_exit() == 3
    assert "expired" in client.stderr()
    world.processes.remove(client)
    clock.set(-DAY)
    sign_in(world, clock, short, echo)
    until(lambda: len(json.loads(world.run("status", "--json", "--state", server.state).stdout)["sessions"]) == 2, "both are there")
    assert not forever.events("disconnected")
