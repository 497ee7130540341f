"""Server and client that are short of descriptors (`ulimit -n`): who is served, who is turned away, and what is said."""
# ctest: serial
import socket
import time

import pytest

from processes import BINARY, Process, address, until
from test_limits import echoes, limit_descriptors, server_with, status
from visitors import HttpVisitor, connect


def visit(public, number=0):
    """A visitor, of one of many addresses, who has had his echo; None: he was turned away at once."""
    try:
        visitor = socket.create_connection(public, timeout=20, source_address=(f"127.0.7.{number % 16 + 1}", 0))
    except ConnectionResetError:
        return None
    visitor.settimeout(20)
    try:
        visitor.sendall(b"ping")
        answer = visitor.recv(4)
    except (ConnectionResetError, BrokenPipeError):
        answer = b""
    if answer:
        return visitor
    visitor.close()
    return None


def half_open(world, to, count):
    """Connections that say what a client says first, and no more."""
    crowd = []
    world.later(lambda: [one.close() for one in crowd])
    for _ in range(count):
        one = socket.create_connection(to, timeout=20)
        crowd.append(one)
        try:
            one.sendall(b"FTUN")
        except OSError:
            pass  # ended for another one
    return crowd


def errors_of(process, words):
    return [event for event in process.events("error") if words in event["message"]]


def test_direct_visitors_leave_room_for_clients_and_the_operator(world, echo):
    server = server_with(world, 256)
    clients = [world.tcp_tunnel(server, echo.port, "--carry", "direct") for _ in range(3)]
    until(lambda: all(one["direct_warm"] > 0 for one in status(world, server)["sessions"]), "each has a direct link that waits")
    served = []
    world.later(lambda: [visitor.close() for visitor in served])
    turned_away = 0
    for i in range(220):
        visitor = visit(clients[i % 3].public, i)
        served.append(visitor) if visitor else None
        turned_away += visitor is None
    now = status(world, server)  # the control socket answers
    lines = now["descriptors"]
    assert 0 < lines["now"]["data"] <= lines["data_line"] < lines["visitors_line"] < lines["clients_line"] < 256
    assert lines["now"]["visitors"] == len(served) and lines["limit"] == 256
    assert turned_away > 0 and now["refused"]["server_limit"] == turned_away == lines["refused"]["visitors"]
    # Not every visitor has a connection of his own any more: the rest went over the link.
    assert sum(one["direct"] for one in now["sessions"]) < len(served)
    assert sum(one["streams"] for one in now["sessions"]) > 0
    assert len(served) + lines["now"]["data"] >= lines["visitors_line"] - 20, "what there is is used"
    assert server.fds() < 256 and now["accepts_failed"] == 0
    late = world.tcp_tunnel(server, echo.port)  # a client signs in
    assert late.up["port"]
    said = errors_of(server, "descriptors run short")
    assert len(said) == 1 and said[0]["level"] == "warn", said
    assert "this process may have 256" in said[0]["message"] and "LimitNOFILE" in said[0]["message"]
    for visitor in served:
        visitor.close()
    until(lambda: echoes(late.public) and all(echoes(client.public) for client in clients), "all is well again")


def test_one_grant_leaves_another_the_last_of_the_clients_descriptors(world, echo):
    secrets = {"a": "0123456789abcdef-a", "b": "0123456789abcdef-b"}
    config = world.work / "server.toml"
    config.write_text('[server]\ntls = false\nthreads = 1\n' + "".join(f'[grants.{name}]\nsecret = "{secret}"\n' for name, secret in secrets.items()))
    config.chmod(0o600)
    server = server_with(world, 256, "--config", config)

    def client(grant, tunnels):
        mine = world.work / f"{world.name('config')}.toml"
        mine.write_text(f'[client]\nserver = "{server.listen}"\ngrant = "{grant}"\ntoken = "{secrets[grant]}"\ntls = false\n' + "".join(
            f'[tunnels.t{i}]\nto = "tcp://127.0.0.1:{echo.port}"\n' for i in range(tunnels)))
        mine.chmod(0o600)
        return world.client("client", "--config", mine)

    greedy = client("b", 250)
    said = greedy.wait_event("tunnel_rejected")["message"]
    assert "or none for the grant b, which has its share of them" in said
    until(lambda: len(greedy.events("tunnel_up")) + len({event["name"] for event in greedy.events("tunnel_rejected")}) == 250, "each is told")
    now = status(world, server)["descriptors"]
    line = now["clients_line"]
    assert line // 2 < now["now"]["ports"] <= line - line // 4 and now["refused_share"] > 0
    others = client("a", 5)
    until(lambda: len(others.events("tunnel_up")) == 5, "another grant has what is left")
    assert not others.events("tunnel_rejected")


