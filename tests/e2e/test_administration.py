"""Looking after a server: token new, list, revoke; status; kick; and who fails to sign in."""
import json
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from processes import address, until
from visitors import connect, curl, read_exactly


def run(world, server, *words):
    done = world.run(*words, "--state", server.state)
    assert done.returncode == 0, done.stderr
    return done.stdout


def echoes(port):
    with connect(("127.0.0.1", port)) as visitor:
        visitor.sendall(b"ping")
        return read_exactly(visitor, 4) == b"ping"


def test_a_token_with_rights_of_its_own_from_birth_to_revocation(world, echo, nginx):
    nginx.file("a.txt", b"a")
    server = world.server()
    token = run(world, server, "token", "new", "--name", "laptop", "--hosts", "*.dev.test,app.test", "--ports", "none", "--expires", "1d")
    client = world.client("client", "--http", f"a={nginx.port},host=app.test", "--http", f"b={nginx.port},host=other.test", "--tcp",
                          f"t={echo.port}", "--no-save", join=token.strip())
    client.wait_event("tunnel_up", name="a")
    assert "is outside the hosts of grant laptop (*.dev.test, app.test)" in client.wait_event("tunnel_rejected", name="b")["message"]
    assert "no ports" in client.wait_event("tunnel_rejected", name="t")["message"]
    assert curl("http://app.test/a.txt", server) == b"a"
    listed = {line["name"]: line for line in map(json.loads, run(world, server, "token", "list", "--json").splitlines())}
    assert listed["laptop"]["hosts"] == "*.dev.test,app.test" and listed["laptop"]["ports"] == "none"
    assert set(listed) == {"default", "laptop"}
    assert run(world, server, "token", "list").splitlines()[0].split() == ["GRANT", "HOSTS", "PORTS", "EXPIRES"]

    assert run(world, server, "token", "revoke", "laptop") == ""
    assert b"404" in curl("http://app.test/a.txt", server, "-i").splitlines()[0]
    assert client.wait_exit() == 3, "refused by the server, for good"
    assert "the token was revoked" in client.stderr()
    world.processes.remove(client)
    again = world.run("token", "revoke", "laptop", "--state", server.state)
    assert again.returncode == 2 and "no grant named laptop" in again.stderr


def test_status_and_kick(world, echo):
    server = world.server()
    client = world.tcp_tunnel(server, echo.port)
    status = json.loads(run(world, server, "status", "--json"))
    (session,) = status["sessions"]
    assert session["grant"] == "default" and session["up_s"] >= 0
    assert [t["visitors_now"] for t in status["tunnels"]] == [0]
    with connect(client.public) as visitor:
        visitor.sendall(b"x")
        assert read_exactly(visitor, 1) == b"x"
        table = run(world, server, "status")
        assert session["id"] in table
        head, row = (re.split(" {2,}", line) for line in table.splitlines() if line.startswith(("CLIENT", session["id"] + " ")))
        assert [row[head.index(name)] for name in ("LINKS", "STREAMS", "DIRECT")] == ["1", "1", "0+0"], table
        assert json.loads(run(world, server, "status", "--json"))["tunnels"][0]["visitors_now"] == 1
        assert run(world, server, "kick", session["id"]) == "1 session ended\n"
        with pytest.raises(ConnectionResetError):
            visitor.recv(1)
    client.wait_event("tunnel_up", after=1)
    assert echoes(client.public[1]), "it has its port again"
    server.stop()
    gone = world.run("status", "--state", server.state)
    assert gone.returncode == 1 and "no server of this user runs" in gone.stderr


