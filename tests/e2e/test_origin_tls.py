"""Local services over TLS: a real nginx with certificates of the real openssl behind the real programs, and what is said when one cannot be trusted."""
import hashlib
import os
import socket
import ssl
import threading

import pytest

import origins
from certificates import Authority
from processes import PATIENCE, until
from visitors import HttpVisitor, connect, curl, read_all, read_exactly

HOST = "app.example.com"


class SecureNginx(origins.Nginx):
    """A nginx that speaks HTTPS with this certificate, and says of each request whether its connection resumed a session."""

    def __init__(self, world, certificate, listen="ssl", more=""):
        cert, key = certificate
        self.CONFIG = origins.Nginx.CONFIG.replace("listen {listen};", f"listen {{listen}} {listen};\n    ssl_certificate {cert};\n    ssl_certificate_key {key};\n"
                                                   f"    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache none; ssl_session_tickets on; {more}").replace(
            "location = /empty", "location = /tls {{ default_type text/plain; return 200 "
            "\"$ssl_protocol reused=$ssl_session_reused name=$ssl_server_name alpn=$ssl_alpn_protocol client=$ssl_client_verify from=$proxy_protocol_addr\"; }}\n    location = /empty")
        super().__init__(world)


@pytest.fixture
def authority(world):
    return Authority(world.work, "ca")


@pytest.fixture
def server(world):
    return world.server()


@pytest.fixture
def secure(world, authority):
    return SecureNginx(world, authority.issue("localhost"))


def ask(server, path="/tls", **more):
    with HttpVisitor(server.http_address) as visitor:
        return visitor.ask("GET", path, HOST, **more)


def words_of(answer):
    return dict(word.split("=") for word in answer.body.decode().split()[1:])


def refused(server, client, *words, count=0):
    """The visitor reads 502 and the reason, and the person at the client what to do."""
    answer = ask(server)
    assert (answer.status, answer.fields["ferrotunnel-error"], answer.fields["ferrotunnel-side"]) == (502, "origin-tls", "origin"), answer.body
    error = client.wait_event("error", after=count, side="origin")
    assert error["code"] == "tls", error
    for word in words:
        assert word in error["message"], error["message"]
    return error["message"]


def test_a_service_over_https(world, server, secure, authority):
    client = world.http_tunnel(server, f"https://localhost:{secure.port}", HOST, "--origin-tls-ca", authority.file)
    assert client.up["to"] == f"https://127.0.0.1:{secure.port}"
    first = ask(server)
    assert first.body.startswith(b"TLSv1.3 "), first.body
    assert words_of(first) == {"reused": ".", "name": "localhost", "alpn": "http/1.1", "client": "NONE", "from": ""}
    content = os.urandom(3_000_000)
    secure.file("large.bin", content)
    assert hashlib.sha256(curl(f"http://{HOST}/large.bin", server)).digest() == hashlib.sha256(content).digest()
    upload = world.work / "upload"
    upload.write_bytes(content)
    curl(f"http://{HOST}/put.bin", server, "-T", upload)
    assert (secure.root / "put.bin").read_bytes() == content


def test_connections_are_warm_and_new_ones_resume(world, server, secure, authority):
    world.http_tunnel(server, f"https://localhost:{secure.port}", HOST, "--origin-tls-ca", authority.file)
    with HttpVisitor(server.http_address) as visitor:
        for _ in range(20):
            assert visitor.ask("GET", "/tls", HOST).status == 200
        # Meanwhile others have connections of their own.
        others = [HttpVisitor(server.http_address) for _ in range(8)]
        for other in others:
            other.request("GET", "/tls", HOST)
        answers = [other.response() for other in others]
    assert {answer.status for answer in answers} == {200}
    for other in others:
        other.close()
    log = until(lambda: (secure.work / "access.log").read_text(), "nginx wrote its log")
    assert len({line.split()[0] for line in log.splitlines()[:20]}) == 1, "one connection carried them all"
    # A connection that ends makes room for another: it resumes.
    with HttpVisitor(server.http_address) as visitor:
        reused = [words_of(visitor.ask("GET", "/tls", HOST))["reused"] for _ in range(3)]
    assert set(reused) <= {".", "r"}


