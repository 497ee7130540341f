"""TCP tunnels: ports, half-close, resets, back-pressure."""
import hashlib
import os
import socket
import threading
import time

import pytest

import origins
from processes import until
from visitors import connect, read_all, read_exactly


def test_echo_on_a_port_that_the_server_picks(world, echo):
    server = world.server()
    client = world.tcp_tunnel(server, echo.port)
    assert client.up["url"] == f"tcp://127.0.0.1:{client.up['port']}"
    assert client.up["to"] == f"tcp://127.0.0.1:{echo.port}"
    with connect(client.public) as visitor:
        for size in (1, 100, 65536, 1_000_000):
            data = os.urandom(size)
            sender = threading.Thread(target=visitor.sendall, args=(data,))
            sender.start()
            assert read_exactly(visitor, size) == data
            sender.join()
    assert server.wait_event("session_up")["transport"].startswith("tls")


@pytest.mark.parametrize("target", ["{}", "localhost:{}"])
def test_a_service_that_listens_on_ipv6_only(world, target):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as service:
        service.settimeout(30)
        client = world.tcp_tunnel(world.server(), target.format(service.getsockname()[1]))
        with connect(client.public) as visitor:
            origin, _ = service.accept()
            with origin:
                origin.sendall(b"hello from ::1")
            assert read_all(visitor) == b"hello from ::1"


def test_fixed_port_and_a_port_that_is_taken(world, echo):
    server = world.server()
    first = world.tcp_tunnel(server, echo.port)
    second = world.client("tcp", str(echo.port), "--port", str(first.up["port"]), join=server)
    refused = second.wait_event("tunnel_rejected")
    assert str(first.up["port"]) in refused["message"]
    # It is told, keeps asking, and gets the port once it is free.
    first.stop()
    up = second.wait_event("tunnel_up")
    assert up["port"] == first.up["port"]
    with connect(("127.0.0.1", up["port"])) as visitor:
        visitor.sendall(b"ping")
        assert read_exactly(visitor, 4) == b"ping"


def test_several_tunnels_over_one_client(world, echo):
    other = origins.TcpOrigin(world, lambda c: c.sendall(b"other"))
    server = world.server()
    client = world.client("client", "--tcp", f"a={echo.port}", "--tcp", f"b={other.port}", "--http", f"c={echo.port},host=c.test", join=server)
    a, b = (client.wait_event("tunnel_up", name=name) for name in "ab")
    assert client.wait_event("tunnel_up", name="c")["url"] == f"http://c.test:{server.http_address[1]}"
    with connect(("127.0.0.1", b["port"])) as visitor:
        assert read_all(visitor) == b"other"
    with connect(("127.0.0.1", a["port"])) as visitor:
        visitor.sendall(b"a")
        visitor.shutdown(socket.SHUT_WR)
        assert read_all(visitor) == b"a"
    assert len(server.events("session_up")) == 1


def test_an_upload_that_ends_with_fin_and_waits_for_its_answer(world):
    def digest(connection):
        hasher = hashlib.sha256()
        while data := connection.recv(65536):
            hasher.update(data)
        connection.sendall(hasher.hexdigest().encode())

    origin = origins.TcpOrigin(world, digest)
    client = world.tcp_tunnel(world.server(), origin.port)
    data = os.urandom(20_000_000)
    with connect(client.public) as visitor:
        visitor.sendall(data)
        visitor.shutdown(socket.SHUT_WR)
        assert read_all(visitor).decode() == hashlib.sha256(data).hexdigest()
    origin.check()


def test_a_download_that_ends_with_fin_leaves_the_upload_open(world):
    got = []

    def speak_first(connection):
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        got.append(read_all(connection))

    origin = origins.TcpOrigin(world, speak_first)
    client = world.tcp_tunnel(world.server(), origin.port)
    with connect(client.public) as visitor:
        assert read_all(visitor) == b"hello"
        visitor.sendall(b"still here")
        visitor.shutdown(socket.SHUT_WR)
        until(lambda: got, "the origin reads the rest")
    assert got == [b"still here"]