def test_half_open_sign_ins_leave_descriptors_for_everybody(world, echo):
    server = server_with(world, 1024)
    client = world.tcp_tunnel(server, echo.port)
    before = server.fds()
    half_open(world, address(server.listen), 1100)
    now = until(lambda: (lambda s: s if s["handshakes_crowded_out_address"] >= 1000 else None)(status(world, server)),
                "they push each other out")
    # A quarter of all descriptors for all, and of that a quarter for one address; each thread has a part.
    assert now["handshakes_waiting"] <= 64
    assert server.fds() <= before + 64 + 8
    assert echoes(client.public)
    began = time.monotonic()
    assert world.tcp_tunnel(server, echo.port).up["port"]
    assert time.monotonic() - began < 4, "within the deadline of a handshake: nobody waits for those to end"


def test_many_clients_of_one_address_sign_in_at_once(world, echo):
    """More than may be half signed in at once, all behind one address; those that are pushed out come again."""
    server = server_with(world, 1024)
    clients = world.tool("many_clients", server.join, 200, f"127.0.0.1:{echo.port}")
    clients.wait_event("all_up", patience=90)
    now = status(world, server)
    assert len(now["sessions"]) == 200 and now["descriptors"]["now"]["clients"] >= 200
    assert now["descriptors"]["now"]["ports"] == 200


def test_a_server_without_descriptors_says_what_to_do(world, echo):
    server = world.server()
    client = world.tcp_tunnel(server, echo.port)
    limit_descriptors(server, 64)  # behind its back: its lines are those of the start
    crowd = []
    world.later(lambda: [visitor.close() for visitor in crowd])
    for _ in range(80):
        visitor = socket.create_connection(client.public, timeout=20)
        crowd.append(visitor)
    until(lambda: errors_of(server, "out of descriptors"), "it says so")
    said = errors_of(server, "out of descriptors")[0]
    assert "may have 64, and all are in use" in said["message"] and "ulimit -n" in said["message"], said
    for visitor in crowd:
        visitor.close()
    until(lambda: echoes(client.public), "it goes on")
    assert status(world, server)["accepts_failed"] > 1
    assert len(errors_of(server, "out of descriptors")) == 1, "one line a minute"


def client_with(world, descriptors, server, *options):
    """A client that was started with so many descriptors."""
    argv = ["/bin/sh", "-c", f'ulimit -n {descriptors}; exec "$FT_TEST_BINARY" "$@"', "client", *map(str, options), "--join", server.join]
    return world.add(Process(argv, world.work, world.name("client"), {**world.env, "FT_TEST_BINARY": BINARY}))


def test_a_client_without_descriptors_says_so(world, echo):
    server = world.server()
    client = client_with(world, 64, server, "tcp", echo.port, "--no-save", "--control-socket", "off", "--carry", "mux")
    public = ("127.0.0.1", client.wait_event("tunnel_up")["port"])
    served = [visitor for visitor in (visit(public) for _ in range(70)) if visitor]
    world.later(lambda: [visitor.close() for visitor in served])
    assert 20 < len(served) < 64
    said = client.wait_event("error", code="limit")["message"]
    assert "may have 64, as ulimit -n says" in said and "raise the limit" in said, said
    assert "is it started" not in said
    for visitor in served:
        visitor.close()
    until(lambda: echoes(public), "it goes on")


