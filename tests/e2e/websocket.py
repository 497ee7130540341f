"""WebSocket by hand (RFC 6455): enough of both ends to see that what comes behind the 101 is carried as it is."""
import base64
import hashlib
import os
import struct

from origins import fields, read_head

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def accept_key(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def frame(opcode, payload, mask):
    head = bytes([0x80 | opcode])
    flag = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([flag | len(payload)])
    elif len(payload) < 65536:
        head += bytes([flag | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([flag | 127]) + struct.pack(">Q", len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + _masked(payload, key)


def _masked(payload, key):
    size = len(payload)
    pad = key * (size // 4 + 1)
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad[:size], "big")).to_bytes(size, "big")


def read_frame(stream):
    """(opcode, payload), or None at the end."""
    head = stream.read(2)
    if len(head) < 2:
        return None
    size = head[1] & 0x7F
    if size == 126:
        size = struct.unpack(">H", stream.read(2))[0]
    elif size == 127:
        size = struct.unpack(">Q", stream.read(8))[0]
    key = stream.read(4) if head[1] & 0x80 else None
    payload = stream.read(size)
    assert len(payload) == size, "the connection ended inside a frame"
    return head[0] & 0x0F, _masked(payload, key) if key else payload


def serve_echo(connection):
    """An origin's handler: sends back every message, answers PING, and ends with CLOSE."""
    with connection.makefile("rb") as stream:
        head = fields(read_head(stream))
        assert head["upgrade"].lower() == "websocket" and "upgrade" in head["connection"].lower(), head
        connection.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"Sec-WebSocket-Accept: {accept_key(head['sec-websocket-key'])}\r\n\r\n").encode()
                           + frame(TEXT, b"welcome", mask=False))  # in the same segment as the 101
        while got := read_frame(stream):
            opcode, payload = got
            connection.sendall(frame(PONG if opcode == PING else opcode, payload, mask=False))
            if opcode == CLOSE:
                return


class Client:
    def __init__(self, visitor, host, path="/"):
        """Upgrades a HttpVisitor's connection."""
        self.visitor = visitor
        key = base64.b64encode(os.urandom(16)).decode()
        visitor.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                     f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n")
        answer = visitor.response()
        assert answer.status == 101, answer.head
        assert answer.fields["upgrade"].lower() == "websocket"
        assert answer.fields["sec-websocket-accept"] == accept_key(key)

    def send(self, opcode, payload):
        self.visitor.send(frame(opcode, payload, mask=True))

    def receive(self):
        return read_frame(self.visitor.stream)
