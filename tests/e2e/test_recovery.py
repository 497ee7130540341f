"""What comes back by itself: after kill -9 of either end, a restart of the server with 200 clients, a server that is not there yet."""
# ctest: timeout=300
import json
import signal
import socket
import time

import pytest

from origins import TcpOrigin
from processes import address, until
from visitors import HttpVisitor, connect, curl, read_exactly

CLIENTS = 200


def status(world, server):
    return json.loads(world.run("status", "--json", "--state", server.state).stdout)


def restart(world, server, *flags):
    """A new server at the same addresses with the same state."""
    return world.server(*flags, listen=server.listen, http=server.http, state=server.state)


def ping(port):
    with connect(("127.0.0.1", port)) as visitor:
        visitor.sendall(b"ping")
        return read_exactly(visitor, 4) == b"ping"


def test_the_client_comes_back_after_kill_9_of_the_server(world, echo, nginx):
    nginx.file("a.txt", b"a")
    server = world.server()
    client = world.client("client", "--tcp", f"t={echo.port}", "--http", f"w={nginx.port},host=app.test", join=server)
    port = client.wait_event("tunnel_up", name="t")["port"]
    client.wait_event("tunnel_up", name="w")
    assert ping(port)
    server.kill()
    client.wait_event("disconnected", retry=True)
    again = restart(world, server)
    assert again.join == server.join, "the token stays good"
    # The port that the server picked is asked for again, so that the address that was handed out stays good.
    assert client.wait_event("tunnel_up", name="t", after=1)["port"] == port
    client.wait_event("tunnel_up", name="w", after=1)
    assert ping(port)
    assert curl("http://app.test/a.txt", again) == b"a"
    assert not client.events("error", fatal=True)


def test_a_picked_port_that_another_program_took_is_given_up_for_another(world, echo):
    server = world.server()
    client = world.client("client", "--tcp", f"t={echo.port}", join=server)
    port = client.wait_event("tunnel_up", name="t")["port"]
    server.kill()
    client.wait_event("disconnected", retry=True)
    with socket.create_server(("127.0.0.1", port)):
        restart(world, server)
        # First it is asked for again, half a minute: who holds it may be there by chance, and the address was handed out.
        assert client.wait_event("tunnel_rejected", name="t")["code"] == "address-in-use"
        assert client.wait_event("tunnel_up", name="t", after=1, patience=60)["port"] != port
    assert ping(client.events("tunnel_up", name="t")[-1]["port"])


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"], ids=["a proxy", "a TLS alert"])
def test_a_client_that_was_up_is_not_ended_by_what_is_said_on_the_way(world, echo, answer):
    server = world.server()
    client = world.client("client", "--tcp", f"t={echo.port}", join=server)
    client.wait_event("tunnel_up")
    server.kill()
    client.wait_event("disconnected", retry=True)
    with socket.create_server(address(server.listen), reuse_port=True) as between:
        between.settimeout(20)
        caller, _ = between.accept()
        with caller:
            caller.settimeout(20)
            assert caller.recv(4096)
            caller.sendall(answer)
    client.wait_event("disconnected", retry=True, after=1)
    restart(world, server)
    assert ping(client.wait_event("tunnel_up", after=1)["port"])


def test_kill_9_of_the_client_leaves_its_host_to_its_grant(world, nginx):
    nginx.file("a.txt", b"a")
    server = world.server()
    first = world.http_tunnel(server, nginx.port, "app.test")
    first.wait_event("token_kept")
    assert curl("http://app.test/a.txt", server) == b"a"
    first.kill()
    server.wait_event("session_down")
    with HttpVisitor(server.http_address) as visitor:
        answer = visitor.ask("GET", "/a.txt", "app.test")
        assert answer.status == 503 and answer.fields["ferrotunnel-error"] == "client-away"
    # With the token that was kept: no flag names a server.
    second = world.client("http", nginx.port, "--host", "app.test")
    second.wait_event("tunnel_up")
    assert curl("http://app.test/a.txt", server) == b"a"
    assert not second.events("tunnel_rejected")


