"""Real clients and real services at the two ends of an HTTP tunnel: what each of them does, it does through the tunnel as without it.

Services: nginx, Caddy, Node.js, Python's http.server. Clients: curl in HTTP/1.1 and HTTP/2, nghttp, wrk, h2load. Services that speak HTTP/2
themselves are in test_origin_h2.py, gRPC in test_grpc.py, WebSocket in tests/conformance/websocket.
"""
# ctest: timeout=300
import gzip
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import certificates
import origins
import websocket
from processes import Process, program, until
from visitors import HttpVisitor, curl

HOST = "peers.test"
HERE = Path(__file__).resolve().parent / "peers"
VERSIONS = {"h1": ["--http1.1"], "h2": ["--http2-prior-knowledge"]}


@pytest.fixture
def server(world):
    return world.server()


def visit(*argv, patience=120):
    done = subprocess.run([program(argv[0]), *map(str, argv[1:])], capture_output=True, text=True, timeout=patience)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- the services: each serves the files of .root -------------------------------------------------------------------

CADDYFILE = """
{{
  admin off
  auto_https off
}}
http:// {{
  bind unix/{socket}
  root * {root}
  @post method POST
  respond @post "{{http.request.body}}" 200
  file_server
}}
"""


class Service:
    """A program that serves a directory, and what a client is to be told of where it is."""

    def __init__(self, world, kind):
        self.kind = kind
        if kind == "nginx":
            nginx = origins.Nginx(world)
            self.root, self.target = nginx.root, nginx.port
            return
        self.root = world.work / "www"
        self.root.mkdir()
        if kind == "caddy":
            path, file = world.work / "caddy.sock", world.work / "Caddyfile"
            file.write_text(CADDYFILE.format(socket=path, root=self.root))
            self.start(world, [program("caddy"), "run", "--config", file, "--adapter", "caddyfile"])
            until(path.exists, "caddy listens")
            self.target = f"unix:{path}"
        elif kind == "python":
            self.target = self.start(world, [sys.executable, HERE / "origin.py", self.root], ready=True)

    def start(self, world, argv, ready=False):
        process = Process(argv, world.work, world.name(self.kind), world.env, lines=ready)
        world.later(lambda: (process.child.terminate(), process.child.wait(20)))
        return process.wait_event("ready")["port"] if ready else None

    def file(self, name, content):
        path = self.root / name
        path.write_bytes(content)
        os.chmod(path, 0o644)


@pytest.fixture
def node(world, server):
    """A Node.js service behind HOST."""
    process = Process([program("node"), HERE / "origin.js"], world.work, "node", world.env)
    world.later(lambda: (process.child.terminate(), process.child.wait(20)))
    world.http_tunnel(server, process.wait_event("ready")["port"], HOST)
    return process


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["nginx", "caddy", "python"])
def test_files_of_real_services(world, server, kind, version):
    service = Service(world, kind)
    world.http_tunnel(server, service.target, HOST)
    data = os.urandom(4_000_000)
    service.file("a.bin", data)
    service.file("a.txt", b"short")
    http = VERSIONS[version]
    assert curl(f"http://{HOST}/a.bin", server, *http) == data
    if version == "h1":  # two on one connection, which curl 7.88 cannot by HTTP/2's prior knowledge
        assert curl(f"http://{HOST}/a.txt", server, *http, f"http://{HOST}/a.txt", "-w", "[%{num_connects}]") == b"short[1]short[0]"
    head = curl(f"http://{HOST}/a.bin", server, *http, "-I").decode().lower()
    assert " 200" in head.splitlines()[0] and "content-length: 4000000" in head
    assert curl(f"http://{HOST}/none", server, *http, "-o", "/dev/null", "-w", "%{http_code}") == b"404"
    if kind != "python":  # which has no ranges and no tags
        ranged = curl(f"http://{HOST}/a.bin", server, *http, "-r", "1000-1999", "-w", "[%{http_code}]")
        assert ranged == data[1000:2000] + b"[206]"
        assert curl(f"http://{HOST}/a.bin", server, *http, "-r", "-5") == data[-5:]
        tag = re.search(r"etag: (\S+)", head)[1]
        assert curl(f"http://{HOST}/a.bin", server, *http, "-H", f"If-None-Match: {tag}", "-w", "%{http_code}") == b"304"
        assert curl(f"http://{HOST}/a.bin", server, *http, "-r", "9000000-", "-o", "/dev/null", "-w", "%{http_code}") == b"416"
    if kind == "python":
        source = world.work / "source"
        source.write_bytes(data)
        for more in ([], ["-H", "Transfer-Encoding: chunked"] if version == "h1" else ["-H", "Content-Length:"]):
            back = curl(f"http://{HOST}/", server, *http, "--data-binary", f"@{source}", *more)
            assert back == data, f"{len(back)} bytes came back"
    if kind == "caddy":
        assert curl(f"http://{HOST}/", server, *http, "--data-binary", "what was sent") == b"what was sent"
    if kind == "nginx":
        source = world.work / "source"
        source.write_bytes(data)
        curl(f"http://{HOST}/up/b.bin", server, *http, "-T", source)
        assert (service.root / "up" / "b.bin").read_bytes() == data


