"""Visitors: raw sockets that speak HTTP/1.1 byte by byte, and curl."""
import socket
import subprocess

from origins import fields, read_head
from processes import PATIENCE, address, program


def connect(address):
    visitor = socket.create_connection(address, timeout=PATIENCE)
    visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return visitor


def read_exactly(visitor, size):
    data = bytearray()
    while len(data) < size:
        piece = visitor.recv(min(65536, size - len(data)))
        assert piece, f"the connection ended after {len(data)} of {size} bytes"
        data += piece
    return bytes(data)


def read_all(visitor):
    data = bytearray()
    while piece := visitor.recv(65536):
        data += piece
    return bytes(data)


class Response:
    def __init__(self, head):
        self.version, self.status, *_ = head[0].split(" ", 2)
        self.status = int(self.status)
        self.head = head
        self.fields = fields(head)
        self.body = b""
        self.trailers = {}


class HttpVisitor:
    """One connection on which requests follow each other."""

    def __init__(self, address):
        self.socket = connect(address)
        self.stream = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def request(self, method, path, host, *lines, body=b"", version="HTTP/1.1"):
        head = [f"{method} {path} {version}", f"Host: {host}", *lines]
        if body:
            head.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)

    def response(self, method="GET"):
        head = read_head(self.stream)
        assert head, "the connection ended where a response should begin"
        response = Response(head)
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            return response
        if response.fields.get("transfer-encoding") == "chunked":
            self._chunks(response)
        elif "content-length" in response.fields:
            size = int(response.fields["content-length"])
            response.body = self.stream.read(size)
            assert len(response.body) == size, f"the body ended after {len(response.body)} of {size} bytes"
        else:
            response.body = self.stream.read()
        return response

    def _chunks(self, response):
        body = bytearray()
        while size := int(self.stream.readline().split(b";")[0], 16):
            piece = self.stream.read(size)
            assert len(piece) == size, "the body ended inside a chunk"
            body += piece
            assert self.stream.read(2) == b"\r\n"
        response.body = bytes(body)
        while line := self.stream.readline().rstrip(b"\r\n"):
            name, _, value = line.decode("latin-1").partition(":")
            response.trailers[name.strip().lower()] = value.strip()

    def ask(self, method, path, host, *lines, **more):
        self.request(method, path, host, *lines, **more)
        return self.response(method)

    def ended(self):
        """Whether the server closed the connection in an orderly way (waits for it)."""
        return self.stream.read(1) == b""

    def close(self):
        self.stream.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def curl(url, server, *flags, patience=PATIENCE * 3):
    """The real curl, made to reach the server for whatever host the URL names."""
    host, port = address(server.https) if url.startswith("https:") else server.http_address
    done = subprocess.run([program("curl"), "--silent", "--show-error", "--max-time", str(int(patience)), "--noproxy", "*",
                           "--connect-to", f"::{host}:{port}", *map(str, flags), url], capture_output=True, timeout=patience + 10)
    assert done.returncode == 0, f"curl {url} ended with {done.returncode}: {done.stderr.decode(errors='replace')}"
    return done.stdout
