"""HTTP tunnels with real counterparts: curl as the visitor, nginx as the origin; and what only a hand-made one can show."""
# ctest: timeout=240
import hashlib
import os
import socket
import subprocess
import threading

import pytest

import origins
from processes import program, until
from visitors import HttpVisitor, connect, curl, read_all

HOST = "app.test"


@pytest.fixture
def server(world):
    return world.server()


@pytest.fixture
def site(world, server, nginx):
    """nginx behind HOST."""
    world.http_tunnel(server, nginx.port, HOST)
    return nginx


def test_curl_fetches_a_page_of_nginx(server, site):
    site.file("index.html", b"<p>hello from nginx</p>")
    assert curl(f"http://{HOST}/", server) == b"<p>hello from nginx</p>"


def test_a_target_may_be_a_url(world, server, nginx):
    nginx.file("a.txt", b"a")
    client = world.http_tunnel(server, f"http://127.0.0.1:{nginx.port}", "url.test")
    assert client.up["url"] == f"http://url.test:{server.http_address[1]}"
    assert client.up["to"] == f"http://127.0.0.1:{nginx.port}"
    assert curl("http://url.test/a.txt", server) == b"a"


def test_the_server_picks_a_host_where_none_is_asked_for(world, server, nginx):
    nginx.file("a.txt", b"a")
    client = world.client("http", nginx.port, join=server)
    url = client.wait_event("tunnel_up")["url"]
    assert curl(f"{url}/a.txt", server) == b"a"


def test_keep_alive_on_both_sides(server, site):
    site.file("a.txt", b"a" * 1000)
    with HttpVisitor(server.http_address) as visitor:
        for _ in range(50):
            answer = visitor.ask("GET", "/a.txt", HOST)
            assert (answer.status, answer.body) == (200, b"a" * 1000)

    def logged():
        lines = (site.work / "access.log").read_text().splitlines()  # nginx writes a line once the answer is sent
        return lines if len(lines) >= 50 else None

    log = until(logged, "nginx logs all of them")
    assert len(log) == 50
    assert len({line.split()[0] for line in log}) == 1, "one visitor, one request after the other: one connection to the origin is enough"
    server.wait_event("request", status=200, after=49)


def test_pipelined_requests_are_answered_in_order(server, site):
    for name in "abc":
        site.file(f"{name}.txt", name.encode() * 10)
    with HttpVisitor(server.http_address) as visitor:
        visitor.send("".join(f"GET /{name}.txt HTTP/1.1\r\nHost: {HOST}\r\n\r\n" for name in "abc"))
        assert [visitor.response().body[:1] for _ in "abc"] == [b"a", b"b", b"c"]


def test_head_has_no_body_and_304_neither(server, site):
    site.file("a.txt", b"a" * 5000)
    with HttpVisitor(server.http_address) as visitor:
        head = visitor.ask("HEAD", "/a.txt", HOST)
        assert head.status == 200 and head.fields["content-length"] == "5000"
        again = visitor.ask("GET", "/a.txt", HOST, f"If-None-Match: {head.fields['etag']}")
        assert again.status == 304
        assert visitor.ask("GET", "/empty", HOST).status == 204
        assert visitor.ask("GET", "/a.txt", HOST).body == b"a" * 5000, "what follows them is still in step"


def test_ranges(server, site):
    site.file("a.bin", bytes(range(256)))
    with HttpVisitor(server.http_address) as visitor:
        part = visitor.ask("GET", "/a.bin", HOST, "Range: bytes=10-19")
        assert part.status == 206 and part.body == bytes(range(10, 20))


def test_what_the_origin_is_told_about_the_visitor(server, site):
    with HttpVisitor(server.http_address) as visitor:
        told = visitor.ask("GET", "/headers", HOST, "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "TE: trailers",
                           "Keep-Alive: timeout=5", "Connection: keep-alive, x-secret").body.decode()
    assert f"host={HOST}" in told
    assert "xff=127.0.0.1 " in told, "what the visitor claims is not passed on"
    assert f"xfh={HOST}" in told and "xfp=http " in told
    assert "keep= " in told.replace("\n", " "), "hop-by-hop fields end here"


def test_download_of_100_mb_by_curl(world, server, site):
    data = os.urandom(1_000_000) * 100
    site.file("big.bin", data)
    target = world.work / "got.bin"
    curl(f"http://{HOST}/big.bin", server, "-o", target)
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(data).digest()


def test_upload_of_100_mb_by_curl(world, server, site):
    data = os.urandom(1_000_000) * 100
    source = world.work / "source.bin"
    source.write_bytes(data)
    # Once with a length and Expect: 100-continue, once chunked (of what comes from stdin, curl does not know the length).
    curl(f"http://{HOST}/put/a.bin", server, "-T", source, "-H", "Expect: 100-continue")
    _put_chunked(server, source)
    for name in "ab":
        assert hashlib.sha256((site.root / "put" / f"{name}.bin").read_bytes()).digest() == hashlib.sha256(data).digest(), name


