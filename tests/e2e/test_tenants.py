"""Two grants of one server that do not trust each other: a host stays whose it is, whatever the other asks for and whenever it asks."""
# ctest: timeout=120
import signal

import pytest

from certificates import Authority
from origins import HttpOrigin
from processes import until
from visitors import HttpVisitor, curl

SECRETS = {"a": "0123456789abcdef-a", "b": "0123456789abcdef-b"}
HOST = "v.test"
PARTS = {"all": "", "path": 'paths = ["/login"]', "method": 'methods = ["POST"]', "header": 'headers = ["Cookie"]'}


class Tenants:
    def __init__(self, world, *flags, lease="60s"):
        self.world = world
        config = world.work / "server.toml"
        config.write_text(f'[server]\ntls = false\nhost_lease = "{lease}"\n' + "".join(f'[grants.{name}]\nsecret = "{secret}"\n' for name, secret in SECRETS.items()))
        config.chmod(0o600)
        self.server = world.server("--config", config, *flags)

    def client(self, grant, tunnels):
        """A client of this grant with these tunnels: name, and what is in its table."""
        config = self.world.work / f"{self.world.name('config')}.toml"
        config.write_text(f'[client]\nserver = "{self.server.listen}"\ngrant = "{grant}"\ntoken = "{SECRETS[grant]}"\ntls = false\n' + "".join(
            f"[tunnels.{name}]\n{text}\n" for name, text in tunnels.items()))
        config.chmod(0o600)
        return self.world.client("client", "--config", config)

    def own(self, origin):
        client = self.client("a", {"web": table(origin)})
        client.wait_event("tunnel_up")
        return client

    def refused(self, origin, why):
        """The other grant asks for the host and for each part of it, and gets nothing."""
        stranger = self.client("b", {name: table(origin, more) for name, more in PARTS.items()})
        for name in PARTS:
            assert why in stranger.wait_event("tunnel_rejected", name=name)["message"]
        assert not stranger.events("tunnel_up")
        return stranger

    def status(self):
        with HttpVisitor(self.server.http_address) as visitor:
            return visitor.ask("GET", "/login", HOST).status


def table(origin, more=""):
    return f'to = "http://127.0.0.1:{origin.port}"\nurl = "http://{HOST}"\n{more}'


def origin_of(world, name):
    def respond(line, fields, stream, connection):
        if line.startswith("POST"):
            stream.read(int(fields.get("content-length", 0)))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(name), name.encode()))
        return True

    return HttpOrigin(world, respond)


@pytest.fixture
def ann(world):
    return origin_of(world, "ann")


@pytest.fixture
def eve(world):
    return origin_of(world, "eve")


def test_no_part_of_a_host_is_another_grants(world, ann, eve):
    tenants = Tenants(world)
    owner = tenants.own(ann)
    tenants.refused(eve, "v.test is in use by another client").stop()
    assert tenants.status() == 200
    owner.kill()
    until(lambda: tenants.status() == 503, "the server knows that the client is gone")
    tenants.refused(eve, "v.test is kept for another client, which lost its connection")
    tenants.own(ann)
    assert tenants.status() == 200
    assert not eve.requests


def test_a_client_that_is_restarted_has_its_host_again(world, ann, eve):
    """While it drains, and after it has ended, with somebody who waits for it."""
    tenants = Tenants(world)
    owner = tenants.own(ann)
    with HttpVisitor(tenants.server.http_address) as visitor:
        visitor.send(f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 8\r\n\r\nhalf")
        until(lambda: ann.requests, "the request is under way")
        owner.signal(signal.SIGTERM)
        until(lambda: tenants.status() == 503, "it drains")
        tenants.refused(eve, "v.test is in use by another client")
        visitor.send("half")
        assert visitor.response().body == b"ann"
    assert owner.wait_exit() == 0
    until(lambda: tenants.status() == 404, "it has left")
    tenants.refused(eve, "v.test is kept for another client, which left")
    tenants.own(ann)
    assert tenants.status() == 200
    assert not eve.requests


def test_what_was_left_is_free_when_the_lease_is_over(world, ann, eve):
    tenants = Tenants(world, lease="5s")
    tenants.own(ann).stop()
    stranger = tenants.refused(eve, "v.test is kept for another client, which left")
    stranger.wait_event("tunnel_up")
    until(lambda: tenants.status() == 200, "the next one serves it")
    assert eve.requests


def test_whose_certificates_a_host_asks_for_is_its_owners(world, ann, eve):
    site, guests, strangers = (Authority(world.work, name) for name in ("site-ca", "guests-ca", "strangers-ca"))
    certificate, key = site.issue("site", names=f"DNS:{HOST}")
    tenants = Tenants(world, "--https-listen", "127.0.0.1:0", "--https-cert", certificate, "--https-key", key)
    owner = tenants.client("a", {"web": table(ann, f'client_ca = "{guests.file}"')})
    owner.wait_event("tunnel_up")
    issued = guests.issue("guest")

    def fetch():
        return curl(f"https://{HOST}/", tenants.server, "--cacert", site.file, "--cert", issued[0], "--key", issued[1])

    assert fetch() == b"ann"
    stranger = tenants.client("b", {"web": table(eve, f'paths = ["/x"]\nclient_ca = "{strangers.file}"')})
    assert "in use by another client" in stranger.wait_event("tunnel_rejected")["message"]
    assert fetch() == b"ann"
