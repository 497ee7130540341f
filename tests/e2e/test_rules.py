"""Rules of HTTP tunnels with the real programs: flags, files, reloads, and what curl and a hand-made origin see."""
import base64
import json
import re
import subprocess
import threading
import zlib

import pytest

import origins
from processes import program, until
from visitors import HttpVisitor, curl

HOST = "app.test"


@pytest.fixture
def server(world):
    return world.server()


@pytest.fixture
def origin(world):
    """Answers with the head that it got."""

    def respond(line, fields, stream, connection):
        read_body(fields, stream)
        said = "\r\n".join(made.requests[-1]).encode("latin-1") + b"\r\n"
        connection.sendall(b"HTTP/1.1 200 OK\r\nServer: inner\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
        return True

    made = origins.HttpOrigin(world, respond)
    return made


def read_body(fields, stream):
    if fields.get("transfer-encoding") == "chunked":
        while size := int(stream.readline(), 16):
            stream.read(size + 2)
        stream.readline()
    else:
        stream.read(int(fields.get("content-length", 0)))


def status(url, server, *flags):
    return int(curl(url, server, "-o", "/dev/null", "-w", "%{http_code}", *flags))


def test_flags_change_what_the_service_and_the_visitor_see(world, server, origin):
    world.http_tunnel(server, origin.port, HOST, "--strip-prefix", "/api", "--add-prefix", "/v1", "--host-rewrite", "origin",
                      "--header", "X-Visitor: ${visitor.address}", "--header", "X-Two: 2", "--response-header", "Server: outer")
    said = curl(f"http://{HOST}/api/x?q=1", server, "-i").decode()
    assert "GET /v1/x?q=1 HTTP/1.1\r\n" in said
    assert f"Host: 127.0.0.1:{origin.port}\r\n" in said
    assert "X-Visitor: 127.0.0.1\r\n" in said and "X-Two: 2\r\n" in said
    assert f"X-Forwarded-Host: {HOST}\r\n" in said
    assert "Server: outer" in said and "inner" not in said


def test_a_password_of_the_command_line(world, server, origin):
    world.http_tunnel(server, origin.port, HOST, "--basic-auth", "ann:correct horse")
    assert status(f"http://{HOST}/", server) == 401
    assert status(f"http://{HOST}/", server, "-u", "ann:wrong") == 401
    said = curl(f"http://{HOST}/", server, "-u", "ann:correct horse")
    assert b"GET / HTTP/1.1" in said
    assert b"uthorization" not in said, "it is not the origin's"
    server.wait_event("request", status=401)


def test_a_part_of_a_host(world, server, origin, nginx):
    nginx.file("index.html", b"site")
    world.http_tunnel(server, nginx.port, HOST)
    world.http_tunnel(server, origin.port, HOST, "--path", "/api", "--strip-prefix", "/api", "--name", "api")
    assert curl(f"http://{HOST}/", server) == b"site"
    assert b"GET /x " in curl(f"http://{HOST}/api/x", server)
    assert b"GET /x " in curl(f"http://{HOST}/y/../%61pi/x", server, "--path-as-is")
    assert status(f"http://{HOST}/y%2fapi", server) == 400


def test_max_body_of_both_framings(world, server, origin):
    world.http_tunnel(server, origin.port, HOST, "--max-body", "1K")
    assert status(f"http://{HOST}/", server, "--data-binary", "x" * 1024) == 200
    assert status(f"http://{HOST}/", server, "--data-binary", "x" * 1025) == 413
    assert status(f"http://{HOST}/", server, "-H", "Transfer-Encoding: chunked", "--data-binary", "x" * 1025) == 413


def test_cors_of_a_page_elsewhere(world, server, origin):
    world.http_tunnel(server, origin.port, HOST, "--cors", "https://page.test", "--basic-auth", "ann:secret")
    said = curl(f"http://{HOST}/", server, "-i", "-X", "OPTIONS", "-H", "Origin: https://page.test", "-H", "Access-Control-Request-Method: PUT").decode()
    assert " 204 " in said.splitlines()[0]
    assert "Access-Control-Allow-Origin: https://page.test\r\n" in said


FILE = """
[client]
token = {{ file = "{token}" }}

[tunnels.web]
to = "127.0.0.1:{port}"
url = "http://{host}"
hosts = ["www.{host}"]
set_response_headers = ["X-Frame-Options: DENY", "X-Id: ${{request.id}}"]

[[tunnels.web.rules]]
paths = ["/admin"]
basic_auth = ["ann:{hash}"]
basic_auth_realm = "staff"

[[tunnels.web.rules]]
paths = ["/old"]
redirect = "https://new.test${{request.uri}}"
redirect_status = 308

[[tunnels.web.rules]]
paths = ["/down"]
methods = ["GET"]
answer = "{answer}"
answer_status = 503
"""

# bcrypt of "U*U", from the tests of crypt_blowfish.
HASH = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"


def write_file(world, server, origin, answer="Back at noon."):
    token = world.work / "token"
    token.write_text(server.join)
    token.chmod(0o600)
    file = world.work / "client.toml"
    file.write_text(FILE.format(token=token, port=origin.port, host=HOST, hash=HASH, answer=answer))
    return file


def test_rules_of_a_file_and_their_reload(world, server, origin):
    file = write_file(world, server, origin)
    client = world.client("client", "--config", file)
    client.wait_event("tunnel_up")
    for host in (HOST, f"www.{HOST}"):
        said = curl(f"http://{host}/", server, "-i")
        assert b"X-Frame-Options: DENY\r\n" in said and b"X-Id: " in said
    assert status(f"http://{HOST}/admin/x", server) == 401
    assert status(f"http://{HOST}//x/../admin", server, "--path-as-is") == 401
    assert status(f"http://{HOST}/admin", server, "-u", "ann:U*U") == 200
    moved = curl(f"http://{HOST}/old/a?b", server, "-i").decode()
    assert " 308 " in moved.splitlines()[0] and "Location: https://new.test/old/a?b\r\n" in moved
    assert curl(f"http://{HOST}/down", server) == b"Back at noon."
    assert curl(f"http://{HOST}/down", server, "-X", "get") == b"Back at noon.", "a framework may take it for GET"
    assert status(f"http://{HOST}/down", server, "-d", "x") == 200
    write_file(world, server, origin, answer="At two.")
    client.signal(1)
    until(lambda: curl(f"http://{HOST}/down", server) == b"At two.", "the new answer")


@pytest.mark.parametrize("line, says", [
    ('strip_prefix = "api"', "strip_prefix: 'api' is no prefix of a path"),
    ('basic_auth = ["ann:secret"]', "a file has the hash of a password, not the password"),
    ('basic_auth = ["ann:$2b$14$' + "a" * 53 + '"]', "the bcrypt hash has cost 14; 4 to 12 are taken"),
    ('redirect = "new.test"', "redirect: to: "),
    ('set_request_headers = ["Connection: x"]', "Connection belongs to one connection"),
    ('set_request_headers = ["X-A: ${visitor.addres}"]', "${visitor.addres} is not known"),
    ('cors = ["*"]\ncors_credentials = true', "name the origins"),
    ('compress = ["deflate"]', "'deflate' is no coding"),
    ("compress = 9", "true, false, a string or an array of strings is wanted"),
    ('strip_prefx = "/a"', 'did you mean "strip_prefix"?'),
])
def test_mistakes_in_a_file_have_their_place(world, line, says):
    file = world.work / "client.toml"
    file.write_text(f'[tunnels.web]\nto = "8080"\n\n[[tunnels.web.rules]]\npaths = ["/a"]\n{line}\n')
    done = world.run("check", file)
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in done.stderr + done.stdout, done.stderr + done.stdout
    assert "client.toml:" in done.stderr + done.stdout


# ---- compress -----------------------------------------------------------------------------------------------------

TEXT = b"".join(b'{"line": %d, "says": "the same again and again"},\n' % i for i in range(20_000))


@pytest.fixture
def text_origin(world):
    """Sends TEXT, plain: /whole with its length, /chunked by pieces, /close until the connection ends; /png says that it is an image."""

    def respond(line, fields, stream, connection):
        path = line.split()[1]
        kind = b"image/png" if path == "/png" else b"application/json"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b'\r\nETag: "a"\r\nAccept-Ranges: bytes\r\n'
        if path == "/chunked":
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(TEXT), 10_000):
                piece = TEXT[at:at + 10_000]
                connection.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
        elif path == "/close":
            connection.sendall(head + b"Connection: close\r\n\r\n" + TEXT)
            return False
        else:
            connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(TEXT) + (b"" if line.startswith("HEAD") else TEXT))
        return True

    return origins.HttpOrigin(world, respond)


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge", "--http1.0"])
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_compress_for_curl(world, server, text_origin, coding, version):
    world.http_tunnel(server, text_origin.port, HOST, "--compress")
    head = world.work / "head"
    for path in ("/whole", "/chunked", "/close"):
        flags = [version, "--compressed", "-H", f"Accept-Encoding: {coding}", "-D", head]
        assert curl(f"http://{HOST}{path}", server, *flags) == TEXT, path
        said = head.read_text().lower()
        assert f"content-encoding: {coding}\n" in said and "vary: accept-encoding\n" in said and 'etag: w/"a"\n' in said, said
        assert "content-length" not in said and "accept-ranges" not in said, said
        small = curl(f"http://{HOST}{path}", server, version, "-H", f"Accept-Encoding: {coding}")
        assert len(small) < len(TEXT) / 5, f"{path}: {len(small)} of {len(TEXT)} bytes"
    assert curl(f"http://{HOST}/png", server, version, "--compressed") == TEXT
    assert curl(f"http://{HOST}/whole", server, version) == TEXT, "nobody has asked for it"
    assert f"content-length: {len(TEXT)}" in curl(f"http://{HOST}/whole", server, version, "-I").decode().lower()
    asked = curl(f"http://{HOST}/whole", server, version, "-I", "-H", f"Accept-Encoding: {coding}").decode().lower()
    assert f"content-encoding: {coding}\r\n" in asked and "vary: accept-encoding\r\n" in asked and 'etag: w/"a"\r\n' in asked, asked
    assert "content-length" not in asked and "accept-ranges" not in asked, asked
    http = json.loads(world.run("status", "--json", "--state", server.state).stdout)["http"]
    assert http["compressed"] == 6
    assert http["compressed_in"] == 6 * len(TEXT)
    assert 0 < http["compressed_out"] < http["compressed_in"] / 5


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_not_modified_and_a_part_say_what_the_whole_would(world, server, version):
    def respond(line, fields, stream, connection):
        if "range" in fields:
            connection.sendall(b'HTTP/1.1 206 Partial Content\r\nContent-Type: application/json\r\nETag: "a"\r\n'
                               b"Content-Range: bytes 0-9/%d\r\nContent-Length: 10\r\n\r\n" % len(TEXT) + TEXT[:10])
        elif '"a"' in fields.get("if-none-match", ""):
            connection.sendall(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n')
        else:
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: "a"\r\nContent-Length: %d\r\n\r\n'
                               % len(TEXT) + TEXT)
        return True

    origin = origins.HttpOrigin(world, respond)
    world.http_tunnel(server, origin.port, HOST, "--compress")

    def head_of(*flags):
        head = world.work / "head"
        curl(f"http://{HOST}/", server, version, "--compressed", "-D", head, *flags)
        return head.read_text().lower()

    whole = head_of()
    assert ' 200' in whole and 'etag: w/"a"\n' in whole and "vary: accept-encoding\n" in whole, whole
    same = head_of("-H", 'If-None-Match: W/"a"')
    assert ' 304' in same and 'etag: w/"a"\n' in same and "vary: accept-encoding\n" in same, same
    part = head_of("-r", "0-9")
    assert ' 206' in part and 'etag: "a"\n' in part and "vary: accept-encoding\n" in part, part
    origin.check()


