"""A session with links on several threads of both ends: bulk, hashed; a link that breaks; kick, drain, and ends of either program."""
# ctest: timeout=300
import hashlib
import json
import random
import socket
import threading

import pytest

from processes import address, until
from visitors import connect, read_all, read_exactly


class Tunnel:
    """A server and a client of so many threads, and a TCP tunnel to an echo."""

    def __init__(self, world, echo, threads, tls=True, through=None):
        self.world = world
        self.server = world.server("--threads", threads, *(() if tls else ("--tls", "off")))
        flags = ["--threads", threads]
        if through:
            self.road = through(self.server.listen)
            flags += ["--server", f"127.0.0.1:{self.road.port}"]
        self.client = world.tcp_tunnel(self.server, echo.port, *flags)
        self.public = self.client.public
        self.visitors = []

    def status(self):
        done = self.world.run("status", "--state", self.server.state, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def session(self):
        return self.status()["sessions"][0]

    def add_visitor(self):
        visitor = connect(self.public)
        visitor.sendall(b"x")
        assert read_exactly(visitor, 1) == b"x"
        self.visitors.append(visitor)
        return visitor

    def fill(self, links):
        """Visitors that stay, until the session has so many links."""
        def enough():
            if self.session()["links"] >= links:
                return True
            for _ in range(16):
                if len(self.visitors) < 200:
                    self.add_visitor()
            return False
        until(enough, f"{links} links")


class Road:
    """A road between client and server whose connections can be cut, each."""

    def __init__(self, world, to):
        self.to = address(to)
        self.pairs = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        world.later(self.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.to)
            self.pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    @staticmethod
    def _carry(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for one in (source, sink):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def cut(self, index):
        for one in self.pairs[index]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()
        for index in range(len(self.pairs)):
            self.cut(index)


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_bulk_over_all_links(world, echo, threads, tls):
    tunnel = Tunnel(world, echo, threads, tls)
    tunnel.fill(threads)
    block = random.Random(threads).randbytes(1 << 20)
    good = []

    def visit(number):
        data = block[number * 1000:] * 2
        with connect(tunnel.public) as visitor:
            sender = threading.Thread(target=lambda: (visitor.sendall(data), visitor.shutdown(socket.SHUT_WR)))
            sender.start()
            got = read_all(visitor)
            sender.join()
        if hashlib.sha256(got).digest() == hashlib.sha256(data).digest():
            good.append(number)

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(64)]
    for one in visitors:
        one.start()
    for one in visitors:
        one.join()
    assert len(good) == 64
    now = tunnel.session()
    assert now["links"] == threads and now["bytes_in"] > 64 << 20 and now["bytes_out"] > 64 << 20
    until(lambda: tunnel.session()["streams"] == len(tunnel.visitors), "the visitors are gone")


def still_there(visitor):
    try:
        visitor.sendall(b"y")
        return visitor.recv(1) == b"y"
    except OSError:
        return False


def test_a_further_link_that_breaks_takes_its_own_streams_only_and_comes_back(world, echo):
    tunnel = Tunnel(world, echo, 4, through=lambda listen: Road(world, listen))
    tunnel.fill(4)
    for _ in range(12):
        tunnel.add_visitor()
    before = len(tunnel.road.pairs)
    tunnel.road.cut(before - 1)
    left = [visitor for visitor in tunnel.visitors if still_there(visitor)]
    assert 0 < len(left) < len(tunnel.visitors)
    until(lambda: len(tunnel.road.pairs) > before and tunnel.session()["links"] == 4, "another link")
    assert all(still_there(visitor) for visitor in left)
    for _ in range(8):
        assert still_there(tunnel.add_visitor())
    assert len(tunnel.client.events("connected")) == 1, "the session went on"


def test_the_first_link_takes_the_session_with_it(world, echo):
    tunnel = Tunnel(world, echo, 4, through=lambda listen: Road(world, listen))
    tunnel.fill(4)
    tunnel.road.cut(0)
    assert not any(still_there(visitor) for visitor in tunnel.visitors)
    tunnel.client.wait_event("tunnel_up", after=1)
    until(lambda: len(tunnel.status()["sessions"]) == 1, "one session")
    tunnel.visitors.clear()
    tunnel.fill(4)


def test_kick_ends_all_links_and_the_client_comes_back(world, echo):
    tunnel = Tunnel(world, echo, 4)
    tunnel.fill(4)
    done = world.run("kick", tunnel.session()["id"], "--state", tunnel.server.state)
    assert done.returncode == 0, done.stderr
    assert not any(still_there(visitor) for visitor in tunnel.visitors)
    tunnel.client.wait_event("tunnel_up", after=1)
    tunnel.visitors.clear()
    tunnel.fill(4)


@pytest.mark.parametrize("end", ["server", "client"])
def test_a_drain_lets_visitors_of_all_links_finish(world, echo, end):
    tunnel = Tunnel(world, echo, 4)
    tunnel.fill(4)
    process = getattr(tunnel, end)
    process.signal(15)
    process.wait_event("stopping")
    for visitor in tunnel.visitors:
        assert still_there(visitor)
        visitor.shutdown(socket.SHUT_WR)
        assert read_all(visitor) == b""
    assert process.wait_exit() == 0


def test_a_client_that_is_killed_leaves_nothing(world, echo):
    tunnel = Tunnel(world, echo, 4)
    fds = tunnel.server.fds()
    tunnel.fill(4)
    tunnel.client.kill()
    world.processes.remove(tunnel.client)
    assert not any(still_there(visitor) for visitor in tunnel.visitors)
    until(lambda: not tunnel.status()["sessions"], "the session has ended")
    for visitor in tunnel.visitors:
        visitor.close()
    until(lambda: tunnel.server.fds() <= fds, "every descriptor is given back")