def test_an_rst_of_the_origin_arrives_as_an_rst(world):
    def hang_up(connection):
        connection.recv(4)
        origins.reset(connection)

    origin = origins.TcpOrigin(world, hang_up)
    client = world.tcp_tunnel(world.server(), origin.port)
    with connect(client.public) as visitor:
        visitor.sendall(b"ping")
        with pytest.raises(ConnectionResetError):
            visitor.recv(1)


def test_an_rst_of_the_visitor_arrives_as_an_rst(world):
    seen = []

    def listen(connection):
        try:
            while connection.recv(65536):
                pass
            seen.append("fin")
        except ConnectionResetError:
            seen.append("rst")

    origin = origins.TcpOrigin(world, listen)
    client = world.tcp_tunnel(world.server(), origin.port)
    visitor = connect(client.public)
    visitor.sendall(b"ping")
    until(lambda: origin.connections, "the visitor is at the origin")
    origins.reset(visitor)
    until(lambda: seen, "the origin sees the end")
    assert seen == ["rst"]


def test_an_origin_that_refuses_ends_the_visitor_and_is_told_once(world, echo):
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))  # bound, not listening: refuses
    server = world.server()
    client = world.tcp_tunnel(server, closed.getsockname()[1])
    for _ in range(5):
        try:  # the RST may be there before connect() has returned
            with connect(client.public) as visitor:
                assert visitor.recv(1) == b""
        except ConnectionResetError:
            pass
    error = client.wait_event("error", side="origin")
    assert str(closed.getsockname()[1]) in error["message"]
    assert len(client.events("error")) == 1, "the same complaint five times"
    closed.listen()
    with connect(client.public) as visitor:
        visitor.sendall(b"x")
        connection, _ = closed.accept()
        with connection:
            assert connection.recv(1) == b"x"
    closed.close()


def test_origin_on_a_unix_socket(world):
    path = world.work / "origin.sock"
    origins.TcpOrigin(world, origins.echo, path=path)
    client = world.tcp_tunnel(world.server(), f"unix:{path}")
    assert client.up["to"] == f"unix:{path}"
    with connect(client.public) as visitor:
        visitor.sendall(b"through a unix socket")
        visitor.shutdown(socket.SHUT_WR)
        assert read_all(visitor) == b"through a unix socket"


def test_a_slow_reader_does_not_hold_up_a_fast_one(world):
    size = 24_000_000
    block = os.urandom(1_000_000)

    def pour(connection):
        for _ in range(size // len(block)):
            connection.sendall(block)

    origin = origins.TcpOrigin(world, pour)
    client = world.tcp_tunnel(world.server(), origin.port)
    slow = [connect(client.public) for _ in range(8)]
    for visitor in slow:
        assert visitor.recv(1) == block[:1]  # each has begun, and reads no more
    started = time.monotonic()
    with connect(client.public) as fast:
        got = hashlib.sha256(read_all(fast)).hexdigest()
    took = time.monotonic() - started
    expected = hashlib.sha256(block * (size // len(block))).hexdigest()
    assert got == expected
    assert took < 20, f"the fast one took {took:.1f} s"
    # And the slow ones lost nothing meanwhile.
    hasher = hashlib.sha256(block[:1])
    while data := slow[0].recv(65536):
        hasher.update(data)
    assert hasher.hexdigest() == expected
    for visitor in slow:
        visitor.close()


def test_many_small_exchanges_leave_nothing_behind(world, echo):
    server = world.server()
    client = world.tcp_tunnel(server, echo.port)

    def exchange(count):
        for i in range(count):
            with connect(client.public) as visitor:
                text = f"exchange {i}".encode()
                visitor.sendall(text)
                visitor.shutdown(socket.SHUT_WR)
                assert read_all(visitor) == text

    exchange(20)
    before = server.fds(), client.fds()
    exchange(300)
    until(lambda: server.fds() <= before[0] + 2 and client.fds() <= before[1] + 2, "the descriptors are given back")
