"""Visitors who show a certificate to a tunnel (mutual TLS per tunnel): curl and openssl against the real programs."""
import json
import socket
import ssl
import subprocess

import pytest

import origins
from certificates import Authority, openssl
from processes import PATIENCE, address, program
from visitors import curl

HOST, OTHER, THIRD = "staff.test", "open.test", "third.test"


@pytest.fixture
def authority(world):
    return Authority(world.work, "site-ca")


@pytest.fixture
def guests(world):
    return Authority(world.work, "guests-ca")


@pytest.fixture
def strangers(world):
    return Authority(world.work, "strangers-ca")


@pytest.fixture
def server(world, authority):
    certificate, key = authority.issue("site", names=f"DNS:{HOST},DNS:{OTHER},DNS:{THIRD}")
    config = world.work / "server.toml"
    config.write_text("[server]\nhttp2 = true\n")
    return world.server("--config", config, "--https-listen", "127.0.0.1:0", "--https-cert", certificate, "--https-key", key)


@pytest.fixture
def origin(world):
    """Answers with the head that it got."""

    def respond(line, fields, stream, connection):
        said = "\r\n".join(made.requests[-1]).encode("latin-1") + b"\r\n"
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
        return True

    made = origins.HttpOrigin(world, respond)
    return made


def fetch(server, authority, host, *flags, path="/"):
    return curl(f"https://{host}{path}", server, "--cacert", authority.file, *flags).decode()


def fails(server, authority, host, *flags):
    """Whether there is no connection at all."""
    name, port = address(server.https)
    done = subprocess.run([program("curl"), "-sS", "--max-time", str(int(PATIENCE)), "--noproxy", "*", "--cacert", authority.file, "--connect-to",
                           f"::{name}:{port}", *map(str, flags), f"https://{host}/"], capture_output=True, text=True)
    assert "HTTP" not in done.stdout
    return done.returncode != 0


def pair(issued):
    return ["--cert", issued[0], "--key", issued[1]]


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_tunnel_asks_for_certificates(world, server, authority, guests, strangers, origin, version):
    ann, eve = guests.issue("ann"), strangers.issue("eve")
    world.http_tunnel(server, origin.port, HOST, "--client-ca", guests.file)
    world.http_tunnel(server, origin.port, OTHER, "--name", "open")
    told = fetch(server, authority, HOST, version, *pair(ann))
    digest = openssl("x509", "-in", ann[0], "-noout", "-fingerprint", "-sha256").stdout.split("=")[1].strip().replace(":", "").lower()
    assert f'X-Forwarded-Client-Cert: Hash={digest};Subject="CN=ann"\r\n' in told, told
    # Not without one, nor with somebody else's, nor without TLS.
    assert fails(server, authority, HOST, version)
    assert fails(server, authority, HOST, version, *pair(eve))
    assert curl(f"http://{HOST}/", server, "-i").startswith(b"HTTP/1.1 308 ")
    # Who asks for another name is not asked, and cannot say that he was.
    told = fetch(server, authority, OTHER, version, "-H", "X-Forwarded-Client-Cert: Hash=00")
    assert "Client-Cert" not in told, told
    # Nor is a service told of certificates that another tunnel's authority has signed: it signs what it likes.
    told = fetch(server, authority, HOST, version, "-H", f"Host: {OTHER}", *pair(ann))
    assert f"X-Forwarded-Host: {OTHER}" in told and "Client-Cert" not in told, told
    assert " 421" in fetch(server, authority, OTHER, version, "-H", f"Host: {HOST}", "-i").splitlines()[0]
    assert " 421" in fetch(server, authority, OTHER, version, "-H", f"Host: {HOST}", "-i", *pair(ann)).splitlines()[0]


@pytest.mark.parametrize("who", ["without one", "of another authority"])
def test_who_is_refused_is_told_why(world, server, authority, guests, strangers, origin, who):
    """Also a visitor whose request is on its way behind his handshake: no RST overtakes the alert."""
    world.http_tunnel(server, origin.port, HOST, "--client-ca", guests.file)
    context = ssl.create_default_context(cafile=authority.file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2", "http/1.1"])
    if who == "of another authority":
        context.load_cert_chain(*strangers.issue("eve"))
    for _ in range(20):
        with socket.create_connection(address(server.https), PATIENCE) as raw, context.wrap_socket(raw, server_hostname=HOST) as visitor:
            visitor.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            with pytest.raises(ssl.SSLError) as told:
                # More of it, until the end is met.
                for _ in range(100):
                    visitor.sendall(bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + bytes(8))
                visitor.recv(1)
            assert told.value.reason in ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA"), told.value
    refused = json.loads(world.run("status", "--state", server.state, "--json").stdout)["visitor_tls"]["failed"]
    assert refused >= 20


def test_sessions_are_of_one_authority(world, server, authority, guests, strangers, origin):
    ann, eve = guests.issue("ann"), strangers.issue("eve")
    world.http_tunnel(server, origin.port, HOST, "--client-ca", guests.file)
    world.http_tunnel(server, origin.port, THIRD, "--client-ca", strangers.file, "--name", "third")
    world.http_tunnel(server, origin.port, OTHER, "--name", "open")
    session = world.work / "session"

    def s_client(host, *flags, version="-tls1_3"):
        ask = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        return openssl("s_client", "-connect", server.https, "-servername", host, "-CAfile", authority.file, "-ign_eof", version, *flags, input=ask).stdout

    for version in ("-tls1_3", "-tls1_2"):
        said = s_client(HOST, "-cert", ann[0], "-key", ann[1], "-sess_out", session, version=version)
        assert "200 OK" in said and "CN=ann" in said, said
        # The same place takes it up again, and knows him still.
        said = s_client(HOST, "-sess_in", session, version=version)
        assert "Reused, TLS" in said and "200 OK" in said and "CN=ann" in said, said
        # Another does not: neither one with another authority, nor the way around, from a place that asks for none.
        said = s_client(THIRD, "-sess_in", session, version=version)
        assert "Reused, TLS" not in said and "200 OK" not in said, said
        said = s_client(OTHER, "-sess_out", session, version=version)
        assert "200 OK" in said, said
        said = s_client(HOST, "-sess_in", session, version=version)
        assert "Reused, TLS" not in said and "200 OK" not in said, said
    assert "CN=eve" in fetch(server, authority, THIRD, *pair(eve))


def test_a_part_of_a_host(world, server, authority, guests, origin):
    ann = guests.issue("ann")
    world.http_tunnel(server, origin.port, HOST)
    world.http_tunnel(server, origin.port, HOST, "--path", "/staff", "--client-ca", guests.file, "--name", "staff")
    assert "GET / " in fetch(server, authority, HOST)
    refused = fetch(server, authority, HOST, "-i", path="/staff")
    assert " 403" in refused.splitlines()[0] and "certificate-required" in refused, refused
    assert "CN=ann" in fetch(server, authority, HOST, *pair(ann), path="/staff")
    assert "CN=ann" not in fetch(server, authority, HOST, *pair(ann))


def test_what_cannot_be(world, server, guests, origin):
    plain = world.server()
    client = world.client("http", origin.port, "--host", HOST, "--client-ca", guests.file, join=plain)
    assert "https_listen" in str(client.wait_event("tunnel_rejected"))
    file = world.work / "nothing.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for given, says in ((file, "cannot be read"), (world.work / "none.pem", "cannot be read")):
        done = world.run("http", origin.port, "--host", HOST, "--client-ca", given, "--join", server.join)
        assert done.returncode != 0 and says in done.stdout + done.stderr and str(given) in done.stdout + done.stderr, done