def test_a_new_connection_resumes_the_session(world, server, authority):
    nginx = SecureNginx(world, authority.issue("localhost"), more="keepalive_timeout 0;")
    world.http_tunnel(server, f"https://localhost:{nginx.port}", HOST, "--origin-tls-ca", authority.file)
    # Each request is a connection. Clients have two threads here, with sessions in common.
    until(lambda: words_of(ask(server))["reused"] == "r", "a session is resumed")


def test_what_is_not_trusted(world, server, secure):
    client = world.http_tunnel(server, f"https://localhost:{secure.port}", HOST)
    said = refused(server, client, f"https://127.0.0.1:{secure.port}", "not trusted", "origin_tls_ca", "origin_tls_skip_verify", "that is mended")
    assert "is it started" not in said
    client.stop()
    client = world.http_tunnel(server, f"https://localhost:{secure.port}", HOST, "--origin-tls-skip-verify")
    assert ask(server).status == 200
    assert not client.events("error")


def test_another_name(world, server, authority):
    nginx = SecureNginx(world, authority.issue("other", names="DNS:app.internal,DNS:*.example.org"))
    client = world.http_tunnel(server, f"https://localhost:{nginx.port}", HOST, "--origin-tls-ca", authority.file)
    refused(server, client, "not for localhost", "app.internal, *.example.org", "origin_tls_server_name")
    client.stop()
    world.http_tunnel(server, f"https://localhost:{nginx.port}", HOST, "--origin-tls-ca", authority.file, "--origin-tls-server-name", "app.internal")
    assert words_of(ask(server))["name"] == "app.internal"


def test_services_that_do_not_speak_tls(world, server, nginx, echo):
    client = world.http_tunnel(server, f"https://localhost:{nginx.port}", HOST, "--origin-tls-skip-verify")
    refused(server, client, "does not speak TLS", "http://")
    client.stop()
    closing = origins.TcpOrigin(world, lambda connection: connection.recv(1))
    client = world.http_tunnel(server, f"https://localhost:{closing.port}", HOST, "--origin-tls-skip-verify")
    refused(server, client, "closed the connection during the TLS handshake")
    client.stop()
    silent = origins.TcpOrigin(world, lambda connection: [data for data in iter(lambda: connection.recv(65536), b"")])
    client = world.http_tunnel(server, f"https://localhost:{silent.port}", HOST, "--origin-timeout", "0.5")
    answer = ask(server)
    assert (answer.status, answer.fields["ferrotunnel-error"]) == (504, "origin-timeout")
    assert "TLS handshake" in client.wait_event("error", side="origin")["message"]


def test_nobody_there(world, server):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        client = world.http_tunnel(server, f"https://127.0.0.1:{closed.getsockname()[1]}", HOST)
        assert ask(server).fields["ferrotunnel-error"] == "origin-refused"
        assert "is it started" in client.wait_event("error", side="origin")["message"]


def test_a_service_that_asks_for_a_certificate(world, server, authority):
    nginx = SecureNginx(world, authority.issue("localhost"), more=f"ssl_client_certificate {authority.file}; ssl_verify_client on;")
    cert, key = authority.issue("me", names="DNS:me")
    flags = ["--origin-tls-ca", authority.file]
    client = world.http_tunnel(server, f"https://localhost:{nginx.port}", HOST, *flags)
    assert ask(server).status == 400  # nginx's own page: it takes the connection
    client.stop()
    world.http_tunnel(server, f"https://localhost:{nginx.port}", HOST, *flags, "--origin-tls-cert", cert, "--origin-tls-key", key)
    assert words_of(ask(server))["client"] == "SUCCESS"