@pytest.mark.parametrize("killed", ["client", "server"])
@pytest.mark.parametrize("carry", ["mux", "direct"])
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_kill_9_is_no_end_for_anybody(world, killed, carry, tls):
    """A FIN says that all was sent: whoever reads until the end must not get one because a process between died."""
    ends = []

    def upload(connection):
        connection.sendall(b"ready")
        try:
            while connection.recv(65536):
                pass
            ends.append("FIN")
        except ConnectionResetError:
            ends.append("RST")

    origin = TcpOrigin(world, upload)
    server = world.server(*(() if tls else ("--tls", "off")))
    client = world.tcp_tunnel(server, origin.port, "--carry", carry)
    if carry == "direct":
        until(lambda: status(world, server)["sessions"][0]["direct_warm"] >= 1, "a warm direct link")
    with connect(client.public) as visitor:
        visitor.sendall(b"the beginning")
        assert read_exactly(visitor, 5) == b"ready"
        assert status(world, server)["sessions"][0]["direct"] == (1 if carry == "direct" else 0)
        {"client": client, "server": server}[killed].kill()
        with pytest.raises(ConnectionResetError):
            visitor.recv(1)
    until(lambda: ends, "the origin's connection is over")
    assert ends == ["RST"]


def test_a_session_that_hangs_does_not_hold_its_host_against_its_own_client(world, nginx):
    """SIGSTOP is a cable that was pulled: the server cannot know. The same grant asks again and is told to wait, then gets the host."""
    nginx.file("a.txt", b"a")
    server = world.server()
    first = world.http_tunnel(server, nginx.port, "app.test")
    first.signal(signal.SIGSTOP)
    try:
        second = world.client("http", nginx.port, "--host", "app.test", join=server)
        second.wait_event("tunnel_rejected")
        second.wait_event("tunnel_up", patience=90)
        assert curl("http://app.test/a.txt", server) == b"a"
    finally:
        first.signal(signal.SIGCONT)
        first.kill()


def test_two_clients_claim_the_same_host(world, nginx):
    nginx.file("a.txt", b"a")
    server = world.server()
    first = world.http_tunnel(server, nginx.port, "app.test")
    second = world.client("http", nginx.port, "--host", "app.test", join=server)
    told = second.wait_event("tunnel_rejected")
    assert "app.test" in told["message"] and told["code"] == "address-in-use"
    assert server.wait_event("tunnel_rejected")["name"] == "http"
    assert second.alive() and first.alive()
    assert curl("http://app.test/a.txt", server) == b"a", "the first one is served on"
    assert len(second.events("tunnel_rejected")) == 1
    first.stop()
    second.wait_event("tunnel_up")
    assert curl("http://app.test/a.txt", server) == b"a"


def test_a_server_that_is_not_there_yet(world, echo):
    """The client says so, keeps trying, and is there once the server is."""
    once = world.server()
    once.stop()
    client = world.client("tcp", echo.port, join=once)
    gone = client.wait_event("disconnected", retry=True)
    assert address(once.listen)[1] and gone["retry_in_ms"] >= 0
    assert str(address(once.listen)[1]) in gone["message"], "the message names the address"
    client.wait_event("connecting", attempt=lambda n: n and n >= 3)
    restart(world, once)
    assert ping(client.wait_event("tunnel_up")["port"])


def test_fail_fast_gives_up_at_once(world):
    once = world.server()
    once.stop()
    done = world.run("tcp", "1", "--join", once.join, "--fail-fast")
    assert done.returncode == 1
    assert done.stderr.startswith("ferrotunnel: ") and str(address(once.listen)[1]) in done.stderr


def test_a_restart_of_the_server_with_200_clients(world, echo):
    """One process with 200 clients of the library: what a server meets is the same as with 200 processes."""
    server = world.server("--log-level", "warn")
    clients = world.tool("many_clients", server.join, CLIENTS, f"127.0.0.1:{echo.port}")
    clients.wait_event("all_up", patience=90)
    ports = {event["client"]: event["port"] for event in clients.events("up")}
    assert len(ports) == len(set(ports.values())) == CLIENTS
    server.kill()
    until(lambda: len(clients.events("down")) == CLIENTS, "all of them notice")
    started = time.monotonic()
    again = restart(world, server, "--log-level", "warn")
    clients.wait_event("all_up", after=1, patience=90)
    took = time.monotonic() - started
    ups = clients.events("up")[CLIENTS:]
    assert {event["client"]: event["port"] for event in ups} == ports, "each has its port again"
    assert len(ups) == CLIENTS, "each came back once"
    for port in ports.values():
        assert ping(port)
    assert took < 60, f"{took:.1f} s until all of them were back"
    # An orderly restart, too.
    again.stop()
    restart(world, again, "--log-level", "warn")
    clients.wait_event("all_up", after=2, patience=90)
    assert all(ping(port) for port in list(ports.values())[:20])
