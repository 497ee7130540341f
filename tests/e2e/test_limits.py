"""Limits with the real programs: a server that runs out of descriptors, and its counters in `ferrotunnel status`."""
import json
import re
import resource
import socket
import struct

from processes import BINARY, PATIENCE, Server, preloaded, until
from visitors import HttpVisitor, connect, read_exactly


def status(world, server):
    done = world.run("status", "--json", "--state", server.state)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def limit_descriptors(process, count):
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (count, count))


def crowd_of(world, count, address):
    """Silent visitors, of many addresses; one who is refused hears so, and perhaps as early as he connects."""
    crowd = []
    world.later(lambda: [visitor.close() for visitor in crowd])
    for i in range(count):
        try:
            crowd.append(socket.create_connection(address, timeout=PATIENCE, source_address=(f"127.0.7.{i % 16 + 1}", 0)))
        except ConnectionResetError:
            pass
    return crowd


def echoes(address):
    try:
        with connect(address) as visitor:
            visitor.sendall(b"ping")
            return read_exactly(visitor, 4) == b"ping"
    except (OSError, AssertionError):
        return False


def server_with(world, descriptors, *flags):
    """A server that was started with so many descriptors, as by `ulimit -n`."""
    env = {"FT_TEST_BINARY": BINARY}
    state = world.work / world.name("state")
    argv = ["/bin/sh", "-c", f'ulimit -n {descriptors}; exec "$FT_TEST_BINARY" "$@"', "server", "server", "--listen", "127.0.0.1:0",
            "--http-listen", "127.0.0.1:0", "--tcp-listen-host", "127.0.0.1", "--state", state, *flags]
    server = world.add(Server(argv, world.work, world.name("server"), {**world.env, **env}, state))
    return server.wait_ready()


def test_silent_visitors_leave_room_for_clients_who_sign_in(world, echo, nginx):
    nginx.file("a.txt", b"a")
    server = server_with(world, 1024)
    first = world.tcp_tunnel(server, echo.port)
    most = status(world, server)["max_visitors"]
    assert most == 1024 - 128
    # Those over HTTP, who have not asked for anything, make room for the others.
    visitors = crowd_of(world, 300, server.http_address) + crowd_of(world, 1000, first.public)
    now = until(lambda: (lambda s: s if s["refused"]["server_limit"] >= 1000 - most else None)(status(world, server)), "1,300 visitors are too many")
    assert now["http"]["made_room"] > 0

    def full():
        before = status(world, server)["refused"]["server_limit"]
        visitors.extend(crowd_of(world, 1, first.public))
        after = status(world, server)
        return after["http"]["visitors"] == 0 and after["refused"]["server_limit"] > before

    until(full, "no idle one is left, and no place")
    assert now["visitors"] <= most
    assert server.fds() < 1024

    second = world.http_tunnel(server, nginx.port, "a.test")
    assert second.up["name"]
    with HttpVisitor(server.http_address) as late:
        response = late.response()
        assert response.status == 503 and response.fields["ferrotunnel-error"] == "server-limit"
    table = world.run("status", "--state", server.state).stdout
    assert re.search(rf"visitors \d+ of {most}   refused \d+ \(server limit \d+\)", table), table

    for visitor in visitors:
        visitor.close()
    until(lambda: status(world, server)["visitors"] == 0, "they have left")
    assert echoes(first.public)
    with HttpVisitor(server.http_address) as visitor:
        assert visitor.ask("GET", "/a.txt", "a.test").body == b"a"


def test_a_server_that_is_out_of_descriptors_recovers(world, echo):
    server = world.server()
    client = world.tcp_tunnel(server, echo.port)
    limit_descriptors(server, 64)
    # More than there are descriptors for: of the limit that was found at the start nobody is left.
    crowd = crowd_of(world, 60, client.public) + crowd_of(world, 40, server.http_address)
    host, port = server.listen.rsplit(":", 1)
    crowd += crowd_of(world, 20, (host, int(port)))
    until(lambda: server.fds() == 64, "every descriptor is in use")
    late = world.client("tcp", echo.port, join=server)
    for visitor in crowd:
        # By RST: what the server does not know yet is not to be accepted first.
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        visitor.close()
    up = late.wait_event("tunnel_up")
    assert echoes(("127.0.0.1", up["port"]))
    assert echoes(client.public)
    assert status(world, server)["accepts_failed"] > 0


def test_a_server_of_64_descriptors_serves_and_takes_clients(world, echo):
    server = server_with(world, 64)
    assert status(world, server)["max_visitors"] == 32
    client = world.tcp_tunnel(server, echo.port)
    crowd = crowd_of(world, 80, client.public)
    until(lambda: status(world, server)["refused"]["server_limit"] >= 48, "those past 32 are refused")
    second = world.tcp_tunnel(server, echo.port)
    for visitor in crowd:
        visitor.close()
    until(lambda: echoes(second.public) and echoes(client.public), "places are free again")


def test_a_grants_bandwidth_is_kept_with_it(world, echo):
    server = world.server()
    made = world.run("token", "new", "--name", "slow", "--bandwidth", "2M", "--state", server.state)
    assert made.returncode == 0, made.stderr
    listed = [json.loads(line) for line in world.run("token", "list", "--json", "--state", server.state).stdout.splitlines()]
    assert [one.get("bandwidth") for one in listed if one["name"] == "slow"] == [2 << 20]
    wrong = world.run("token", "new", "--name", "x", "--bandwidth", "fast", "--state", server.state)
    assert wrong.returncode == 2 and "a size, such as 64M or 1G" in wrong.stderr
    client = world.client("tcp", echo.port, "--no-save", join=made.stdout.strip())
    port = client.wait_event("tunnel_up")["port"]
    with connect(("127.0.0.1", port)) as visitor:
        visitor.settimeout(0.05)
        sent = got = 0
        while got < (1 << 20):  # half a second's worth, more than the burst: it has to wait
            try:
                sent += visitor.send(b"x" * 65536) if sent < (1 << 20) else 0
            except TimeoutError:
                pass
            try:
                got += len(visitor.recv(65536))
            except TimeoutError:
                pass
    assert status(world, server)["throttled"] > 0


def test_the_system_gets_memory_back_after_a_burst(world, nginx):
    trims = world.work / "heap-trims"
    nginx.file("big", b"x" * 20_000_000)
    server = world.server(env={**preloaded("heap_trims"), "FT_HEAP_TRIMS": str(trims)})
    public = world.tcp_tunnel(server, nginx.port).public
    readers = [connect(public) for _ in range(32)]
    world.later(lambda: [reader.close() for reader in readers])
    for reader in readers:
        reader.sendall(b"GET /big HTTP/1.0\r\n\r\n")
    until(lambda: status(world, server)["buffer_bytes"] > 4_000_000, "what nobody reads is held")
    assert not trims.exists(), "nothing was freed yet"
    for reader in readers:
        reader.close()
    until(lambda: trims.exists() and trims.stat().st_size > 0, "the allocator was asked to give it back")
    with connect(public) as visitor:
        visitor.sendall(b"GET /big HTTP/1.0\r\n\r\n")
        assert read_exactly(visitor, 20_000_000).startswith(b"HTTP/1.1 200 ")