def test_python_refuses_who_shows_none(world, server, authority):
    """In TLS 1.3 it says so behind the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost"))
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED

    def talk(connection):
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)

    origin = origins.TcpOrigin(world, talk)
    client = world.http_tunnel(server, f"https://localhost:{origin.port}", HOST, "--origin-tls-ca", authority.file)
    assert ask(server).status == 502
    assert "certificate" in client.wait_event("error", side="origin", code="tls")["message"]


@pytest.mark.parametrize("carry", ["mux", "direct"])
def test_a_tcp_tunnel_to_a_service_over_tls(world, server, authority, carry):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost"))
    greeted = []

    def talk(connection):
        with context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as secure:
            greeted.append(secure.selected_alpn_protocol())
            secure.sendall(b"* ready\r\n")
            digest = hashlib.sha256()
            size = 0
            while size < 2_000_000:
                data = secure.recv(65536)
                digest.update(data)
                size += len(data)
            secure.sendall(digest.hexdigest().encode())
            secure.unwrap().close()

    origin = origins.TcpOrigin(world, talk)
    client = world.tcp_tunnel(server, f"tls://localhost:{origin.port}", "--origin-tls-ca", authority.file, "--carry", carry)
    content = os.urandom(2_000_000)
    for _ in range(3):
        visitor = connect(client.public)
        assert read_exactly(visitor, 9) == b"* ready\r\n"  # it speaks first
        threading.Thread(target=visitor.sendall, args=(content,)).start()
        assert read_all(visitor).decode() == hashlib.sha256(content).hexdigest()
        visitor.close()
    assert greeted == [None] * 3
    origin.check()


def test_the_visitors_address_goes_before_tls(world, server, authority):
    nginx = SecureNginx(world, authority.issue("localhost"), listen="ssl proxy_protocol")
    client = world.tcp_tunnel(server, f"tls://localhost:{nginx.port}", "--origin-tls-ca", authority.file, "--proxy-protocol", "v2")
    visitor = connect(client.public)
    visitor.sendall(b"GET /tls HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"from=127.0.0.1" in read_all(visitor)


# --- files

def write_config(world, server, body):
    path = world.work / "client.toml"
    path.write_text(f"[client]\ntoken = {{ file = \"{world.work}/token\" }}\ncontrol_socket = \"{world.work}/control\"\n{body}")
    token = world.work / "token"
    token.write_text(server.join)
    token.chmod(0o600)
    return path


def test_a_reload_changes_it_for_new_connections(world, server, secure, authority):
    tunnel = f"[tunnels.web]\nto = \"https://localhost:{secure.port}\"\nurl = \"http://{HOST}\"\n"
    file = write_config(world, server, tunnel)
    client = world.client("client", "--config", file)
    client.wait_event("tunnel_up")
    refused(server, client, "not trusted")
    write_config(world, server, tunnel + "origin_tls_ca = \"ca.pem\"\n")  # beside the file
    assert world.run("reload", "--socket", world.work / "control").returncode == 0
    with HttpVisitor(server.http_address) as visitor:
        assert visitor.ask("GET", "/tls", HOST).status == 200
        # And back: the warm connection is not used any more.
        write_config(world, server, tunnel + "origin_tls_ca = \"ca.pem\"\norigin_tls_server_name = \"other.internal\"\n")
        assert world.run("reload", "--socket", world.work / "control").returncode == 0
        until(lambda: visitor.ask("GET", "/tls", HOST).status == 502, "the new name is asked for")
        write_config(world, server, tunnel + "origin_tls_ca = \"nowhere.pem\"\n")
        done = world.run("reload", "--socket", world.work / "control")
        assert done.returncode != 0
        assert "nowhere.pem" in done.stderr + client.stdout().decode()
        write_config(world, server, tunnel + "origin_tls_skip_verify = true\n")
        assert world.run("reload", "--socket", world.work / "control").returncode == 0
        until(lambda: visitor.ask("GET", "/tls", HOST).status == 200, "anything is believed")


def test_mistakes(world, server, authority):
    (world.work / "c.pem").write_text(authority.file.read_text())
    tunnel = "[tunnels.web]\nto = \"{}\"\nurl = \"http://app.example.com\"\n{}\n"
    for to, key, said in (
            ("http://localhost:1", "origin_tls_ca = \"ca.pem\"", "origin_tls_ca: the tunnel web says how its service is verified over TLS"),
            ("https://localhost:1", "origin_tls_ca = \"nowhere.pem\"", "nowhere.pem"),
            ("https://localhost:1", "origin_tls_cert = \"c.pem\"", "give both"),
            ("https://localhost:1", "origin_tls_ca = \"c.pem\"\norigin_tls_skip_verify = true", "leave one out"),
            ("https://localhost:1", "origin_tls_server_name = \"a b\"", "no name that a certificate could have"),
            ("tls://localhost:1", "", "h2s:// is asked for here")):
        done = world.run("check", write_config(world, server, tunnel.format(to, key)))
        assert done.returncode == 2, (to, key, done)
        assert said in done.stdout + done.stderr, (said, done)