# ---- what only a program does ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_node_and_curl(world, server, node, version):
    http = VERSIONS[version]
    data = os.urandom(3_000_000)
    source = world.work / "source"
    source.write_bytes(data)
    assert curl(f"http://{HOST}/echo", server, *http, "--data-binary", f"@{source}") == data
    if version == "h1":
        assert curl(f"http://{HOST}/echo", server, *http, "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{source}") == data
    # 100-continue: what is refused is never sent, what is allowed is.
    counted = json.loads(curl(f"http://{HOST}/count", server, *http, "-H", "Expect: 100-continue", "--data-binary", "x" * 1000))
    assert counted["size"] == 1000
    assert counted["headers"]["x-forwarded-host"] == HOST and " ferrotunnel-" in counted["headers"]["via"], counted["headers"]
    if version == "h1":
        refused = curl(f"http://{HOST}/count", server, *http, "-H", "Expect: 100-continue", "--data-binary", f"@{source}", "-w",
                       "[%{http_code} %{size_upload}]", "--expect100-timeout", "60")
        assert refused == b"not that much[413 0]"
    # The answer before the end of the request. What follows it, RST_STREAM with NO_ERROR (RFC 9113 section 8.1), curl 7.88 takes for a failure.
    if version == "h2":
        told = visit("nghttp", "-v", "--data", source, "-H:authority: " + HOST, f"http://{server.http}/early")
        assert ":status: 413" in told and "too much" in told and "NO_ERROR" in told, told
    else:
        early = subprocess.run([program("curl"), "-s", "--max-time", "60", "--noproxy", "*", *http, "--connect-to", f"::{server.http}", "--data-binary",
                                f"@{source}", "-H", "Expect:", "-w", "[%{http_code}]", f"http://{HOST}/early"], capture_output=True, timeout=90)
        assert early.stdout == b"too much[413]", early
    # What the service has encoded comes as it was.
    zipped = curl(f"http://{HOST}/gzip", server, *http, "-i", "-H", "Accept-Encoding: gzip")
    head, body = zipped.split(b"\r\n\r\n", 1)
    assert b'etag: "gz"' in head.lower() and b"content-encoding: gzip" in head.lower(), head
    assert gzip.decompress(body).startswith(b"what was compressed")
    hints = curl(f"http://{HOST}/hints", server, *http, "-i").decode().lower()
    assert " 103" in hints and "link: </style.css>" in hints and hints.endswith("hinted"), hints


def test_trailers_both_ways(server, node):
    with HttpVisitor(server.http_address) as visitor:
        visitor.send(f"POST /echo HTTP/1.1\r\nHost: {HOST}\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n")
        answer = visitor.response()
        assert answer.body == b"hello" and answer.trailers == {"x-size": "5"}, (answer.body, answer.trailers)
        visitor.send(f"POST /count HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n")
        assert json.loads(visitor.response().body)["trailers"] == {"x-sum": "5"}


def test_trailers_over_http2(world, server, node):
    source = world.work / "source"
    source.write_bytes(b"hello")
    told = visit("nghttp", "-v", "--data", source, "--trailer", "x-sum: 5", "-H:authority: " + HOST, f"http://{server.http}/echo")
    assert re.search(r"x-size: 5", told), told
    # Where the length is told, HTTP/1.1 has no place for them.
    told = visit("nghttp", "--data", source, "--no-content-length", "--trailer", "x-sum: 5", "-H:authority: " + HOST, f"http://{server.http}/count")
    assert json.loads(told[told.index("{"):told.rindex("}") + 1])["trailers"] == {"x-sum": "5"}, told


