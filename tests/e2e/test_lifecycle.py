"""How it starts and how it ends: signals, draining, what is in use, a closed stdout."""
import hashlib
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

import origins
from processes import BINARY, until
from visitors import HttpVisitor, connect, read_all, read_exactly

SIZE = 16_000_000
CONTENT = os.urandom(1_000_000) * (SIZE // 1_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Paced:
    """An origin that sends the first half, and the second when it is told to."""

    def __init__(self, world, http):
        self.go = threading.Event()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE if http else b""

        def pour(connection):
            if http:
                with connection.makefile("rb") as stream:
                    origins.read_head(stream)
            connection.sendall(head + CONTENT[:SIZE // 2])
            self.go.wait(60)
            connection.sendall(CONTENT[SIZE // 2:])

        self.port = origins.TcpOrigin(world, pour).port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_both_with_0(world, echo, number):
    server = world.server()
    client = world.tcp_tunnel(server, echo.port)
    client.signal(number)
    assert client.wait_exit() == 0
    assert client.events("stopped")[-1]["finished"] is True
    server.signal(number)
    assert server.wait_exit() == 0
    assert server.events("stopped")[-1]["finished"] is True


@pytest.mark.parametrize("who", ["server", "client"])
@pytest.mark.parametrize("kind", ["tcp", "http"])
def test_sigterm_lets_a_running_download_finish(world, who, kind):
    origin = Paced(world, kind == "http")
    server = world.server("--drain-timeout", "50")
    if kind == "tcp":
        client = world.client("tcp", origin.port, "--drain-timeout", "50", join=server)
        where = ("127.0.0.1", client.wait_event("tunnel_up")["port"])
    else:
        client = world.client("http", origin.port, "--host", "app.test", "--drain-timeout", "50", join=server)
        client.wait_event("tunnel_up")
        where = server.http_address
    ending = server if who == "server" else client
    with HttpVisitor(where) as visitor:
        if kind == "http":
            visitor.request("GET", "/", "app.test")
            assert b"200" in visitor.stream.readline()
            while visitor.stream.readline() != b"\r\n":
                pass
        hasher = hashlib.sha256(visitor.stream.read(100_000))
        ending.signal(signal.SIGTERM)
        ending.wait_event("stopping")
        # Nobody new is let in, at the latest when the word has gone round.
        until(lambda: _turned_away(where, kind), "new visitors are turned away")
        assert ending.alive()
        origin.go.set()
        left = SIZE - 100_000
        while left:
            data = visitor.stream.read(min(left, 1_000_000))
            assert data, f"cut off {left} bytes before the end\n{ending.story()}"
            hasher.update(data)
            left -= len(data)
        assert hasher.hexdigest() == DIGEST
    assert ending.wait_exit() == 0
    assert ending.events("stopped")[-1]["finished"] is True


def _turned_away(where, kind):
    try:
        with HttpVisitor(where) as visitor:
            if kind == "http":
                visitor.request("GET", "/", "app.test")  # only the head is waited for: the origin holds its body back
                return int(visitor.stream.readline().split()[1]) in (404, 502, 503)
            visitor.socket.settimeout(0.2)
            return visitor.socket.recv(1) == b""
    except (ConnectionError, IndexError):  # refused, or closed without a word
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("who", ["server", "client"])
def test_a_slow_visitor_has_its_download_whole_when_the_server_drains(world, who):
    """The origin is done long before; what is on the way belongs to the visitor."""
    origin = Paced(world, http=True)
    origin.go.set()
    server = world.server("--drain-timeout", "50")
    client = world.client("http", origin.port, "--host", "app.test", "--drain-timeout", "50", join=server)
    client.wait_event("tunnel_up")
    ending = server if who == "server" else client
    with HttpVisitor(server.http_address) as visitor:
        visitor.request("GET", "/", "app.test")
        assert b"200" in visitor.stream.readline()
        while visitor.stream.readline() != b"\r\n":
            pass
        ending.signal(signal.SIGTERM)
        ending.wait_event("stopping")
        hasher = hashlib.sha256()
        for _ in range(SIZE // 500_000):
            hasher.update(visitor.stream.read(500_000))
            time.sleep(0.01)  # a slow reader, not a wait
        assert hasher.hexdigest() == DIGEST
    assert ending.wait_exit() == 0


def _hanging_visitor(world, server, *flags):
    origin = origins.TcpOrigin(world, lambda c: c.recv(1))
    client = world.tcp_tunnel(server, origin.port, *flags)
    visitor = connect(client.public)
    world.later(visitor.close)
    until(lambda: origin.connections, "the visitor is at the origin")
    return client


@pytest.mark.parametrize("who", ["server", "client"])
def test_two_signals_stop_at_once(world, who):
    server = world.server("--drain-timeout", "300")
    client = _hanging_visitor(world, server, "--drain-timeout", "300")
    ending = server if who == "server" else client
    ending.signal(signal.SIGTERM)
    ending.wait_event("stopping")
    assert ending.alive()
    began = time.monotonic()
    ending.signal(signal.SIGTERM)
    assert ending.wait_exit() == 0
    assert time.monotonic() - began < 10
    assert ending.events("stopped")[-1]["finished"] is False


@pytest.mark.parametrize("who", ["server", "client"])
def test_the_drain_timeout_ends_the_wait(world, who):
    server = world.server("--drain-timeout", "0.5")
    client = _hanging_visitor(world, server, "--drain-timeout", "0.5")
    ending = server if who == "server" else client
    ending.signal(signal.SIGTERM)
    assert ending.wait_exit() == 0
    assert ending.events("stopped")[-1]["finished"] is False


def test_idle_connections_do_not_hold_a_drain_up(world, nginx):
    nginx.file("a.txt", b"a")
    server = world.server("--drain-timeout", "300")
    client = world.client("http", nginx.port, "--host", "app.test", "--drain-timeout", "300", join=server)
    client.wait_event("tunnel_up")
    with HttpVisitor(server.http_address) as visitor:
        assert visitor.ask("GET", "/a.txt", "app.test").body == b"a"
        # The visitor keeps its connection, and so does the pool one to the origin.
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
    client.wait_event("disconnected")
    client.signal(signal.SIGTERM)
    assert client.wait_exit() == 0, "while it has no server, too"


def test_a_client_that_waits_for_its_server_ends_at_once(world):
    server = world.server()
    server.stop()
    client = world.client("tcp", "1", "--drain-timeout", "300", join=server)
    client.wait_event("disconnected")
    client.signal(signal.SIGINT)
    assert client.wait_exit() == 0


@pytest.mark.parametrize("flag", ["--listen", "--http-listen"])
def test_a_port_in_use(world, flag):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        other = "--http-listen" if flag == "--listen" else "--listen"
        done = world.run("server", flag, where, other, "127.0.0.1:0", "--state", world.work / "state")
        assert done.returncode == 1, done
        assert done.stderr.startswith("ferrotunnel: ") and str(taken.getsockname()[1]) in done.stderr and "in use" in done.stderr.lower(), done.stderr


def test_a_second_server_on_the_same_port(world):
    server = world.server()
    done = world.run("server", "--listen", server.listen, "--http-listen", "off", "--state", world.work / "other")
    port = server.listen.rpartition(":")[2]
    assert done.returncode == 1 and f"port {port} is in use by ferrotunnel (pid {server.pid})" in done.stderr, done


def test_a_state_directory_that_cannot_be_made(world):
    file = world.work / "file"
    file.write_text("")
    done = world.run("server", "--listen", "127.0.0.1:0", "--http-listen", "off", "--state", file / "state")
    assert done.returncode == 1, done
    assert str(file) in done.stderr and "--state" in done.stderr, done.stderr


@pytest.mark.parametrize("who", ["server", "client"])
def test_a_closed_stdout_does_not_end_it(world, echo, who):
    """As in `ferrotunnel server | head -1`."""
    server = world.server()
    env = {**world.env}
    if who == "server":
        argv = [BINARY, "server", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--state", str(world.work / "state")]
    else:
        argv = [BINARY, "tcp", str(echo.port), "--join", server.join, "--log-level", "debug"]
    child = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        first = child.stdout.readline()
        assert first
        port = None
        while who == "client" and port is None:
            line = child.stdout.readline()
            if b'"tunnel_up"' in line:
                port = json.loads(line)["port"]
        child.stdout.close()
        if who == "client":
            for _ in range(5):
                with connect(("127.0.0.1", port)) as visitor:  # each is a debug line that nobody reads
                    visitor.sendall(b"x")
                    assert read_exactly(visitor, 1) == b"x"
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        assert child.wait(40) == 0, child.stderr.read()
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


def test_a_stdout_that_nobody_reads_holds_nobody_up(world, nginx):
    """A stopped pager: the pipe is full, and requests go on."""
    nginx.file("a.txt", b"a")
    read_end, write_end = os.pipe()
    server = world.server()
    argv = [BINARY, "server", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--state", str(world.work / "muted")]
    child = subprocess.Popen(argv, env=world.env, stdout=write_end, stderr=subprocess.DEVNULL)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb", buffering=0) as stdout:
            ready = b""
            while not ready.endswith(b"\n"):
                ready += stdout.read(1)
            muted = json.loads(ready)
            world.client("http", nginx.port, "--host", "app.test", join=muted["join"]).wait_event("tunnel_up")
            host, _, port = muted["http"].rpartition(":")
            with HttpVisitor((host, int(port))) as visitor:
                for _ in range(600):  # more lines than a pipe holds
                    assert visitor.ask("GET", "/a.txt?" + "x" * 200, "app.test").status == 200
            child.send_signal(signal.SIGTERM)
            assert child.wait(40) == 0
    finally:
        child.kill()
        child.wait()
    assert server.alive()


def test_half_a_handshake_holds_nothing_up(world, echo):
    """Connections to the clients' port that say nothing, or something else."""
    server = world.server()
    silent = [connect(server_address(server)) for _ in range(20)]
    for junk in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 1000, os.urandom(1000)):
        with connect(server_address(server)) as visitor:
            visitor.sendall(junk)
            try:
                read_all(visitor)
            except ConnectionResetError:
                pass
    client = world.tcp_tunnel(server, echo.port)
    with connect(client.public) as visitor:
        visitor.sendall(b"ping")
        assert read_exactly(visitor, 4) == b"ping"
    for one in silent:
        try:
            read_all(one)  # closed by the handshake deadline
        except ConnectionResetError:
            pass
        one.close()


def server_address(server):
    host, _, port = server.listen.rpartition(":")
    return host, int(port)


def test_a_host_that_another_has_is_waited_for_unless_it_is_told_not_to(world):
    server = world.server()
    first = world.http_tunnel(server, 1, "taken.test")
    waits = world.client("http", 1, "--host", "taken.test", "--log-format", "human", join=server, lines=False)
    until(lambda: b"asking again until it is free (--fail-fast gives up instead)" in waits.stdout(), "it says what to do")
    done = world.run("http", 1, "--host", "taken.test", "--join", server.join, "--fail-fast")
    assert done.returncode != 0 and "taken.test is in use by another client" in done.stdout + done.stderr, done
    first.stop()
    until(lambda: b"taken.test" in waits.stdout().split(b"gives up instead)")[1], "it has it now")
    waits.stop()


def test_which_clients_status_finds(world):
    runtime = world.work / "run"
    runtime.mkdir()
    env = {**world.env, "XDG_RUNTIME_DIR": str(runtime)}
    server = world.server()
    client = world.client("http", 1, "--host", "a.test", "--control-socket", runtime / "web.sock", join=server, env=env)
    client.wait_event("tunnel_up")
    none = world.run("status", "--client", env=env)
    assert none.returncode != 0 and "start them with --control-socket PATH, and ask with --socket PATH" in none.stderr, none
    there = world.run("status", "--socket", runtime / "web.sock", env=env)
    assert there.returncode == 0 and "a.test" in there.stdout, there