def test_compressed_pieces_arrive_one_by_one(world, server):
    """The next piece is sent when the visitor has the one before."""
    gate = threading.Semaphore(0)

    def respond(line, fields, stream, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(20):
            piece = b"piece %d\n" % i
            connection.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n")
            assert gate.acquire(timeout=60)
        connection.sendall(b"0\r\nX-Sum: 20\r\n\r\n")
        return True

    origin = origins.HttpOrigin(world, respond)
    world.http_tunnel(server, origin.port, HOST, "--compress")
    with HttpVisitor(server.http_address) as visitor:
        visitor.request("GET", "/", HOST, "Accept-Encoding: gzip")
        head = origins.fields(origins.read_head(visitor.stream))
        assert head["content-encoding"] == "gzip" and head["transfer-encoding"] == "chunked"
        reader = zlib.decompressobj(wbits=31)
        text = b""
        for i in range(20):
            while not text.endswith(b"piece %d\n" % i):
                size = int(visitor.stream.readline(), 16)
                assert size > 0, "the end came early"
                text += reader.decompress(visitor.stream.read(size))
                assert visitor.stream.read(2) == b"\r\n"
            gate.release()
        while size := int(visitor.stream.readline(), 16):
            text += reader.decompress(visitor.stream.read(size))
            visitor.stream.read(2)
        assert reader.eof and text == b"".join(b"piece %d\n" % i for i in range(20))
        assert visitor.stream.readline() == b"X-Sum: 20\r\n"
        assert visitor.stream.readline() == b"\r\n"
    origin.check()


@pytest.mark.parametrize("line, coding", [
    ("compress = true", "zstd"), ('compress = ["br", "gzip"]', "br"), ('compress = "gzip"', "gzip"), ("compress = false", None),
    ('compress = true\ncompress_min = "2M"', None),
])
def test_compress_of_a_file(world, server, text_origin, line, coding):
    token = world.work / "token"
    token.write_text(server.join)
    token.chmod(0o600)
    file = world.work / "client.toml"
    file.write_text(f'[client]\ntoken = {{ file = "{token}" }}\n\n[tunnels.web]\nto = "{text_origin.port}"\nurl = "http://{HOST}"\n{line}\n')
    world.client("client", "--config", file).wait_event("tunnel_up")
    head = curl(f"http://{HOST}/whole", server, "-D", "-", "-o", "/dev/null", "-H", "Accept-Encoding: gzip, br, zstd").decode()
    assert (f"Content-Encoding: {coding}\r\n" in head) if coding else ("Content-Encoding" not in head), head


def test_routes_by_method_and_header(world, server, origin, nginx):
    """Three tunnels of one host: what asks for most has the request."""
    nginx.file("index.html", b"site")
    world.http_tunnel(server, nginx.port, HOST)
    writes = world.http_tunnel(server, origin.port, HOST, "--method", "POST", "--method", "DELETE", "--header", "X-Tunnel: writes", "--name", "writes")
    world.http_tunnel(server, origin.port, HOST, "--with-header", "X-Beta: yes", "--header", "X-Tunnel: beta", "--name", "beta")
    for version in ("--http1.1", "--http2-prior-knowledge"):
        assert curl(f"http://{HOST}/", server, version) == b"site"
        assert b"X-Tunnel: writes\r\n" in curl(f"http://{HOST}/x", server, version, "-d", "a")
        assert b"X-Tunnel: writes\r\n" in curl(f"http://{HOST}/x", server, version, "-X", "DELETE", "-H", "x-beta: no")
        assert b"X-Tunnel: beta\r\n" in curl(f"http://{HOST}/x", server, version, "-H", "x-beta: yes")
        assert b"X-Tunnel: beta\r\n" in curl(f"http://{HOST}/x", server, version, "-d", "a", "-H", "x-beta: yes"), "a header weighs more"
    # The same place once more is somebody's; the rest is anybody's.
    twice = world.client("http", origin.port, "--host", HOST, "--method", "DELETE", "--method", "POST", "--name", "again", join=server)
    assert "in use" in json.dumps(twice.wait_event("tunnel_rejected"))
    writes.stop()
    assert status(f"http://{HOST}/", server, "-d", "a") in (404, 405), "nginx has it, and wants no POST"


# ---- who the visitor is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_proxy_header_in_front_of_each_request(world, server, version):
    """Each connection to the service carries one visitor's one request, and names him first."""
    said = []

    def serve(connection):
        with connection.makefile("rb") as stream:
            if version == "v1":
                said.append(stream.readline())
            else:
                head = stream.read(16)
                assert head[:12] == b"\r\n\r\n\x00\r\nQUIT\n"
                said.append(stream.read(int.from_bytes(head[14:16], "big")))
            while head := origins.read_head(stream):
                read_body(origins.fields(head), stream)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    origin = origins.TcpOrigin(world, serve)
    world.http_tunnel(server, origin.port, HOST, "--proxy-protocol", version)
    ports = []
    for flags in (["--http1.1"], ["--http2-prior-knowledge"], ["--http1.1", "-d", "a"]):
        told = curl(f"http://{HOST}/", server, *flags, "-w", "[%{local_port}]")
        assert told.startswith(b"ok["), told
        ports.append(int(told[3:-1]))
    with HttpVisitor(server.http_address) as visitor:
        for _ in range(3):
            assert visitor.ask("GET", "/", HOST).body == b"ok"
            ports.append(visitor.socket.getsockname()[1])
    assert origin.connections == len(ports) == len(said)
    for header, port in zip(said, ports):
        if version == "v1":
            assert header == b"PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n" % (port, origin.port)
        else:
            assert header[:4] == bytes([127, 0, 0, 1]) and int.from_bytes(header[8:10], "big") == port
    origin.check()


def test_addresses_and_rates_hold_for_http2_and_with_rules(world, server, origin):
    """The limits of a tunnel stand before its rules, whatever the visitor speaks."""
    world.http_tunnel(server, origin.port, HOST, "--deny", "127.0.0.2", "--max-new-visitors-per-second", "1", "--basic-auth", "ann:secret",
                      "--name", "limited")
    world.http_tunnel(server, origin.port, f"free.{HOST}", "--allow", "127.0.0.1", "--header", "X-A: b", "--name", "free")
    for version in ("--http1.1", "--http2-prior-knowledge"):
        denied = curl(f"http://{HOST}/", server, version, "-i", "--interface", "127.0.0.2", "-u", "ann:secret").decode().lower()
        assert " 403" in denied.splitlines()[0] and "ferrotunnel-error: visitor-denied" in denied, denied
        denied = curl(f"http://free.{HOST}/", server, version, "-i", "--interface", "127.0.0.3").decode().lower()
        assert " 403" in denied.splitlines()[0], denied
        assert b"X-A: b" in curl(f"http://free.{HOST}/", server, version)
    # One that is let in, and among many at once those that are not.
    key = "Authorization: Basic " + base64.b64encode(b"ann:secret").decode()
    until(lambda: status(f"http://{HOST}/", server, "-H", key) == 200, "one is let in")
    with HttpVisitor(server.http_address) as visitor:
        visitor.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n{key}\r\n\r\n" * 20)
        got = [visitor.response().status for _ in range(20)]
    assert 429 in got and set(got) <= {200, 429}, got
    told = subprocess.run([program("h2load"), "-n", "20", "-c", "1", "-m", "20", "-H", f":authority: {HOST}", "-H", key, f"http://{server.http}/"],
                          capture_output=True, text=True, timeout=100).stdout
    limited = int(re.search(r"(\d+) 4xx", told)[1])
    assert limited > 0 and f"{20 - limited} 2xx" in told, told
    server.wait_event("request", status=403)