def test_drain_lets_visitors_finish_and_waits_for_the_end(world, echo):
    """Asked for twice it is the same drain, not the second signal that stops at once."""
    server = world.server("--drain-timeout", "300")
    client = world.tcp_tunnel(server, echo.port)
    with connect(client.public) as visitor, ThreadPoolExecutor(2) as threads:
        visitor.sendall(b"x")
        assert read_exactly(visitor, 1) == b"x"
        asked = [threads.submit(world.run, "drain", "--state", server.state) for _ in range(2)]
        server.wait_event("stopping")
        until(lambda: json.loads(run(world, server, "status", "--json"))["draining"], "it drains")
        visitor.sendall(b"y")
        assert read_exactly(visitor, 1) == b"y"
        assert not any(one.done() for one in asked)
        visitor.close()
        for one in asked:
            assert (one.result().returncode, one.result().stdout) == (0, "the server has ended\n")
    assert server.wait_exit() == 0
    assert server.events("stopped")[-1]["finished"] is True
    world.processes.remove(server)
    gone = world.run("drain", "--state", server.state)
    assert gone.returncode == 1 and "no server of this user runs" in gone.stderr


def test_drain_with_a_patience_of_its_own(world, echo):
    server = world.server("--drain-timeout", "300")
    client = world.tcp_tunnel(server, echo.port)
    bad = world.run("drain", "--drain-timeout", "soon", "--state", server.state)
    assert bad.returncode == 2 and "--drain-timeout: 'soon' is not a number of seconds" in bad.stderr
    with connect(client.public) as visitor:
        visitor.sendall(b"x")
        assert read_exactly(visitor, 1) == b"x"
        assert run(world, server, "drain", "--drain-timeout", "0.5") == "the server has ended\n"
        with pytest.raises(ConnectionResetError):
            visitor.recv(1)
    assert server.wait_exit() == 0
    assert server.events("stopped")[-1]["finished"] is False
    world.processes.remove(server)


def test_whoever_trickles_into_the_control_socket_keeps_no_server_from_ending(world):
    server = world.server("--drain-timeout", "1")
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as peer, ThreadPoolExecutor(1) as threads:
        peer.connect(str(server.state / "control.sock"))
        peer.sendall(b" ")

        def trickle():
            while not over.wait(1):
                try:
                    peer.sendall(b" ")
                except OSError:
                    return

        threads.submit(trickle)
        try:
            server.signal(signal.SIGTERM)
            assert server.wait_exit(20) == 0
        finally:
            over.set()
    world.processes.remove(server)


def test_an_address_that_fails_too_often_is_not_listened_to(world, echo):
    """Ten failures a minute for 127.0.0.2; others are heard all the while."""
    server = world.server("--tls", "off")
    to = address(server.listen)

    def answer(source, said):
        """What the server says: nothing when it does not listen; a failure is counted before the caller can see its end."""
        with socket.create_connection(to, 20, source_address=(source, 0)) as caller:
            try:
                caller.sendall(said)
                return caller.recv(16)
            except ConnectionError:
                return b""

    preface = b"FTUN\x01" + bytes(11)
    assert answer("127.0.0.2", preface)[:4] == b"FTUN"
    for _ in range(40):
        answer("127.0.0.2", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer("127.0.0.2", preface) == b""
    assert answer("127.0.0.3", preface)[:4] == b"FTUN"
    client = world.tcp_tunnel(server, echo.port)  # from 127.0.0.1
    assert echoes(client.public[1])
    until(lambda: json.loads(run(world, server, "status", "--json"))["sign_ins_throttled"] >= 30, "thirty are not listened to")
    said = [e for e in server.events("error") if "failed to sign in 10 times in a minute" in e["message"]]
    assert len(said) == 1, "once"
    assert "127.0.0.2" in said[0]["message"]


def test_silent_connections_are_gone_and_hold_up_nobody(world, echo):
    server = world.server()
    host, port = address(server.listen)
    silent = [socket.create_connection((host, port)) for _ in range(500)]
    try:
        began = time.monotonic()
        client = world.tcp_tunnel(server, echo.port)
        assert echoes(client.public[1])
        assert time.monotonic() - began < 20
        for one in silent:
            one.settimeout(20)
            assert one.recv(1) == b""
        assert time.monotonic() - began < 30
    finally:
        for one in silent:
            one.close()