def test_a_client_of_few_descriptors_opens_few_direct_links(world, echo):
    server = world.server()
    client = client_with(world, 64, server, "tcp", echo.port, "--no-save", "--control-socket", "off", "--carry", "direct")
    public = ("127.0.0.1", client.wait_event("tunnel_up")["port"])
    until(lambda: status(world, server)["sessions"][0]["direct_warm"] > 0, "one waits")
    began = time.monotonic()
    served = [visitor for visitor in (visit(public) for _ in range(24)) if visitor]
    world.later(lambda: [visitor.close() for visitor in served])
    assert len(served) == 24
    session = status(world, server)["sessions"][0]
    assert session["direct"] + session["direct_warm"] <= 16, "a quarter of 64"
    assert session["streams"] >= 8, "the others go over the link"
    assert time.monotonic() - began < 8, "one of them waits in vain for a direct link, and not each of them"


def served(server):
    with HttpVisitor(server.http_address) as visitor:
        return visitor.ask("GET", "/a.txt", "a.test").status == 200


def test_idle_visitors_make_room_for_those_who_ask(world, nginx):
    nginx.file("a.txt", b"a")
    server = server_with(world, 256)
    world.http_tunnel(server, nginx.port, "a.test")
    crowd = []
    world.later(lambda: [one.close() for one in crowd])
    for i in range(230):  # half of them where the tunnel is, half where they came in
        one = connect(server.http_address)
        crowd.append(one)
        one.sendall(b"GET /a.txt HTTP/1.1\r\nHost: %s\r\n\r\n" % (b"a.test" if i % 2 else b"nobody.test"))
        assert one.recv(4096).startswith(b"HTTP/1.1 "), i
    for _ in range(20):
        assert served(server)
    now = status(world, server)
    assert now["http"]["made_room"] > 0 and now["refused"]["server_limit"] == 0, now
    assert now["visitors"] <= now["max_visitors"]


def with_silent(world, nginx):
    """A server of few descriptors with two services: nginx, and one that takes connections and says nothing."""
    nginx.file("a.txt", b"a")
    silent = socket.create_server(("127.0.0.1", 0), backlog=512)
    world.later(silent.close)
    server = server_with(world, 256)
    world.http_tunnel(server, nginx.port, "a.test")
    world.http_tunnel(server, silent.getsockname()[1], "silent.test", "--name", "silent")
    return server


@pytest.mark.parametrize("kind", ["heads", "bodies", "tcp"])
def test_one_address_shuts_nobody_out(world, nginx, echo, kind):
    server = with_silent(world, nginx)
    tcp = world.tcp_tunnel(server, echo.port)
    crowd = []
    world.later(lambda: [one.close() for one in crowd])
    for _ in range(400):
        try:
            one = socket.create_connection(tcp.public if kind == "tcp" else server.http_address, timeout=20, source_address=("127.0.3.1", 0))
            crowd.append(one)
            one.sendall({"heads": b"GET / HTTP/1.1\r\nHost:", "bodies": b"POST / HTTP/1.1\r\nHost: silent.test\r\nContent-Length: 999999\r\n\r\n", "tcp": b"ping"}[kind])
        except OSError:
            pass  # refused
    for _ in range(20):
        assert served(server)
    assert echoes(tcp.public)
    now = status(world, server)
    assert now["refused"]["server_limit"] == 0, now
    if kind == "heads":
        assert now["http"]["made_room"] > 0
    else:
        assert now["refused"]["address_limit"] > 200
    assert now["visitors"] <= now["descriptors"]["visitors_line"]


def test_visitors_who_have_left_make_room(world, nginx):
    server = with_silent(world, nginx)
    for _ in range(220):
        with connect(server.http_address) as one:
            one.sendall(b"GET / HTTP/1.1\r\nHost: silent.test\r\n\r\n")
    until(lambda: all(served(server) for _ in range(5)), "newcomers are served")  # the crowd is on its way between threads
    assert status(world, server)["http"]["made_room"] > 0
    # Nobody waits for an answer that nobody reads.
    until(lambda: status(world, server)["visitors"] == 0, "they are not there any more")
    assert status(world, server)["http"]["half_closed"] > 0
