"""HTTPS for visitors: certificates by name, of both kinds of key; versions, tickets, stapling; reloads; redirect and HSTS; who is cut, and why."""
import re
import shutil
import signal
import ssl
import subprocess
import threading
import time

import pytest

import origins
import websocket
from certificates import Authority, openssl
from processes import address, program, until
from visitors import HttpVisitor, connect, curl, read_all

HOST, OTHER = "app.test", "other.test"


@pytest.fixture
def authority(world):
    return Authority(world.work, "ca")


@pytest.fixture
def site(world, authority, nginx):
    """A server with certificates for HOST (of both kinds) and names under wild.test, and a tunnel for each, to nginx."""
    nginx.file("hello.txt", b"hello over tls")
    directory = world.work / "certs"
    directory.mkdir()
    for name, names, rsa in (("app-ec", f"DNS:{HOST}", False), ("app-rsa", f"DNS:{HOST}", True), ("wild", f"DNS:*.wild.test,DNS:{OTHER}", False)):
        put(authority, directory, name, names=names, rsa=rsa)
    server = world.server("--https-listen", "127.0.0.1:0", "--certificates-dir", directory)
    server.directory = directory
    for host in (HOST, OTHER, "*.wild.test"):
        world.http_tunnel(server, nginx.port, host)
    return server


def put(authority, directory, name, **more):
    certificate, key = authority.issue(name, **more)
    for made, end in ((key, "key"), (certificate, "crt")):
        # In its place at once, as those who renew certificates do it.
        shutil.copy(made, directory / f".{name}.{end}")
        (directory / f".{name}.{end}").chmod(0o600)
        (directory / f".{name}.{end}").rename(directory / f"{name}.{end}")


def fetch(server, authority, host=HOST, *flags, path="/hello.txt"):
    return curl(f"https://{host}{path}", server, "--cacert", authority.file, *flags)


def s_client(server, name, *words, input="", patience=60):
    where = ["-noservername"] if name is None else ["-servername", name]
    return openssl("s_client", "-connect", server.https, *where, *words, input=input, patience=patience)


def subject(said):
    found = re.search(r"subject=CN = (\S+)", said.stdout)
    return found and found[1]


# --- certificates


def test_by_name(site, authority):
    for host in (HOST, OTHER, "a.wild.test", "B.Wild.Test"):
        assert fetch(site, authority, host) == b"hello over tls", host
    assert subject(s_client(site, "x.wild.test")) == "wild"
    for name in ("nobody.test", "deep.x.wild.test", None):
        said = s_client(site, name)
        assert "unrecognized name" in said.stderr and subject(said) is None, said.stderr


def test_the_url_that_the_client_shows_is_https(world, site, nginx):
    client = world.http_tunnel(site, nginx.port, "new.wild.test")
    assert client.up["url"] == f"https://new.wild.test:{address(site.https)[1]}"


def test_a_name_without_a_certificate_is_announced_as_what_works(world, site, authority, nginx):
    client = world.http_tunnel(site, nginx.port, "nobody.test")
    assert client.up["url"] == f"http://nobody.test:{address(site.http)[1]}"
    assert curl("http://nobody.test/hello.txt", site) == b"hello over tls"
    assert not site.events("error")
    # Where HTTPS is all there is, the server says what is missing.
    alone = world.server("--https-listen", "127.0.0.1:0", "--certificates-dir", site.directory, "--https-redirect")
    client = world.http_tunnel(alone, nginx.port, "nobody.test")
    assert client.up["url"].startswith("https://")
    assert "nobody.test" in alone.wait_event("error", message=lambda m: m is not None and "no certificate" in m)["message"]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_both_kinds_of_key(site, version):
    flag = "-tls" + version.replace(".", "_")
    assert subject(s_client(site, HOST, flag, "-sigalgs", "ECDSA+SHA256")) == "app-ec"
    assert subject(s_client(site, HOST, flag, "-sigalgs", "RSA-PSS+SHA256:RSA+SHA256")) == "app-rsa"


