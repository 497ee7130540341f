"""Local services that speak HTTP/2, behind the real programs: nghttpd, and nginx with http2; visitors of HTTP/1.1 and HTTP/2."""
import os
import socket
import subprocess
import threading

import pytest

import origins
from certificates import Authority
from processes import program, until
from visitors import HttpVisitor, curl

HOST = "h2.test"


class Nghttpd:
    """nghttpd with a directory: h2 only, in the clear or over TLS."""

    def __init__(self, world, certificate=None, *flags):
        self.root = world.work / world.name("nghttpd")
        self.root.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        keys = [certificate[1], certificate[0]] if certificate else ["--no-tls"]
        words = [*keys] if certificate else []
        self.child = subprocess.Popen([program("nghttpd"), "-a", "127.0.0.1", "-d", str(self.root), *flags, *([] if certificate else ["--no-tls"]),
                                       str(self.port), *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        world.later(self.close)
        until(self.listens, "nghttpd listens")

    def listens(self):
        assert self.child.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def file(self, name, content):
        (self.root / name).write_bytes(content)

    def close(self):
        self.child.terminate()
        self.child.wait(20)


class Http2Nginx(origins.Nginx):
    CONFIG = origins.Nginx.CONFIG.replace("listen {listen};", "listen {listen} http2;")


@pytest.fixture
def server(world):
    return world.server()


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_nghttpd(world, server, version):
    service = Nghttpd(world)
    data = os.urandom(3_000_000)
    service.file("a.bin", data)
    service.file("small.txt", b"small")
    client = world.http_tunnel(server, f"h2c://127.0.0.1:{service.port}", HOST)
    assert client.up["to"] == f"h2c://127.0.0.1:{service.port}"
    assert curl(f"http://{HOST}/a.bin", server, version) == data
    assert curl(f"http://{HOST}/small.txt", server, version) == b"small"
    head = curl(f"http://{HOST}/small.txt", server, version, "-I").decode().lower()
    assert "content-length: 5" in head, head
    assert curl(f"http://{HOST}/none", server, version, "-o", os.devnull, "-w", "%{http_code}") == b"404"


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_nginx(world, server, version):
    service = Http2Nginx(world)
    world.http_tunnel(server, f"h2c://127.0.0.1:{service.port}", HOST)
    data = os.urandom(3_000_000)
    source = world.work / "source.bin"
    source.write_bytes(data)
    curl(f"http://{HOST}/put/b.bin", server, version, "-T", source)
    assert (service.root / "put" / "b.bin").read_bytes() == data
    assert curl(f"http://{HOST}/put/b.bin", server, version) == data
    told = curl(f"http://{HOST}/headers", server, version, "-H", "TE: trailers", "-H", "X-Forwarded-For: 6.6.6.6").decode()
    assert f"host={HOST} " in told and "xff=127.0.0.1 " in told and "te=trailers" in told, told
    assert curl(f"http://{HOST}/empty", server, version, "-w", "%{http_code}") == b"204"


def test_many_share_a_connection(world, server):
    service = Http2Nginx(world)
    service.file("a.txt", b"hello")
    world.http_tunnel(server, f"h2c://127.0.0.1:{service.port}", HOST)
    results = []

    def visit():
        with HttpVisitor(server.http_address) as visitor:
            for _ in range(20):
                results.append(visitor.ask("GET", "/a.txt", HOST).body)

    threads = [threading.Thread(target=visit) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [b"hello"] * 400
    connections = {line.split()[0] for line in (service.work / "access.log").read_text().splitlines()}
    assert len(connections) <= 3, connections  # threads of the server have one each


def test_over_tls(world, server):
    authority = Authority(world.work, "ca")
    service = Nghttpd(world, authority.issue("localhost"))
    service.file("a.txt", b"over tls")
    world.http_tunnel(server, f"h2s://localhost:{service.port}", HOST, "--origin-tls-ca", authority.file)
    assert curl(f"http://{HOST}/a.txt", server) == b"over tls"


def test_http2_and_tls_on_both_sides(world):
    authority = Authority(world.work, "ca")
    service = Nghttpd(world, authority.issue("localhost"))
    data = os.urandom(1_000_000)
    service.file("a.bin", data)
    certificate, key = authority.issue("site", names=f"DNS:{HOST}")
    config = world.work / "server.toml"
    config.write_text("[server]\nhttp2 = true\n")
    server = world.server("--config", config, "--https-listen", "127.0.0.1:0", "--https-cert", certificate, "--https-key", key)
    world.http_tunnel(server, f"h2s://localhost:{service.port}", HOST, "--origin-tls-ca", authority.file)
    got = world.work / "got.bin"
    said = curl(f"https://{HOST}/a.bin", server, "--http2", "--cacert", authority.file, "-o", got, "-w", "%{http_version} %{http_code}")
    assert said == b"2 200" and got.read_bytes() == data


def test_a_service_of_http1(world, server, nginx):
    """What it is, and what to do."""
    world.http_tunnel(server, f"h2c://127.0.0.1:{nginx.port}", HOST)
    with HttpVisitor(server.http_address) as visitor:
        answer = visitor.ask("GET", "/", HOST)
    assert (answer.status, answer.fields["ferrotunnel-error"]) == (502, "origin-not-http2"), answer.body
    assert b"http://" in answer.body


def test_a_service_that_knows_no_status_line(world, server):
    """As Python's http.server answers the preface: a page of HTTP/0.9. The client says it too, with what to do."""

    def serve(connection):
        connection.recv(1000)
        connection.sendall(b"<!DOCTYPE HTML>\n<html>Bad request version ('HTTP/2.0').</html>\n")

    origin = origins.TcpOrigin(world, serve)
    client = world.http_tunnel(server, f"h2c://127.0.0.1:{origin.port}", HOST)
    with HttpVisitor(server.http_address) as visitor:
        answer = visitor.ask("GET", "/", HOST)
    assert (answer.status, answer.fields["ferrotunnel-error"]) == (502, "origin-not-http2"), answer.body
    said = client.wait_event("error")
    assert f"h2c://127.0.0.1:{origin.port} does not answer in HTTP/2: share it as http://" in said["message"], said
    assert "until that is mended" in said["message"], said


def test_a_service_that_comes_back(world, server):
    service = Nghttpd(world)
    service.file("a.txt", b"one")
    world.http_tunnel(server, f"h2c://127.0.0.1:{service.port}", HOST)
    assert curl(f"http://{HOST}/a.txt", server) == b"one"
    service.close()
    answer = curl(f"http://{HOST}/a.txt", server, "-w", "%{http_code}")
    assert answer.endswith(b"502"), answer


def test_h2load(world, server):
    """Many streams of many connections, and none fails."""
    service = Nghttpd(world)
    service.file("a.txt", b"x" * 1000)
    world.http_tunnel(server, f"h2c://127.0.0.1:{service.port}", HOST)
    host, port = server.http_address
    done = subprocess.run([program("h2load"), "-n", "2000", "-c", "4", "-m", "50", "--connect-to", f"{host}:{port}", f"http://{HOST}/a.txt"],
                          capture_output=True, text=True, timeout=120)
    assert "2000 succeeded, 0 failed" in done.stdout, done.stdout + done.stderr