@pytest.mark.parametrize("version", VERSIONS)
def test_each_event_comes_before_the_next_is_said(server, node, version):
    host, port = server.http_address
    reader = subprocess.Popen([program("curl"), "-sN", "--max-time", "100", "--noproxy", "*", *VERSIONS[version], "--connect-to", f"::{host}:{port}",
                               f"http://{HOST}/events"], stdout=subprocess.PIPE)
    try:
        for number in range(5):
            assert reader.stdout.readline() == b"id: %d\n" % number
            assert reader.stdout.readline() == b"data: event %d\n" % number
            assert reader.stdout.readline() == b"\n"
            if number < 4:
                assert curl(f"http://{HOST}/next", server) == b"ok"
        assert reader.stdout.read() == b""
        assert reader.wait(60) == 0
    finally:
        reader.kill()
        reader.wait()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_long_poll(server, node, version):
    got = []
    poll = threading.Thread(target=lambda: got.append(curl(f"http://{HOST}/poll", server, *VERSIONS[version])))
    poll.start()

    until(lambda: curl(f"http://{HOST}/wake", server) == b"ok", "somebody polls")
    poll.join()
    assert got == [b"woken"]


# ---- a browser ---------------------------------------------------------------------------------------------------------

CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
            "--disable-component-update", "--disable-dev-shm-usage", "--ignore-certificate-errors"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_chromium(world, scheme):
    """Fetches of all kinds, events and a WebSocket, in HTTP/1.1 and, over TLS, HTTP/2."""
    flags = []
    if scheme == "https":
        certificate, key = certificates.Authority(world.work, "ca").issue("site", names=f"DNS:{HOST},DNS:*.{HOST}")
        config = world.work / "server.toml"
        config.write_text("[server]\nhttp2 = true\n")
        flags = ["--config", config, "--https-listen", "127.0.0.1:0", "--https-cert", certificate, "--https-key", key]
    server = world.server(*flags)
    node = Process([program("node"), HERE / "origin.js"], world.work, "node", world.env)
    world.later(lambda: (node.child.terminate(), node.child.wait(20)))
    world.http_tunnel(server, node.wait_event("ready")["port"], HOST)
    world.http_tunnel(server, origins.TcpOrigin(world, websocket.serve_echo).port, f"ws.{HOST}", "--name", "ws")
    address, socket_scheme = (server.https, "wss") if scheme == "https" else (server.http, "ws")
    browser = Process([program("chromium"), *CHROMIUM, f"--user-data-dir={world.work}/chromium", f"--host-resolver-rules=MAP * {address}",
                       f"{scheme}://{HOST}/page?socket={socket_scheme}://ws.{HOST}/"], world.work, "chromium", world.env, lines=False)
    world.later(lambda: (browser.child.terminate(), browser.child.wait(30)))
    told = node.wait_event("report", patience=90)["told"]
    assert told.pop("spoken") == (["h2"] if scheme == "https" else ["http/1.1"]), told
    assert told == {"echo": True, "gzip": 86000, "early": 413, "many": 40, "events": [f"event {i}" for i in range(5)],
                    "socket": ["welcome", "from the browser"]}, told


# ---- under load --------------------------------------------------------------------------------------------------------


def test_wrk_and_h2load(world, server, nginx):
    nginx.file("a.txt", b"0123456789" * 100)
    world.http_tunnel(server, nginx.port, HOST)
    told = visit("wrk", "-t1", "-c16", "-d2s", "-H", f"Host: {HOST}", f"http://{server.http}/a.txt")
    assert "Non-2xx" not in told and "Socket errors" not in told, told
    assert int(re.search(r"(\d+) requests in", told)[1]) > 100, told
    told = visit("h2load", "-n", "2000", "-c", "4", "-m", "50", "-H", f":authority: {HOST}", f"http://{server.http}/a.txt")
    assert "2000 succeeded, 0 failed, 0 errored" in told, told
    assert "status codes: 2000 2xx" in told, told