def _put_chunked(server, source):
    host, port = server.http_address
    with open(source, "rb") as stdin:
        done = subprocess.run([program("curl"), "-sS", "--max-time", "120", "--noproxy", "*", "--connect-to", f"::{host}:{port}", "-T", "-",
                               f"http://{HOST}/put/b.bin"], stdin=stdin, capture_output=True, timeout=130)
    assert done.returncode == 0, done.stderr


def test_bodies_stream_both_ways_before_they_end(world, server):
    """Neither side waits for the whole: each chunk is answered before the next is sent."""

    def mirror(_, head, stream, connection):
        assert head["transfer-encoding"] == "chunked"
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size := int(stream.readline(), 16):
            data = stream.read(size + 2)[:-2]
            connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))
        stream.readline()
        connection.sendall(b"0\r\n\r\n")
        return True

    origin = origins.HttpOrigin(world, mirror)
    world.http_tunnel(server, origin.port, HOST)
    with HttpVisitor(server.http_address) as visitor:
        visitor.send(f"POST /mirror HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n")
        visitor.send("3\r\none\r\n")
        assert b"200" in visitor.stream.readline()
        while visitor.stream.readline() != b"\r\n":
            pass
        for word in (b"one", b"two", b"three"):
            if word != b"one":
                visitor.send(b"%x\r\n%s\r\n" % (len(word), word))
            got = b""
            while len(got) < len(word):  # chunks may be cut anew on the way
                size = int(visitor.stream.readline(), 16)
                got += visitor.stream.read(size + 2)[:-2]
            assert got == word
        visitor.send("0\r\n\r\n")
        assert visitor.stream.readline() == b"0\r\n"
    origin.check()


def test_trailers_arrive_both_ways(world, server):
    got = []

    def with_trailers(_, head, stream, connection):
        while size := int(stream.readline(), 16):
            stream.read(size + 2)
        while (line := stream.readline()) != b"\r\n":
            got.append(line)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n")
        return True

    origin = origins.HttpOrigin(world, with_trailers)
    world.http_tunnel(server, origin.port, HOST)
    with HttpVisitor(server.http_address) as visitor:
        visitor.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nTE: trailers\r\nTrailer: X-Check\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "4\r\nbody\r\n0\r\nX-Check: 7\r\n\r\n")
        answer = visitor.response()
    assert answer.body == b"hi" and answer.trailers == {"x-sum": "42"}
    assert got == [b"X-Check: 7\r\n"]
    origin.check()


def test_expect_100_continue_is_the_origins_to_answer(world, server):
    def careful(_, head, stream, connection):
        assert head.get("expect", "").lower() == "100-continue"
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = stream.read(int(head["content-length"]))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        return True

    origin = origins.HttpOrigin(world, careful)
    world.http_tunnel(server, origin.port, HOST)
    with HttpVisitor(server.http_address) as visitor:
        visitor.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert visitor.response().status == 100
        visitor.send("body")
        answer = visitor.response()
        assert (answer.status, answer.body) == (200, b"body")
    origin.check()


def test_a_refusal_instead_of_100_continue_spares_the_body(world, server):
    def refuse(_, head, stream, connection):
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
        return False

    origin = origins.HttpOrigin(world, refuse)
    world.http_tunnel(server, origin.port, HOST)
    with HttpVisitor(server.http_address) as visitor:
        visitor.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        answer = visitor.response()
        assert (answer.status, answer.body) == (413, b"no\n")


def test_early_hints_reach_the_visitor(world, server):
    def hints(_, head, stream, connection):
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    origin = origins.HttpOrigin(world, hints)
    world.http_tunnel(server, origin.port, HOST)
    with HttpVisitor(server.http_address) as visitor:
        visitor.request("GET", "/", HOST)
        first = visitor.response()
        assert first.status == 103 and "a.css" in first.fields["link"]
        assert visitor.response().body == b"ok"


