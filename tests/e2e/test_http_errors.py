"""Which host is whose, and what a visitor reads when something failed: which side it was, in the format that was asked for."""
import json
import socket

import pytest

import origins
from processes import until
from visitors import HttpVisitor, connect

PAGES = [("application/json", "application/json"), ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"), ("*/*", "text/plain"), (None, "text/plain")]


@pytest.fixture
def server(world):
    return world.server()


@pytest.fixture
def refusing():
    """The port of a socket that is bound and does not listen, so that nobody else can get it; .listen() opens it."""
    with socket.socket() as closed:
        closed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        closed.bind(("127.0.0.1", 0))
        yield closed


def hello(text):
    def respond(_, head, stream, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        return True

    return respond


def ask(server, host, accept=None, path="/", method="GET"):
    with HttpVisitor(server.http_address) as visitor:
        return visitor.ask(method, path, host, *([f"Accept: {accept}"] if accept else []))


def check_page(answer, status, side, code, accept_type):
    """The page says it in its body, and its headers say it to programs."""
    assert answer.status == status, answer.body
    assert answer.fields["ferrotunnel-side"] == side
    assert answer.fields["ferrotunnel-error"] == code
    assert answer.fields["content-type"].startswith(accept_type)
    assert answer.fields["cache-control"] == "no-store"
    request = answer.fields["x-request-id"]
    assert len(request) == 16
    assert request.encode() in answer.body
    if accept_type == "application/json":
        error = json.loads(answer.body)["error"]
        assert (error["status"], error["side"], error["code"], error["request_id"]) == (status, side, code, request)
    return request


# --- hosts


def test_exact_host_wildcard_and_the_nearest_wins(world, server):
    for host, text in (("a.dev.test", b"exact"), ("*.dev.test", b"wild"), ("*.deep.dev.test", b"deep")):
        world.http_tunnel(server, origins.HttpOrigin(world, hello(text)).port, host)
    port = server.http_address[1]
    expected = {"a.dev.test": b"exact", "A.DEV.TEST": b"exact", f"a.dev.test:{port}": b"exact", "a.dev.test.": b"exact", "b.dev.test": b"wild",
                "x.y.dev.test": b"wild", "x.deep.dev.test": b"deep", "deep.dev.test": b"wild"}
    for host, text in expected.items():
        answer = ask(server, host)
        assert (answer.status, answer.body) == (200, text), host
    for host in ("dev.test", "notdev.test", "a.dev.test.evil.test", "adev.test"):
        assert ask(server, host).status == 404, host


def test_one_visitor_connection_may_name_several_hosts(world, server):
    for name in "ab":
        world.http_tunnel(server, origins.HttpOrigin(world, hello(name.encode())).port, f"{name}.test")
    with HttpVisitor(server.http_address) as visitor:
        for name in "abab":
            assert visitor.ask("GET", "/", f"{name}.test").body == name.encode()
        assert visitor.ask("GET", "/", "c.test").status == 404
        assert visitor.ask("GET", "/", "a.test").body == b"a", "an error page does not end the connection"


@pytest.mark.parametrize("host", ["*", "*.", "a.*.test", "*a.test", "a b.test", "*.*.test", "a..test", "x" * 64 + ".test", "a/b"])
def test_hosts_that_are_none_are_refused(world, server, host):
    done = world.run("http", "1", "--host", host, "--join", server.join)
    assert done.returncode in (2, 3), done
    assert done.stderr.startswith("ferrotunnel: ")
    assert "Traceback" not in done.stderr


# --- pages


@pytest.mark.parametrize("accept, kind", PAGES)
def test_404_no_such_host(server, accept, kind):
    answer = ask(server, "nobody.test", accept)
    request = check_page(answer, 404, "visitor", "no-such-host", kind)
    logged = server.wait_event("request", request=request)
    assert logged["status"] == 404 and logged["failure"] == "no-such-host" and logged["side"] == "visitor"


@pytest.mark.parametrize("accept, kind", PAGES)
def test_502_refused_origin_and_then_it_starts(world, server, refusing, accept, kind):
    port = refusing.getsockname()[1]
    client = world.http_tunnel(server, port, "app.test")
    answer = ask(server, "app.test", accept)
    request = check_page(answer, 502, "origin", "origin-refused", kind)
    assert b"its local service refused the connection" in answer.body
    assert server.wait_event("request", request=request)["side"] == "origin"
    # The one who can mend it is told, with what to do.
    error = client.wait_event("error", side="origin")
    assert f"127.0.0.1:{port}" in error["message"] and "refused" in error["message"]
    # Nothing has to be restarted once the service runs.
    refusing.close()
    origins.HttpOrigin(world, hello(b"here I am"), port=port)
    assert ask(server, "app.test").body == b"here I am"


def test_502_when_a_unix_socket_is_not_there(world, server):
    client = world.http_tunnel(server, f"unix:{world.work}/none.sock", "app.test")
    answer = ask(server, "app.test")
    assert answer.status == 502 and answer.fields["ferrotunnel-side"] == "origin"
    assert "none.sock" in client.wait_event("error", side="origin")["message"]


@pytest.mark.parametrize("behaviour, code", [("closes", "origin-closed"), ("resets", "peer-reset"), ("garbage", "bad-response"), ("smuggles", "bad-response")])
def test_502_origins_that_misbehave(world, server, behaviour, code):
    def respond(_, head, stream, connection):
        if behaviour == "resets":
            origins.reset(connection)
        elif behaviour == "garbage":
            connection.sendall(b"\x00\x01\x02 what is this\r\n\r\n")
        elif behaviour == "smuggles":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok")
        return False

    world.http_tunnel(server, origins.HttpOrigin(world, respond).port, "app.test")
    answer = ask(server, "app.test", "application/json")
    check_page(answer, 502, "origin", code, "application/json")


def test_504_an_origin_that_does_not_accept(world, server):
    # A listening socket whose queue is full: the kernel drops what else comes.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        filling = []
        while True:
            one = socket.socket()
            one.settimeout(0.5)
            filling.append(one)
            try:
                one.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        client = world.http_tunnel(server, port, "app.test", "--origin-timeout", "0.7")
        answer = ask(server, "app.test", "application/json")
        check_page(answer, 504, "origin", "origin-timeout", "application/json")
        client.wait_event("error", side="origin")
        for one in filling:
            one.close()


def test_502_when_the_client_dies_inside_a_request(world, server):
    def never(_, head, stream, connection):
        stream.read()
        return False

    origin = origins.HttpOrigin(world, never)
    client = world.http_tunnel(server, origin.port, "app.test")
    with HttpVisitor(server.http_address) as visitor:
        visitor.request("GET", "/", "app.test", "Accept: application/json")
        until(lambda: origin.requests, "the request is at the origin")
        client.kill()
        check_page(visitor.response(), 502, "tunnel", "link-lost", "application/json")
    server.wait_event("tunnel_down")
    with HttpVisitor(server.http_address) as visitor:
        visitor.request("GET", "/", "app.test", "Accept: application/json")
        check_page(visitor.response(), 503, "tunnel", "client-away", "application/json")


def test_head_gets_no_body_of_an_error_page(server):
    with HttpVisitor(server.http_address) as visitor:
        answer = visitor.ask("HEAD", "/", "nobody.test")
        assert answer.status == 404 and int(answer.fields["content-length"]) > 0
        assert visitor.ask("GET", "/", "nobody.test").status == 404, "the connection is in step"


def test_what_a_visitor_sent_does_not_come_alive_in_a_page(server):
    answer = ask(server, "nobody.test", "text/html", path="/<script>alert(1)</script>")
    assert b"<script" not in answer.body
    assert "default-src 'none'" in answer.fields["content-security-policy"]


# --- logs


HOSTILE = ["/\x1b[31mred", "/a\x7fb", "/\xff\xfe", "/a%0d%0aX: y", "/\"}{\"event\":\"ready\"", "/\\u0000\\"]


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_bytes_cannot_break_a_log_line(world, server, path):
    """Whatever is in a request, the log stays one JSON object a line, and no control byte reaches a terminal."""
    world.http_tunnel(server, origins.HttpOrigin(world, hello(b"ok")).port, "app.test")
    with connect(server.http_address) as visitor:
        visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n".encode("latin-1"))
        while visitor.recv(65536):
            pass
    server.wait_event("request")
    server.stop()
    assert not server.events("not-json")
    assert len(server.events("ready")) == 1
    for line in server.stdout().split(b"\n"):
        assert all(byte >= 0x20 and byte != 0x7F for byte in line), line
        line.decode("utf-8")


def test_hostile_bytes_in_human_logs(world):
    server = world.server("--log-format", "human", lines=False)
    until(lambda: b"ready" in server.stdout(), "the server is ready")
    said = server.stdout().decode()
    server.http = said.split(" (http)")[0].split()[-1]
    with connect(server.http_address) as visitor:
        visitor.sendall(b"GET /\xff\xc2\x9b31m HTTP/1.1\r\nHost: nobody.test\r\nConnection: close\r\n\r\n")
        while visitor.recv(65536):
            pass
    server.stop()
    for byte in server.stdout():
        assert byte == 0x0A or 0x20 <= byte != 0x7F
    assert b"\x9b" not in server.stdout().replace("…".encode(), b"")
