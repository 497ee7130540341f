"""CONNECT to a tunnel that asks for it: a real forward proxy (tinyproxy) as the local service, curl as the visitor, and services made by hand."""
import http.server
import socket
import ssl
import subprocess
import threading

import pytest

import h2_attacks as h2
import origins
from certificates import Authority
from processes import PATIENCE, address, program, until
from visitors import HttpVisitor, connect

# Its name has to be one that resolves to this machine, for the proxy.
HOST = "localhost"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Tinyproxy:
    def __init__(self, world, *lines):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = world.work / world.name("tinyproxy.log")
        config = world.work / world.name("tinyproxy.conf")
        config.write_text("\n".join([f"Port {self.port}", "Listen 127.0.0.1", "Timeout 60", f'LogFile "{self.log}"', "LogLevel Info", "MaxClients 20", *lines, ""]))
        self.child = subprocess.Popen([program("tinyproxy"), "-d", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        world.later(self.close)
        until(self.listens, "tinyproxy listens")

    def listens(self):
        assert self.child.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self):
        self.child.kill()
        self.child.wait(20)


class Site:
    """HTTPS at a port of its own: what is behind the proxy."""

    def __init__(self, world, authority):
        body = b"behind the proxy " * 20_000

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                got = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", str(len(got)))
                self.end_headers()
                self.wfile.write(got)

            def log_message(self, *_):
                pass

        self.body = body
        certificate, key = authority.issue(HOST)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        world.later(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def authority(world):
    return Authority(world.work, "ca")


@pytest.fixture
def site(world, authority):
    return Site(world, authority)


def by_proxy(url, proxy, authority, *flags, code=0):
    """What the real curl gets through that proxy, or why it failed."""
    done = subprocess.run([program("curl"), "--silent", "--show-error", "--max-time", str(PATIENCE * 3), "--noproxy", "", "--cacert", str(authority.file),
                           "--proxy", proxy, *map(str, flags), url], capture_output=True, timeout=PATIENCE * 4)
    assert done.returncode == code, (done.returncode, done.stderr)
    return done.stdout if code == 0 else done.stderr.decode()


def plain(server):
    host, port = server.http_address
    return f"http://{host}:{port}"


def test_curl_through_a_real_proxy(world, authority, site):
    proxy = Tinyproxy(world)
    server = world.server()
    world.http_tunnel(server, proxy.port, HOST, "--connect")
    url = f"https://{HOST}:{site.port}/"
    assert by_proxy(url, plain(server), authority) == site.body
    upload = world.work / "upload"
    upload.write_bytes(bytes(range(256)) * 4000)
    assert by_proxy(url, plain(server), authority, "--data-binary", f"@{upload}") == upload.read_bytes()
    # CONNECT of HTTP/1.0 too, and whatever stands behind it: no TLS here.
    service = origins.TcpOrigin(world, origins.echo)
    assert by_proxy(url, plain(server), authority, "--proxy1.0", plain(server)) == site.body
    with connect(server.http_address) as visitor:
        visitor.sendall(f"CONNECT {HOST}:{service.port} HTTP/1.1\r\nHost: {HOST}:{service.port}\r\n\r\n".encode() + SMUGGLED)
        with visitor.makefile("rb") as stream:
            assert origins.read_head(stream)[0].startswith("HTTP/1.1 200 ")
            assert stream.read(len(SMUGGLED)) == SMUGGLED
    request = server.wait_event("request", host=HOST, method="CONNECT", path=f"{HOST}:{service.port}")
    assert request["status"] == 200, request


def test_over_https_to_the_proxy(world, authority, site):
    certificate, key = authority.issue(HOST)
    proxy = Tinyproxy(world)
    server = world.server("--https-listen", "127.0.0.1:0", "--https-cert", certificate, "--https-key", key)
    world.http_tunnel(server, proxy.port, HOST, "--connect")
    secure = f"https://{HOST}:{address(server.https)[1]}"
    assert by_proxy(f"https://{HOST}:{site.port}/", secure, authority, "--proxy-cacert", authority.file) == site.body


def test_the_proxys_own_password(world, authority, site):
    """The tunnel has none: what the proxy asks for, and what the visitor says, pass."""
    proxy = Tinyproxy(world, "BasicAuth ann secret")
    server = world.server()
    world.http_tunnel(server, proxy.port, HOST, "--connect")
    url = f"https://{HOST}:{site.port}/"
    assert "407" in by_proxy(url, plain(server), authority, code=56)
    assert "401" in by_proxy(url, plain(server), authority, "--proxy-user", "ann:wrong", code=56)  # as tinyproxy has it
    assert by_proxy(url, plain(server), authority, "--proxy-user", "ann:secret") == site.body
    with HttpVisitor(server.http_address) as visitor:
        visitor.send(f"CONNECT {HOST}:{site.port} HTTP/1.1\r\nHost: {HOST}:{site.port}\r\n\r\n".encode() + SMUGGLED)
        answer = visitor.response()
        assert answer.status == 407
        assert "tinyproxy" in answer.fields["proxy-authenticate"].lower()
        assert answer.fields["connection"] == "close"
        assert visitor.ended()


def test_the_tunnels_password(world, authority, site):
    """It is the server's to ask, as a proxy does, and the service hears nothing of it."""
    proxy = Tinyproxy(world)
    server = world.server()
    world.http_tunnel(server, proxy.port, HOST, "--connect", "--basic-auth", "ann:secret")
    url = f"https://{HOST}:{site.port}/"
    assert "407" in by_proxy(url, plain(server), authority, code=56)
    assert "407" in by_proxy(url, plain(server), authority, "--proxy-user", "ann:wrong", code=56)
    assert by_proxy(url, plain(server), authority, "--proxy-user", "ann:secret") == site.body
    assert "Request (file descriptor" in proxy.log.read_text()


def test_limits_and_who_does_not_ask(world, authority, site):
    proxy = Tinyproxy(world)
    server = world.server()
    world.http_tunnel(server, proxy.port, HOST, "--connect", "--deny", "127.0.0.0/8")
    url = f"https://{HOST}:{site.port}/"
    assert "403" in by_proxy(url, plain(server), authority, code=56)
    other = world.server()
    world.http_tunnel(other, proxy.port, HOST)
    assert "501" in by_proxy(url, plain(other), authority, code=56)
    assert "Request (file descriptor" not in proxy.log.read_text()
    config = world.work / "client.toml"
    config.write_text(f'[tunnels.x]\nto = "tcp://127.0.0.1:{proxy.port}"\nconnect = true\n')
    checked = world.run("check", config)
    assert checked.returncode != 0
    assert "connect" in checked.stdout + checked.stderr


class Gate:
    """A service that answers CONNECT when the test says so, and keeps what came until then."""

    def __init__(self, world):
        self.go = threading.Event()
        self.heads, self.early = [], []
        self.answer = b"HTTP/1.1 200 OK\r\n\r\n"
        self.origin = origins.TcpOrigin(world, self.serve)
        self.port = self.origin.port

    def serve(self, connection):
        raw = b""
        while b"\r\n\r\n" not in raw:
            raw += connection.recv(65536)
        head, _, rest = raw.partition(b"\r\n\r\n")
        self.heads.append(head)
        assert self.go.wait(PATIENCE)
        connection.settimeout(0.3)
        try:
            rest += connection.recv(65536)
        except TimeoutError:
            pass
        connection.settimeout(PATIENCE)
        self.early.append(rest)
        connection.sendall(self.answer)
        while data := connection.recv(65536):
            connection.sendall(b"<" + data + b">")


@pytest.mark.parametrize("yes", [True, False])
def test_nothing_goes_out_before_a_2xx(world, yes):
    gate = Gate(world)
    if not yes:
        gate.answer = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"
    server = world.server()
    world.http_tunnel(server, gate.port, HOST, "--connect")
    with connect(server.http_address) as visitor, visitor.makefile("rb") as stream:
        visitor.sendall(f"CONNECT {HOST}:1 HTTP/1.1\r\nHost: {HOST}:1\r\n\r\n".encode() + SMUGGLED)
        until(lambda: gate.heads, "the CONNECT is there")
        gate.go.set()
        head = origins.read_head(stream)
        if yes:
            assert head[0] == "HTTP/1.1 200 OK"
            assert stream.read(len(SMUGGLED) + 2) == b"<" + SMUGGLED + b">"
        else:
            assert head[0] == "HTTP/1.1 403 No"
            assert "Connection: close" in head
            assert stream.read() == b"no"  # and nothing for what came behind
    assert gate.early == [b""]
    assert gate.heads[0].startswith(f"CONNECT {HOST}:1 HTTP/1.1\r\nHost: {HOST}:1\r\n".encode())
    assert len(gate.heads) == 1


def test_over_http2(world):
    gate = Gate(world)
    server = world.server()
    world.http_tunnel(server, gate.port, HOST, "--connect")
    visitor = h2.Visitor(server.http_address)
    pairs = [(b":method", b"CONNECT"), (b":authority", f"{HOST}:1".encode())]
    visitor.send(h2.headers(1, pairs, end=False) + h2.frame(h2.DATA, 0, 1, SMUGGLED))
    until(lambda: gate.heads, "the CONNECT is there")
    assert not visitor.read(0.3) or not visitor.body(1)
    gate.go.set()
    assert visitor.until(lambda: visitor.body(1) == b"<" + SMUGGLED + b">", PATIENCE), visitor.frames
    assert gate.early == [b""]
    assert gate.heads[0].startswith(f"CONNECT {HOST}:1 HTTP/1.1\r\nHost: {HOST}:1\r\n".encode())
    visitor.send(h2.frame(h2.DATA, h2.END_STREAM, 1, b"bye"))
    assert visitor.until(lambda: any(kind == h2.DATA and flags & h2.END_STREAM for kind, flags, *_ in visitor.frames), PATIENCE), visitor.frames
    assert visitor.body(1).endswith(b"<bye>")