def test_http_1_0(server, site):
    site.file("a.txt", b"a" * 100)
    with connect(server.http_address) as visitor:
        visitor.sendall(f"GET /a.txt HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        answer = read_all(visitor)  # to the end: the server closes
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and body == b"a" * 100
    assert b"connection: close" in head.lower()
    with HttpVisitor(server.http_address) as visitor:
        for _ in range(2):
            answer = visitor.ask("GET", "/a.txt", HOST, "Connection: keep-alive", version="HTTP/1.0")
            assert answer.status == 200 and answer.fields["connection"].lower() == "keep-alive"


def test_http_1_0_gets_a_chunked_body_without_chunks(world, server):
    def chunked(_, head, stream, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        return True

    origin = origins.HttpOrigin(world, chunked)
    world.http_tunnel(server, origin.port, HOST)
    with connect(server.http_address) as visitor:
        visitor.sendall(f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        head, _, body = read_all(visitor).partition(b"\r\n\r\n")
    assert body == b"hello world" and b"chunked" not in head.lower()


def test_a_body_that_ends_with_the_connection(world, server):
    def until_close(_, head, stream, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 100_000)
        return False

    origin = origins.HttpOrigin(world, until_close)
    world.http_tunnel(server, origin.port, HOST)
    with HttpVisitor(server.http_address) as visitor:
        assert visitor.ask("GET", "/", HOST).body == b"x" * 100_000


def test_a_response_that_breaks_off_does_not_look_whole(world, server):
    def break_off(_, head, stream, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 10)
        return False

    origin = origins.HttpOrigin(world, break_off)
    world.http_tunnel(server, origin.port, HOST)
    done = subprocess.run([program("curl"), "-sS", "--noproxy", "*", "--max-time", "30", "--connect-to", "::%s:%d" % server.http_address,
                           f"http://{HOST}/"], capture_output=True, timeout=40)
    assert done.returncode in (18, 56), "curl is to notice that the body is not whole"


@pytest.mark.parametrize("head", ["one long field", "many fields", "a long target"])
def test_heads_past_the_limits_get_431_or_414(server, site, head):
    with HttpVisitor(server.http_address) as visitor:
        lines = {"one long field": f"GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Long: {'x' * 1_000_000}\r\n\r\n",
                 "many fields": f"GET / HTTP/1.1\r\nHost: {HOST}\r\n" + "X-A: b\r\n" * 100_000 + "\r\n",
                 "a long target": f"GET /{'x' * 1_000_000} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"}[head]
        # The answer comes while the head is still being sent.
        sender = threading.Thread(target=lambda: _send_what_goes(visitor, lines.encode()))
        sender.start()
        answer = visitor.response()
        assert answer.status == (414 if head == "a long target" else 431)
        assert answer.fields["ferrotunnel-side"] == "visitor"
        assert visitor.ended()
        sender.join(30)
    site.file("a.txt", b"a")
    assert curl(f"http://{HOST}/a.txt", server) == b"a", "others are served on"


def _send_what_goes(visitor, data):
    try:
        visitor.send(data)
    except OSError:
        pass


@pytest.mark.parametrize("request_bytes", [
    b"GET / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: app.test\r\nHost: other.test\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: app.test\r\n folded\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: app.test\r\nX-A : b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: app.test\n\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
])
def test_what_parsers_could_read_differently_is_refused(server, site, request_bytes):
    with HttpVisitor(server.http_address) as visitor:
        visitor.send(request_bytes)
        answer = visitor.response()
        assert answer.status == 400
        assert visitor.ended()
    assert not (site.work / "access.log").read_text(), "nothing of it reached the origin"


def test_a_warm_connection_that_died_is_retried(world, server):
    """The origin answers once a connection and closes; a second request must not see that."""

    def once(_, head, stream, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return False

    origin = origins.HttpOrigin(world, once)
    world.http_tunnel(server, origin.port, HOST)
    with HttpVisitor(server.http_address) as visitor:
        for _ in range(30):
            answer = visitor.ask("GET", "/", HOST)
            assert (answer.status, answer.body) == (200, b"ok")
    assert origin.connections == 30


def test_origin_on_a_unix_socket(world, server):
    path = world.work / "nginx.sock"
    nginx = origins.Nginx(world, unix=path)
    nginx.file("a.txt", b"through a unix socket")
    client = world.http_tunnel(server, f"unix:{path}", "unix.test")
    assert client.up["to"] == f"unix:{path}"
    assert curl("http://unix.test/a.txt", server) == b"through a unix socket"


def test_a_visitor_that_leaves_frees_the_origin(world, server):
    left = []

    def endless(_, head, stream, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        except OSError:
            left.append(True)
            raise

    origin = origins.HttpOrigin(world, endless)
    world.http_tunnel(server, origin.port, HOST)
    visitor = HttpVisitor(server.http_address)
    visitor.request("GET", "/", HOST)
    assert visitor.stream.read(10_000)
    visitor.close()
    until(lambda: left, "the origin sees that nobody listens")
    server.wait_event("request", failure="visitor-gone")


def test_a_slow_visitor_costs_the_server_no_memory(world, server, site):
    """Back-pressure reaches the origin: what a visitor does not read is not read ahead."""
    site.file("big.bin", os.urandom(1_000_000) * 100)
    visitors = []
    for _ in range(4):
        visitor = HttpVisitor(server.http_address)
        visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        visitor.request("GET", "/big.bin", HOST)
        assert visitor.stream.read(1000)
        visitors.append(visitor)
    site.file("a.txt", b"a")
    for _ in range(20):
        assert curl(f"http://{HOST}/a.txt", server) == b"a"
    resident = int(next(line for line in open(f"/proc/{server.pid}/status") if line.startswith("VmRSS")).split()[1])
    for visitor in visitors:
        visitor.close()
    assert resident < 400_000, f"{resident} kB, while 400 MB wait for slow visitors"