def test_versions_and_the_least_of_them(world, site, authority):
    assert fetch(site, authority, HOST, "--tls-max", "1.2") == b"hello over tls"
    assert fetch(site, authority, HOST, "--tlsv1.3") == b"hello over tls"
    old = s_client(site, HOST, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert subject(old) is None
    config = world.work / "strict.toml"
    config.write_text(f"""[server]
https_listen = "127.0.0.1:0"
certificates_dir = "{site.directory}"
http_tls_minimum = "1.3"
""")
    strict = world.server("--config", config)
    assert subject(s_client(strict, HOST, "-tls1_2")) is None
    assert subject(s_client(strict, HOST)) == "app-ec"


def test_protocols(world, site, authority):
    assert "ALPN protocol: h2" in s_client(site, HOST, "-alpn", "http/1.1,h2").stdout
    assert "ALPN protocol: http/1.1" in s_client(site, HOST, "-alpn", "http/1.1").stdout
    assert "no application protocol" in s_client(site, HOST, "-alpn", "h3").stderr
    for flag, version in (("--http2", b"2"), ("--http1.1", b"1.1")):
        assert fetch(site, authority, HOST, flag, "-w", "%{http_version}") == b"hello over tls" + version
    config = world.work / "without.toml"
    config.write_text(f"""[server]
https_listen = "127.0.0.1:0"
certificates_dir = "{site.directory}"
http2 = false
""")
    without = world.server("--config", config)
    assert "ALPN protocol: http/1.1" in s_client(without, HOST, "-alpn", "h2,http/1.1").stdout
    assert "no application protocol" in s_client(without, HOST, "-alpn", "h2").stderr


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_tickets_resume_also_after_a_reload(world, site, version):
    ask = f"GET /hello.txt HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    session = world.work / "session"
    more = ["-ign_eof", f"-tls{version}"]
    first = s_client(site, HOST, *more, "-sess_out", session, input=ask)
    assert "New, TLS" in first.stdout and "hello over tls" in first.stdout, first
    again = s_client(site, HOST, *more, "-sess_in", session, "-sess_out", session, input=ask)
    assert "Reused, TLS" in again.stdout and "hello over tls" in again.stdout, again
    assert world.run("reload", "--state", site.state).returncode == 0
    third = s_client(site, HOST, *more, "-sess_in", session, input=ask)
    assert "Reused, TLS" in third.stdout and "hello over tls" in third.stdout, third


def test_the_response_beside_a_certificate_is_stapled(world, site, authority):
    assert "OCSP response: no response sent" in s_client(site, OTHER, "-status").stdout
    response = authority.ocsp(site.directory / "wild.crt", "made.ocsp")
    shutil.copy(response, site.directory / "wild.ocsp")
    # The real curl looks for the issuer in the chain that it is shown.
    with open(site.directory / "wild.crt", "a") as chain:
        chain.write(authority.file.read_text())
    assert world.run("reload", "--state", site.state).returncode == 0
    said = s_client(site, OTHER, "-status", "-CAfile", authority.file)
    assert "OCSP Response Status: successful" in said.stdout and "Cert Status: good" in said.stdout, said.stdout
    assert fetch(site, authority, OTHER, "--cert-status") == b"hello over tls"


def test_a_certificate_of_the_command_line_is_the_default(world, authority, nginx):
    nginx.file("hello.txt", b"hello over tls")
    certificate, key = authority.issue("only", names=f"DNS:{HOST}")
    server = world.server("--https-listen", "127.0.0.1:0", "--https-cert", certificate, "--https-key", key)
    world.http_tunnel(server, nginx.port, HOST)
    assert fetch(server, authority) == b"hello over tls"
    assert subject(s_client(server, None)) == "only"
    assert subject(s_client(server, "nobody.test")) == "only"


def test_certbots_directory(world, authority, nginx):
    nginx.file("hello.txt", b"hello over tls")
    live, archive = world.work / "live", world.work / "archive"
    for name in (HOST, OTHER):
        (live / name).mkdir(parents=True)
        (archive / name).mkdir(parents=True)
        certificate, key = authority.issue(name, names=f"DNS:{name}")
        for made, link in ((certificate, "fullchain"), (key, "privkey")):
            shutil.copy(made, archive / name / f"{link}1.pem")
            (archive / name / f"{link}1.pem").chmod(0o600)
            (live / name / f"{link}.pem").symlink_to(f"../../archive/{name}/{link}1.pem")
    (live / "README").write_text("This directory contains your keys and certificates.")
    server = world.server("--https-listen", "127.0.0.1:0", "--certificates-dir", live)
    world.http_tunnel(server, nginx.port, HOST)
    assert fetch(server, authority) == b"hello over tls"
    assert subject(s_client(server, OTHER)) == OTHER


# --- what is refused


def test_a_key_that_others_may_read(world, authority):
    certificate, key = authority.issue("only", names=f"DNS:{HOST}")
    key.chmod(0o644)
    done = world.run("server", "--listen", "127.0.0.1:0", "--http-listen", "off", "--https-listen", "127.0.0.1:0", "--https-cert", certificate,
                     "--https-key", key, "--state", world.work / "state")
    assert done.returncode != 0
    assert str(key) in done.stderr and "chmod 600" in done.stderr, done.stderr


def test_mistakes_in_a_file_are_found_by_check(world, authority):
    certificate, key = authority.issue("only", names=f"DNS:{HOST}")
    _, other = authority.issue("other", names=f"DNS:{HOST}")
    config = world.work / "server.toml"

    def check(text):
        config.write_text(text)
        return world.run("check", config)

    good = f"""[server]
https_listen = ":443"
hsts = "365d"
[certificates.app]
certificate = "{certificate.name}"
key = "{key.name}"
"""
    assert check(good).returncode == 0, check(good)
    assert "does not belong" in check(good.replace(key.name, other.name)).stderr
    assert "certificates.app needs both of its files" in check(good.replace(f'key = "{key.name}"', "")).stderr
    assert "needs a certificate" in check(good[:good.index("[certificates")]).stderr


def test_plain_http_at_the_port_is_told_in_plain_text(site):
    with HttpVisitor(address(site.https)) as visitor:
        answer = visitor.ask("GET", "/", HOST)
        assert answer.status == 400 and answer.fields["content-type"].startswith("text/plain")
        assert b"This port speaks HTTPS" in answer.body
        assert visitor.ended()


def test_slow_handshakes_are_cut(world, site, authority):
    begun = time.monotonic()
    silent, half = connect(address(site.https)), connect(address(site.https))
    half.sendall(bytes.fromhex("160301"))
    assert fetch(site, authority) == b"hello over tls", "others are not kept waiting"
    assert read_all(silent) == b""
    read_all(half)
    assert 8 < time.monotonic() - begun < 25
    silent.close()
    half.close()
    assert '"timed_out":2' in world.run("status", "--state", site.state, "--json").stdout.replace(" ", "")


@pytest.mark.parametrize("flag, version", [("--http1.1", b"HTTP/1.1 421 "), ("--http2", b"HTTP/2 421 ")])
def test_a_host_of_another_certificate_is_misdirected(site, authority, flag, version):
    said = fetch(site, authority, HOST, flag, "--header", f"Host: {OTHER}", "--include")
    assert said.startswith(version) and b"ferrotunnel-error: misdirected" in said.lower()


def test_mutual_tls_of_one_certificate(world, authority, nginx):
    nginx.file("hello.txt", b"hello over tls")
    guests = Authority(world.work, "guests")
    open_, guarded, guest = authority.issue("open", names=f"DNS:{OTHER}"), authority.issue("guarded", names=f"DNS:{HOST}"), guests.issue("guest")
    config = world.work / "server.toml"
    config.write_text(f"""[server]
https_listen = "127.0.0.1:0"
https_cert = "{open_[0]}"
https_key = "{open_[1]}"
[certificates.guarded]
certificate = "{guarded[0]}"
key = "{guarded[1]}"
client_ca = "{guests.file}"
""")
    server = world.server("--config", config)
    for host in (HOST, OTHER):
        world.http_tunnel(server, nginx.port, host)
    assert fetch(server, authority, OTHER) == b"hello over tls"
    assert fetch(server, authority, HOST, "--cert", guest[0], "--key", guest[1]) == b"hello over tls"
    with pytest.raises(AssertionError):
        fetch(server, authority, HOST)
    # Nor by way of a connection that was let in for another name, or for none.
    assert b" 421 " in fetch(server, authority, OTHER, "--header", f"Host: {HOST}", "--include")
    ask = f"GET /hello.txt HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    said = s_client(server, None, "-ign_eof", input=ask)
    assert "421 Misdirected" in said.stdout and "hello over" not in said.stdout
    # Nor without TLS.
    plain = curl(f"http://{HOST}/hello.txt", server, "--include")
    assert plain.startswith(b"HTTP/1.1 308 ") and b"hello over" not in plain
    assert curl(f"http://{OTHER}/hello.txt", server) == b"hello over tls"


# --- what is done to requests


class SecureVisitor(HttpVisitor):
    """A HttpVisitor over TLS; `before` goes ahead of it."""

    def __init__(self, server, authority, host=HOST, before=b"", visitor=None):
        visitor = visitor or connect(address(server.https))
        visitor.sendall(before)
        self.socket = ssl.create_default_context(cafile=authority.file).wrap_socket(visitor, server_hostname=host)
        self.stream = self.socket.makefile("rb")


def test_requests_follow_each_other_on_a_connection(site, authority):
    with SecureVisitor(site, authority) as visitor:
        for _ in range(20):
            assert visitor.ask("GET", "/hello.txt", HOST).body == b"hello over tls"
        # Two in one record.
        visitor.send(f"GET /hello.txt HTTP/1.1\r\nHost: {HOST}\r\n\r\n" * 2)
        assert visitor.response().body == visitor.response().body == b"hello over tls"
        assert visitor.ask("GET", "/empty", HOST, "Connection: close").status == 204
        assert visitor.ended()


def test_web_sockets(world, site, authority):
    origin = origins.TcpOrigin(world, websocket.serve_echo)
    world.http_tunnel(site, origin.port, "ws.wild.test")
    with SecureVisitor(site, authority, "ws.wild.test") as visitor:
        client = websocket.Client(visitor, "ws.wild.test")
        assert client.receive() == (websocket.TEXT, b"welcome")
        for size in (0, 125, 65535, 65536):
            data = bytes(size)
            client.send(websocket.BINARY, data)
            assert client.receive() == (websocket.BINARY, data), size
        client.send(websocket.CLOSE, b"\x03\xe8")
        assert client.receive() == (websocket.CLOSE, b"\x03\xe8")
        assert visitor.ended()
    with SecureVisitor(site, authority, "ws.wild.test") as visitor:
        visitor.send("GET / HTTP/1.1\r\nHost: ws.wild.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                     "Sec-WebSocket-Version: 13\r\n\r\n".encode() + websocket.frame(websocket.TEXT, b"early", mask=True))
        assert visitor.response().status == 101
        assert websocket.read_frame(visitor.stream) == (websocket.TEXT, b"welcome")
        assert websocket.read_frame(visitor.stream) == (websocket.TEXT, b"early")
    origin.check()


def test_a_proxy_header_comes_before_tls(world, authority, nginx):
    certificate, key = authority.issue("only", names=f"DNS:{HOST}")
    server = world.server("--https-listen", "127.0.0.1:0", "--https-cert", certificate, "--https-key", key, "--trusted-proxies", "127.0.0.1")
    world.http_tunnel(server, nginx.port, HOST)
    with SecureVisitor(server, authority, before=b"PROXY TCP4 198.51.100.7 203.0.113.1 4660 443\r\n") as visitor:
        said = visitor.ask("GET", "/headers", HOST).body
        assert b"xff=198.51.100.7 " in said and b"xfp=https" in said
    with pytest.raises(OSError):
        SecureVisitor(server, authority)


def test_the_origin_hears_that_it_was_https(site, authority):
    assert b"xfp=https" in fetch(site, authority, path="/headers")
    assert b"xfp=http " in curl(f"http://{HOST}/headers", site)


def test_bodies_both_ways(site, authority, nginx, world):
    body = bytes(range(256)) * 20_000
    file = world.work / "body"
    file.write_bytes(body)
    fetch(site, authority, HOST, "--upload-file", file, path="/up.bin")
    assert (nginx.root / "up.bin").read_bytes() == body
    for version in ("1.2", "1.3"):
        assert fetch(site, authority, HOST, "--tls-max", version, path="/up.bin") == body


def test_redirect_and_hsts(world, site, authority, nginx):
    config = world.work / "server.toml"
    config.write_text(f"""[server]
https_listen = "127.0.0.1:0"
certificates_dir = "{site.directory}"
https_redirect = true
hsts = "365d"
""")
    server = world.server("--config", config)
    world.http_tunnel(server, nginx.port, HOST)
    port = address(server.https)[1]
    with HttpVisitor(server.http_address) as visitor:
        for method in ("GET", "HEAD", "POST"):
            answer = visitor.ask(method, "/hello.txt?a=b", f"{HOST}:80")
            assert answer.status == 308
            assert answer.fields["location"] == f"https://{HOST}:{port}/hello.txt?a=b"
            assert "strict-transport-security" not in answer.fields
    # The real curl follows it; --connect-to leads both requests to their ports by the URL's.
    done = subprocess.run([program("curl"), "--silent", "--location", "--include", "--cacert", authority.file, "--noproxy", "*",
                           "--connect-to", f"{HOST}:80:{server.http}", "--connect-to", f"{HOST}:{port}:{server.https}", f"http://{HOST}/hello.txt"],
                          capture_output=True, timeout=60)
    assert done.stdout.count(b"HTTP/1.1 308") == 1 and done.stdout.endswith(b"hello over tls"), done
    assert b"strict-transport-security: max-age=31536000" in done.stdout.lower()


def test_who_shakes_hands_when_the_server_drains_is_served(world, site, authority):
    visitor = connect(address(site.https))
    until(lambda: '"waiting":1' in world.run("status", "--state", site.state, "--json").stdout.replace(" ", ""), "the visitor is taken")
    site.signal(signal.SIGTERM)
    with SecureVisitor(site, authority, visitor=visitor) as secure:
        answer = secure.ask("GET", "/hello.txt", HOST)
        assert answer.status == 200 and answer.body == b"hello over tls"
        assert answer.fields["connection"] == "close"
        assert secure.ended()
    assert site.wait_exit() == 0


# --- reloads


@pytest.mark.parametrize("how", ["command", "hangup", "watch"])
def test_a_reload_under_load_fails_no_request(world, authority, nginx, how):
    nginx.file("hello.txt", b"hello over tls")
    directory = world.work / "certs"
    directory.mkdir()
    put(authority, directory, "app", names=f"DNS:{HOST}")
    config = world.work / "server.toml"
    config.write_text(f"""[server]
https_listen = "127.0.0.1:0"
certificates_dir = "certs"
watch = {"true" if how == "watch" else "false"}
""")
    server = world.server("--config", config)
    world.http_tunnel(server, nginx.port, HOST)
    context = ssl.create_default_context(cafile=authority.file)
    over, problems, asked = threading.Event(), [], [0]

    def visit(keeps):
        request = f"GET /hello.txt HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        visitor = None
        try:
            while not over.is_set():
                if visitor is None or not keeps:
                    visitor = context.wrap_socket(connect(address(server.https)), server_hostname=HOST)
                visitor.sendall(request)
                said = b""
                while not said.endswith(b"hello over tls"):
                    piece = visitor.recv(65536)
                    assert piece, said
                    said += piece
                asked[0] += 1
                if not keeps:
                    visitor.close()
        except Exception as error:  # it is told at the end, by the thread of the test
            problems.append(error)
        finally:
            if visitor:
                visitor.close()

    visitors = [threading.Thread(target=visit, args=(keeps,)) for keeps in (True, False, False)]
    for visitor in visitors:
        visitor.start()

    def serial():
        return openssl("x509", "-noout", "-serial", input=s_client(server, HOST).stdout).stdout

    try:
        for _ in range(3):
            before, count = serial(), asked[0]
            put(authority, directory, "app", names=f"DNS:{HOST}")
            if how == "command":
                assert world.run("reload", "--state", server.state).returncode == 0
            elif how == "hangup":
                server.signal(signal.SIGHUP)
            until(lambda: serial() != before, "the new certificate is shown")
            until(lambda: asked[0] > count + 10 or problems, "visitors go on")
    finally:
        over.set()
        for visitor in visitors:
            visitor.join(60)
    assert not problems, problems
    assert not server.events("error"), server.story()
