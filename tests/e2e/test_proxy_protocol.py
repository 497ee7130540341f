"""The PROXY protocol at both ends, with the real programs: nginx reads what the client sends; python speaks as a load balancer at the server."""
import socket
import struct
import subprocess

import origins
from processes import PATIENCE, program
from visitors import HttpVisitor, connect, read_all, read_exactly

HEADER = b"PROXY TCP4 198.51.100.7 203.0.113.1 4660 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source, port, command=0x21):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    there = "2001:db8::1" if family == socket.AF_INET6 else "203.0.113.1"
    rest = socket.inet_pton(family, source) + socket.inet_pton(family, there) + struct.pack(">HH", port, 443)
    return SIGNATURE + bytes([command, 0x21 if family == socket.AF_INET6 else 0x11]) + struct.pack(">H", len(rest)) + rest


class ProxiedNginx(origins.Nginx):
    """A nginx that wants a PROXY header, and answers with what was in it."""

    CONFIG = origins.Nginx.CONFIG.replace("listen {listen};", "listen {listen} proxy_protocol;").replace(
        "location = /empty", "location = /who {{ default_type text/plain; return 200 "
        "\"$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port\"; }}\n    location = /empty")


def who(address, before=b""):
    visitor = connect(address)
    visitor.sendall(before + b"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = read_all(visitor).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return body.decode().split(), visitor


# --- to an origin

def test_nginx_is_told_who_the_visitor_is(world):
    nginx = ProxiedNginx(world)
    server = world.server()
    for version in ("v1", "v2"):
        client = world.tcp_tunnel(server, nginx.port, "--proxy-protocol", version, "--name", version)
        visitor = connect(client.public)
        own = visitor.getsockname()
        visitor.sendall(b"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        body = read_all(visitor).partition(b"\r\n\r\n")[2].decode().split()
        assert body == [own[0], str(own[1]), "127.0.0.1", str(nginx.port)]


def test_nginx_refuses_without(world):
    nginx = ProxiedNginx(world)
    client = world.tcp_tunnel(world.server(), nginx.port)
    visitor = connect(client.public)
    visitor.sendall(b"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"200 OK" not in read_all(visitor)


def test_several_tunnels_each_their_own_way(world, echo):
    nginx = ProxiedNginx(world)
    client = world.client("client", "--tcp", f"a=127.0.0.1:{nginx.port},port=0,proxy=v2", "--tcp", f"b={echo.port}", join=world.server())
    port = {name: client.wait_event("tunnel_up", name=name)["port"] for name in "ab"}
    assert who(("127.0.0.1", port["a"]))[0][0] == "127.0.0.1"
    visitor = connect(("127.0.0.1", port["b"]))
    visitor.sendall(b"hello")
    assert read_exactly(visitor, 5) == b"hello"


def test_through_both_ends(world):
    nginx = ProxiedNginx(world)
    server = world.server("--trusted-proxies", "127.0.0.0/8")
    client = world.tcp_tunnel(server, nginx.port, "--proxy-protocol", "v2")
    assert who(client.public, HEADER)[0][:2] == ["198.51.100.7", "4660"]
    assert who(client.public, v2("2001:db8::7", 9))[0][:2] == ["2001:db8::7", "9"]
    # A health check of the balancer's own: its own address.
    assert who(client.public, SIGNATURE + b"\x20\0\0\0")[0][0] == "127.0.0.1"


# --- from a load balancer

def test_http_visitors_behind_a_balancer(world, nginx):
    server = world.server("--trusted-proxies", "10.0.0.0/8,127.0.0.1")
    world.http_tunnel(server, nginx.port, "app.example.com")
    for header, address in ((HEADER, "198.51.100.7"), (v2("2001:db8::7", 1), "2001:db8::7"), (v2("192.0.2.9", 1, 0x20), "127.0.0.1"),
                            (b"PROXY UNKNOWN\r\n", "127.0.0.1")):
        visitor = HttpVisitor(server.http_address)
        visitor.send(header)
        for _ in range(3):
            visitor.request("GET", "/headers", "app.example.com", "X-Forwarded-For: 6.6.6.6")
            assert f"xff={address} " in visitor.response().body.decode()


def test_a_header_in_pieces(world, echo):
    server = world.server("--trusted-proxies", "all")
    client = world.tcp_tunnel(server, echo.port)
    for header in (HEADER, v2("192.0.2.9", 1)):
        visitor = connect(client.public)
        for byte in header:
            visitor.sendall(bytes([byte]))
        visitor.sendall(b"hello")
        assert read_exactly(visitor, 5) == b"hello"


def test_without_a_good_header_there_is_no_visitor(world, echo, nginx):
    server = world.server("--trusted-proxies", "127.0.0.0/8")
    client = world.tcp_tunnel(server, echo.port)
    world.http_tunnel(server, nginx.port, "app.example.com")
    for address in (client.public, server.http_address):
        for said in (b"GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n", b"PROXY TCP4 1.2.3.4\r\n", SIGNATURE + b"\x31\x11\0\0"):
            visitor = connect(address)
            visitor.sendall(said)
            assert closed(visitor), said
        assert closed(connect(address))  # says nothing: 3 s
    assert echo.connections == 0


def closed(visitor):
    try:
        return visitor.recv(1) == b""
    except ConnectionResetError:
        return True


def test_from_other_addresses_a_header_is_just_bytes(world, echo):
    server = world.server("--trusted-proxies", "192.0.2.0/24")
    client = world.tcp_tunnel(server, echo.port)
    visitor = connect(client.public)
    visitor.sendall(HEADER)
    assert read_exactly(visitor, len(HEADER)) == HEADER


def test_curl_as_the_balancer(world, nginx):
    """A sender that is not ours: curl --haproxy-protocol names its own address and port."""
    server = world.server("--trusted-proxies", "127.0.0.1")
    world.http_tunnel(server, nginx.port, "app.example.com")
    host, port = server.http_address
    done = subprocess.run([program("curl"), "-sS", "--haproxy-protocol", "-H", "Host: app.example.com", f"http://{host}:{port}/headers"],
                          capture_output=True, text=True, timeout=PATIENCE)
    assert "xff=127.0.0.1 " in done.stdout, done


# --- what is said of a mistake

def test_mistakes(world):
    for words, said in (
            (["server", "--trusted-proxies", "10.0.0.1/8"], "the network is 10.0.0.0/8"),
            (["server", "--trusted-proxies", "10.0.0.0/8,"], "is not an IP network"),
            (["tcp", "22", "--proxy-protocol", "v3"], "v1 or v2"),
            (["client", "--tcp", "a=22,proxy=on"], "v1 or v2"),
            (["client", "--http", "a=80,proxy=v1"], "PROXY headers are for --tcp")):
        done = world.run(*words)
        assert done.returncode == 2, (words, done)
        assert said in done.stderr, done.stderr
