"""Direct links: visitors of a TCP tunnel each over a connection of their own between client and server; what becomes of them when something ends."""
# ctest: timeout=300
import hashlib
import json
import os
import signal
import socket
import struct
import threading

import pytest

import origins
from processes import until
from visitors import connect, read_all, read_exactly


def status(world, server):
    done = world.run("status", "--state", server.state, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def session(world, server):
    return status(world, server)["sessions"][0]


class Tunnel:
    """A server and a client with one TCP tunnel whose visitors go over direct links, some of which are warm."""

    def __init__(self, world, target, *flags, tls=True, carry="direct", server_flags=(), warm=True):
        self.world = world
        self.server = world.server(*(() if tls else ("--tls", "off")), *server_flags)
        self.client = world.tcp_tunnel(self.server, target, "--carry", carry, *flags)
        self.public = self.client.public
        if warm:
            self.wait_warm()

    def session(self):
        return session(self.world, self.server)

    def wait_warm(self):
        until(lambda: self.session()["direct_warm"] >= 1, "a warm direct link")

    def wait_direct(self, count):
        until(lambda: self.session()["direct"] == count, f"{count} visitors with a direct link")

    def expect_all_direct(self):
        now = self.session()
        assert now["direct_missed"] == 0 and now["direct_taken"] >= 1, now


@pytest.fixture(params=["tls", "plain"])
def tls(request):
    return request.param == "tls"


def reset(visitor):
    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    visitor.close()


def was_reset(visitor):
    try:
        while visitor.recv(65536):
            pass
        return False
    except ConnectionResetError:
        return True


def ends_with_reset(address):
    """A new visitor's end; so soon, perhaps, that his connect() hears of it."""
    try:
        with connect(address) as visitor:
            visitor.sendall(b"hello")
            return was_reset(visitor)
    except (ConnectionResetError, BrokenPipeError):
        return True


def test_every_byte_both_ways(world, echo, tls):
    tunnel = Tunnel(world, echo.port, tls=tls)
    data = os.urandom(1_000_000) * 16
    with connect(tunnel.public) as visitor:
        sender = threading.Thread(target=lambda: (visitor.sendall(data), visitor.shutdown(socket.SHUT_WR)))
        sender.start()
        got = read_all(visitor)
        sender.join()
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
    tunnel.expect_all_direct()
    until(lambda: tunnel.session()["direct"] == 0, "the visitor is gone")
    now = tunnel.session()
    assert now["bytes_in"] >= len(data) and now["bytes_out"] >= len(data)
    assert now["streams"] == 0


def test_small_exchanges_one_after_another(world, echo, tls):
    tunnel = Tunnel(world, echo.port, tls=tls)
    for i in range(20):
        with connect(tunnel.public) as visitor:
            visitor.sendall(b"ping %d" % i)
            assert read_exactly(visitor, len(b"ping %d" % i)) == b"ping %d" % i
            visitor.shutdown(socket.SHUT_WR)
            assert read_all(visitor) == b""
    tunnel.expect_all_direct()


def test_the_origin_speaks_first_and_a_visitor_who_says_nothing(world, tls):
    origin = origins.TcpOrigin(world, lambda c: (c.sendall(b"220 hello\r\n"), c.recv(1)))
    tunnel = Tunnel(world, origin.port, tls=tls)
    with connect(tunnel.public) as visitor:
        assert read_exactly(visitor, 11) == b"220 hello\r\n"
        tunnel.wait_direct(1)
    tunnel.expect_all_direct()


def test_half_close_either_way(world, tls):
    def digest(connection):
        hasher = hashlib.sha256()
        while data := connection.recv(65536):
            hasher.update(data)
        connection.sendall(hasher.hexdigest().encode())

    tunnel = Tunnel(world, origins.TcpOrigin(world, digest).port, tls=tls)
    data = os.urandom(3_000_001)
    with connect(tunnel.public) as visitor:
        visitor.sendall(data)
        visitor.shutdown(socket.SHUT_WR)
        assert read_all(visitor) == hashlib.sha256(data).hexdigest().encode()
    tunnel.expect_all_direct()

    heard = []

    def ends_first(connection):
        connection.sendall(b"bye")
        connection.shutdown(socket.SHUT_WR)
        heard.append(connection.makefile("rb").read())

    tunnel = Tunnel(world, origins.TcpOrigin(world, ends_first).port, tls=tls)
    with connect(tunnel.public) as visitor:
        assert read_all(visitor) == b"bye"
        visitor.sendall(data)
    until(lambda: heard, "what the visitor said")
    assert heard[0] == data


def test_a_reset_goes_through_either_way(world, tls):
    seen = []

    def listen(connection):
        connection.sendall(b"x")
        try:
            seen.append(connection.recv(10))
        except ConnectionResetError:
            seen.append("reset")

    tunnel = Tunnel(world, origins.TcpOrigin(world, listen).port, tls=tls)
    visitor = connect(tunnel.public)
    assert read_exactly(visitor, 1) == b"x"
    reset(visitor)
    until(lambda: seen, "the origin hears of the visitor's end")
    assert seen == ["reset"]
    tunnel.expect_all_direct()

    tunnel = Tunnel(world, origins.TcpOrigin(world, origins.reset).port, tls=tls)
    assert ends_with_reset(tunnel.public)


def test_an_origin_that_refuses(world, tls):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tunnel = Tunnel(world, port, tls=tls)
    assert ends_with_reset(tunnel.public)
    tunnel.client.wait_event("error", message=lambda text: "refused" in text)
    tunnel.expect_all_direct()


def test_the_proxy_header_names_the_visitor(world, tls):
    lines = []

    def first_line(connection):
        with connection.makefile("rb") as stream:
            lines.append(stream.readline())
            connection.sendall(stream.readline())

    tunnel = Tunnel(world, origins.TcpOrigin(world, first_line).port, "--proxy-protocol", "v1", tls=tls)
    with connect(tunnel.public) as visitor:
        visitor.sendall(b"and then\n")
        assert read_all(visitor) == b"and then\n"
        assert lines[0].startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 %d " % visitor.getsockname()[1])
    tunnel.expect_all_direct()


@pytest.mark.parametrize("carry", ["direct", "mux", "auto"])
def test_500_visitors_at_once(world, echo, tls, carry):
    """More than there may be direct links: the others are streams, and nobody is lost."""
    tunnel = Tunnel(world, echo.port, tls=tls, carry=carry, warm=carry == "direct")
    visitors = [connect(tunnel.public) for _ in range(500)]
    for i, visitor in enumerate(visitors):
        visitor.sendall(b"%06d" % i)
    for i, visitor in enumerate(visitors):
        assert read_exactly(visitor, 6) == b"%06d" % i
    now = tunnel.session()
    if carry == "direct":
        assert 4 <= now["direct"] <= 64
        assert now["direct"] + now["streams"] == 500
        assert now["direct_missed"] == now["streams"]
    else:
        assert now["direct"] == now["direct_warm"] == now["direct_taken"] == 0, "on a clean road auto keeps none"
        assert now["streams"] == 500
    assert status(world, tunnel.server)["tunnels"][0]["visitors_now"] == 500
    for visitor in visitors:
        visitor.shutdown(socket.SHUT_WR)
    for visitor in visitors:
        assert read_all(visitor) == b""
        visitor.close()
    until(lambda: status(world, tunnel.server)["tunnels"][0]["visitors_now"] == 0, "all are gone")
    assert tunnel.session()["direct"] == 0


def test_the_pool_follows_what_is_asked_for(world, echo):
    tunnel = Tunnel(world, echo.port, server_flags=("--max-direct", "12"))
    until(lambda: tunnel.session()["direct_warm"] == 4, "the least")
    visitors = [connect(tunnel.public) for _ in range(8)]
    for visitor in visitors:
        visitor.sendall(b"x")
        assert read_exactly(visitor, 1) == b"x"
    until(lambda: tunnel.session()["direct_warm"] == 12 - tunnel.session()["direct"], "all that max_direct leaves")
    for visitor in visitors:
        visitor.close()
    until(lambda: tunnel.session()["direct_warm"] == 4, "the least again, when nobody asked for a while")
    assert tunnel.session()["direct_limited"] >= 1


def test_a_server_without_them_and_one_that_is_told_so_later(world, echo):
    file = world.work / "server.toml"

    def write(most):
        file.write_text(f"[server]\nmax_direct = {most}\n")

    def over_the_link(tunnel):
        with connect(tunnel.public) as visitor:
            visitor.sendall(b"over the link")
            assert read_exactly(visitor, 13) == b"over the link"
            assert tunnel.session()["streams"] == 1

    write(0)
    without = Tunnel(world, echo.port, server_flags=("--config", file), warm=False)
    over_the_link(without)
    assert without.session()["direct_taken"] == 0
    write(8)
    tunnel = Tunnel(world, echo.port, server_flags=("--config", file))
    write(0)
    assert world.run("reload", "--state", tunnel.server.state).returncode == 0
    until(lambda: tunnel.session()["direct_warm"] == 0, "none may be kept")
    over_the_link(tunnel)


def test_a_bandwidth_limit_keeps_visitors_on_the_link(world, echo):
    tunnel = Tunnel(world, echo.port, "--bandwidth", "10M", warm=False)
    with connect(tunnel.public) as visitor:
        visitor.sendall(b"slowly")
        assert read_exactly(visitor, 6) == b"slowly"
        now = tunnel.session()
        assert (now["streams"], now["direct"], now["direct_warm"]) == (1, 0, 0)


def test_limits_hold_for_direct_visitors(world, echo):
    tunnel = Tunnel(world, echo.port, "--max-visitors", "1", "--idle-timeout", "1")
    with connect(tunnel.public) as first:
        first.sendall(b"x")
        assert read_exactly(first, 1) == b"x"
        assert ends_with_reset(tunnel.public)
        assert was_reset(first), "idle"
    until(lambda: tunnel.session()["direct"] == 0, "the idle visitor is gone")
    now = status(world, tunnel.server)["tunnels"][0]
    assert now["refused"]["tunnel_limit"] == 1 and now["idle_ended"] == 1
    tunnel.expect_all_direct()


def test_the_clients_death_ends_its_visitors(world, echo, tls):
    tunnel = Tunnel(world, echo.port, tls=tls)
    with connect(tunnel.public) as visitor:
        visitor.sendall(b"x")
        assert read_exactly(visitor, 1) == b"x"
        tunnel.wait_direct(1)
        tunnel.client.kill()
        assert was_reset(visitor)
    tunnel.server.wait_event("session_down")
    until(lambda: status(world, tunnel.server)["sessions"] == [], "the session is gone")
    assert status(world, tunnel.server)["visitors"] == 0


def test_a_revoked_token_ends_them(world, echo, tls):
    server = world.server(*(() if tls else ("--tls", "off")))
    token = world.run("token", "new", "--name", "laptop", "--state", server.state).stdout.strip()
    client = world.client("tcp", echo.port, "--carry", "direct", "--no-save", join=token)
    public = ("127.0.0.1", client.wait_event("tunnel_up")["port"])
    until(lambda: session(world, server)["direct_warm"] >= 1, "a warm direct link")
    with connect(public) as visitor:
        visitor.sendall(b"x")
        assert read_exactly(visitor, 1) == b"x"
        assert world.run("token", "revoke", "laptop", "--state", server.state).returncode == 0
        assert was_reset(visitor)
    assert client.wait_exit() == 3
    world.processes.remove(client)


def test_a_kick_ends_them_and_the_client_comes_back(world, echo, tls):
    tunnel = Tunnel(world, echo.port, tls=tls)
    with connect(tunnel.public) as visitor:
        visitor.sendall(b"x")
        assert read_exactly(visitor, 1) == b"x"
        assert world.run("kick", "default", "--state", tunnel.server.state).returncode == 0
        assert was_reset(visitor)
    tunnel.client.wait_event("tunnel_up", after=1)
    tunnel.wait_warm()
    with connect(tunnel.public) as visitor:
        visitor.sendall(b"again")
        assert read_exactly(visitor, 5) == b"again"
    tunnel.expect_all_direct()


@pytest.mark.parametrize("who", ["server", "client"])
def test_a_drain_lets_them_finish(world, tls, who):
    go = threading.Event()
    content = os.urandom(1_000_000) * 8

    def pour(connection):
        connection.sendall(content[:len(content) // 2])
        go.wait(60)
        connection.sendall(content[len(content) // 2:])

    tunnel = Tunnel(world, origins.TcpOrigin(world, pour).port, "--drain-timeout", "50", tls=tls, server_flags=("--drain-timeout", "50"))
    ends = tunnel.server if who == "server" else tunnel.client
    with connect(tunnel.public) as visitor:
        first = read_exactly(visitor, len(content) // 4)
        tunnel.wait_direct(1)
        ends.signal(signal.SIGTERM)
        ends.wait_event("stopping")
        until(lambda: refuses(tunnel.public), "nobody new is let in")
        go.set()
        assert hashlib.sha256(first + read_all(visitor)).digest() == hashlib.sha256(content).digest()
        visitor.close()
    assert ends.wait_exit() == 0
    assert ends.events("stopped")[-1]["finished"] is True


def refuses(address):
    try:
        with connect(address) as visitor:
            visitor.settimeout(0.2)
            return was_reset(visitor)
    except (ConnectionRefusedError, ConnectionResetError):  # a listener that closes resets who is in its queue
        return True
    except TimeoutError:
        return False


def test_carry_is_changed_by_a_reload(world, echo):
    server = world.server()
    file = world.work / "client.toml"
    socket_path = world.work / "client.sock"

    def write(carry):
        file.write_text(f'[client]\ncontrol_socket = "{socket_path}"\n[tunnels.a]\nto = "tcp://127.0.0.1:{echo.port}"\nurl = "tcp://"\ncarry = "{carry}"\n')

    write("mux")
    client = world.client("client", "--config", file, "--no-save", join=server)
    public = ("127.0.0.1", client.wait_event("tunnel_up")["port"])
    with connect(public) as visitor:
        visitor.sendall(b"x")
        assert read_exactly(visitor, 1) == b"x"
        assert session(world, server)["streams"] == 1
    write("direct")
    done = world.run("reload", "--socket", socket_path)
    assert done.returncode == 0, done.stderr
    until(lambda: session(world, server)["direct_warm"] >= 1, "a warm direct link")
    with connect(public) as visitor:
        visitor.sendall(b"x")
        assert read_exactly(visitor, 1) == b"x"
        assert session(world, server)["direct"] == 1
    write("mux")
    assert world.run("reload", "--socket", socket_path).returncode == 0
    until(lambda: session(world, server)["direct_warm"] == 0, "none is kept")


def test_wrong_words_say_what_is_right(world):
    for words, said in ((["tcp", "22", "--carry", "fast"], "auto, mux or direct"),
                        (["client", "--tcp", "a=22,carry=fast"], "auto, mux or direct"),
                        (["client", "--http", "a=80,carry=direct"], "direct is for --tcp")):
        done = world.run(*words)
        assert done.returncode == 2 and said in done.stderr, done.stderr
    file = world.work / "client.toml"
    file.write_text('[client]\nserver = "localhost"\n[tunnels.a]\nto = "http://127.0.0.1:80"\nurl = "http://"\ncarry = "direct"\n')
    done = world.run("check", file)
    assert done.returncode == 2 and "client.toml:6:" in done.stderr + done.stdout and "mux" in done.stderr + done.stdout, done
