"""WebSocket through an HTTP tunnel, both ends hand-written: the 101 and then a raw relay."""
import os
import threading

import origins
import websocket
from processes import until
from visitors import HttpVisitor

HOST = "ws.test"


def open_echo(world, server=None):
    origin = origins.TcpOrigin(world, websocket.serve_echo)
    server = server or world.server()
    world.http_tunnel(server, origin.port, HOST)
    return server, origin


def test_messages_of_all_sizes_come_back(world):
    server, origin = open_echo(world)
    with HttpVisitor(server.http_address) as visitor:
        client = websocket.Client(visitor, HOST)
        assert client.receive() == (websocket.TEXT, b"welcome"), "what came with the 101 is not lost"
        for size in (0, 1, 125, 126, 65535, 65536, 3_000_000):
            data = os.urandom(size)
            sender = threading.Thread(target=client.send, args=(websocket.BINARY, data))
            sender.start()
            assert client.receive() == (websocket.BINARY, data), size
            sender.join()
        client.send(websocket.PING, b"ping")
        assert client.receive() == (websocket.PONG, b"ping")
        client.send(websocket.CLOSE, b"\x03\xe8")
        assert client.receive() == (websocket.CLOSE, b"\x03\xe8")
        assert visitor.ended()
    origin.check()
    assert server.wait_event("request", host=HOST)["status"] == 101


def test_a_frame_in_the_same_segment_as_the_request(world):
    server, origin = open_echo(world)
    with HttpVisitor(server.http_address) as visitor:
        visitor.send(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                     "Sec-WebSocket-Version: 13\r\n\r\n".encode() + websocket.frame(websocket.TEXT, b"early", mask=True))
        assert visitor.response().status == 101
        assert websocket.read_frame(visitor.stream) == (websocket.TEXT, b"welcome")
        assert websocket.read_frame(visitor.stream) == (websocket.TEXT, b"early")
    origin.check()


def test_many_at_once(world):
    server, origin = open_echo(world)
    visitors = [HttpVisitor(server.http_address) for _ in range(50)]
    clients = [websocket.Client(visitor, HOST) for visitor in visitors]
    for turn in range(5):
        for i, client in enumerate(clients):
            client.send(websocket.TEXT, f"{turn}/{i}".encode())
        for i, client in enumerate(clients):
            if turn == 0:
                assert client.receive() == (websocket.TEXT, b"welcome")
            assert client.receive() == (websocket.TEXT, f"{turn}/{i}".encode())
    for visitor in visitors:
        visitor.close()
    until(lambda: not origin.open, "the origin sees them leave")
    origin.check()


def test_an_upgrade_that_the_origin_declines(world):
    def plain(_, head, stream, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
        return True

    server = world.server()
    world.http_tunnel(server, origins.HttpOrigin(world, plain).port, HOST)
    with HttpVisitor(server.http_address) as visitor:
        for _ in range(2):
            answer = visitor.ask("GET", "/", HOST, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13")
            assert (answer.status, answer.body) == (200, b"plain")


def test_a_101_that_nobody_asked_for_is_refused(world):
    def switch(_, head, stream, connection):
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw")
        return False

    server = world.server()
    world.http_tunnel(server, origins.HttpOrigin(world, switch).port, HOST)
    with HttpVisitor(server.http_address) as visitor:
        answer = visitor.ask("GET", "/", HOST)
        assert answer.status == 502 and answer.fields["ferrotunnel-side"] == "origin"
