"""HTTP/2 visitors of HTTP tunnels, by prior knowledge on the plain port: curl, nghttp, h2load and h2spec as the visitors."""
# ctest: timeout=300
import json
import os
import re
import subprocess
import time

from pathlib import Path

import pytest

import origins
from processes import program, until
from visitors import HttpVisitor, curl

HOST = "h2.test"
H2 = "--http2-prior-knowledge"


@pytest.fixture
def server(world):
    return world.server()


@pytest.fixture
def site(world, server, nginx):
    """nginx behind HOST."""
    world.http_tunnel(server, nginx.port, HOST)
    return nginx


def visit(*argv, patience=120):
    done = subprocess.run([program(argv[0]), *map(str, argv[1:])], capture_output=True, text=True, timeout=patience)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_curl_gets_and_puts(world, server, site):
    data = os.urandom(3_000_000)
    site.file("a.bin", data)
    assert curl(f"http://{HOST}/a.bin", server, H2) == data
    source = world.work / "source.bin"
    source.write_bytes(data)
    curl(f"http://{HOST}/put/b.bin", server, H2, "-T", source)
    assert (site.root / "put" / "b.bin").read_bytes() == data
    status = curl(f"http://{HOST}/a.bin", server, H2, "-o", world.work / "again.bin", "-w", "%{http_version} %{http_code}")
    assert status == b"2 200"
    request = server.wait_event("request", host=HOST, path="/a.bin")
    assert request["status"] == 200


def test_what_the_origin_is_told(server, site):
    told = curl(f"http://{HOST}/headers", server, H2, "-H", "X-Forwarded-For: 6.6.6.6", "-H", "TE: trailers").decode()
    assert f"host={HOST} " in told and "xff=127.0.0.1 " in told and f"xfh={HOST} " in told and "te=trailers" in told, told


def test_failures_are_pages(server, site):
    page = curl("http://nobody.test/", server, H2, "-i").decode()
    assert page.startswith("HTTP/2 404") and "ferrotunnel-error: no-such-host" in page, page


def test_a_dead_origin_is_502(world, server):
    origin = origins.TcpOrigin(world, origins.echo)
    origin.close()
    world.http_tunnel(server, origin.port, "dead.test")
    page = curl("http://dead.test/", server, H2, "-i").decode()
    assert page.startswith("HTTP/2 502") and "ferrotunnel-error: origin-refused" in page, page


def test_a_streamed_answer_is_not_held(world, server):
    """Each event of an event stream arrives by itself, before there is a next one."""
    def respond(line, fields, stream, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(5):
            connection.sendall(b"9\r\ndata: %d\n\n\r\n" % i)
            seen.wait_for(i + 1)
        connection.sendall(b"0\r\n\r\n")
        return True

    class Seen:
        count = 0

        def wait_for(self, n):
            until(lambda: self.count >= n, f"event {n} at the visitor")

    seen = Seen()
    origin = origins.HttpOrigin(world, respond)
    world.http_tunnel(server, origin.port, "sse.test")
    host, port = server.http_address
    child = subprocess.Popen([program("curl"), "-sSN", H2, "--max-time", "60", "--noproxy", "*", "--connect-to", f"::{host}:{port}", "http://sse.test/"],
                             stdout=subprocess.PIPE)
    for i in range(5):
        assert child.stdout.readline() == b"data: %d\n" % i
        assert child.stdout.readline() == b"\n"
        seen.count = i + 1
    assert child.wait(30) == 0
    origin.check()


def test_nghttp_with_trailers_both_ways(world, server):
    def respond(line, fields, stream, connection):
        size, body, trailers = None, b"", []
        while (size := int(stream.readline(), 16)) != 0:
            body += stream.read(size)
            stream.readline()
        while (line := stream.readline().strip()):
            trailers.append(line.decode())
        answer = json.dumps({"size": len(body), "trailers": trailers}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n%x\r\n%s\r\n0\r\nX-Sum: 7\r\n\r\n" % (len(answer), answer))
        return True

    origin = origins.HttpOrigin(world, respond)
    world.http_tunnel(server, origin.port, "trailers.test")
    source = world.work / "body"
    source.write_bytes(os.urandom(100_000))
    host, port = server.http_address
    told = visit("nghttp", "-v", "--no-content-length", "--trailer", "x-up: 9", "-d", source, "-H", ":authority: trailers.test", f"http://{host}:{port}/")
    assert '"size": 100000' in told and '"x-up: 9"' in told, told
    assert re.search(r"x-sum: 7", told), told
    origin.check()


@pytest.mark.parametrize("streams", [1, 100])
def test_h2load(server, site, streams):
    site.file("small.txt", b"x" * 128)
    host, port = server.http_address
    told = visit("h2load", "-n", 3000, "-c", 4, "-m", streams, "-H", f":authority: {HOST}", f"http://{host}:{port}/small.txt")
    assert "3000 succeeded, 0 failed, 0 errored, 0 timeout" in told, told


def test_h2load_of_large_bodies(server, site):
    site.file("large.bin", os.urandom(1 << 20))
    host, port = server.http_address
    told = visit("h2load", "-n", 100, "-c", 2, "-m", 10, "-H", f":authority: {HOST}", f"http://{host}:{port}/large.bin")
    assert "100 succeeded, 0 failed, 0 errored, 0 timeout" in told, told


def test_http11_beside_it(server, site):
    site.file("a.txt", b"a")
    with HttpVisitor(server.http_address) as visitor:
        assert visitor.ask("GET", "/a.txt", HOST).body == b"a"


def test_reload_and_stop_while_it_is_open(world, server, site):
    """A connection that is open when the server stops is told so by GOAWAY, and a request that runs is finished."""
    site.file("a.bin", os.urandom(20_000_000))
    host, port = server.http_address
    child = subprocess.Popen([program("curl"), "-sS", H2, "--limit-rate", "8M", "--max-time", "60", "--noproxy", "*", "--connect-to", f"::{host}:{port}",
                              "-o", str(world.work / "got.bin"), f"http://{HOST}/a.bin"])
    until(lambda: (world.work / "got.bin").exists() and (world.work / "got.bin").stat().st_size > 0, "the download runs")
    server.child.terminate()
    assert child.wait(60) == 0
    assert (world.work / "got.bin").read_bytes() == (site.root / "a.bin").read_bytes()


def h2spec():
    found = Path(__file__).resolve().parents[2] / "build/counterparts/h2spec"
    assert found.exists(), "h2spec is not there: run scripts/counterparts"
    return found



def test_h2spec(world, server):
    """All of it, strict ones too. The origin takes its time, so that the tool sees an open stream where it wants one."""
    def respond(line, fields, stream, connection):
        if size := int(fields.get("content-length", 0)):
            stream.read(size)
        if fields.get("transfer-encoding") == "chunked":
            while int(stream.readline(), 16) != 0:
                stream.readline()
            while stream.readline().strip():
                pass
        time.sleep(0.005)  # what the tool is told of: not a wait for luck
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + b"x" * 64 if not line.startswith("HEAD") else
                           b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n")
        return True

    origin = origins.HttpOrigin(world, respond)
    host, port = server.http_address
    world.http_tunnel(server, origin.port, host)
    done = subprocess.run([h2spec(), "-S", "-h", host, "-p", str(port), "-o", "5"], capture_output=True, text=True, timeout=200)
    assert "146 tests, 146 passed, 0 skipped, 0 failed" in done.stdout, done.stdout[-6000:]
