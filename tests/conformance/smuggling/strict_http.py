"""One reading of HTTP/1.1 requests, of RFC 9112 as narrow as it can be taken. What has another reading is a StrictError."""
import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!-\"$-~]+) HTTP/1\.1")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
QUOTED = rb"\"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*\""
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:[ \t]*;[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + rb"|" + QUOTED + rb"))?)*)")
# To CGI and its children these are the fields with dashes.
ALIAS = re.compile(rb"(?i)(?:content[-_]length|transfer[-_]encoding|host|x[-_]forwarded[-_].*|connection|upgrade|te|expect)")
FORBIDDEN_TRAILERS = {b"content-length", b"transfer-encoding", b"host", b"connection", b"trailer", b"te", b"authorization", b"content-type", b"cookie"}


class StrictError(Exception):
    pass


class Request:
    def __init__(self, method, target, fields):
        self.method, self.target, self.fields = method, target, fields
        self.body = b""
        self.trailers = []

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name]

    def one(self, name):
        values = self.all(name)
        if len(values) > 1:
            raise StrictError(f"{name!r} more than once: {values!r}")
        return values[0] if values else None

    def __repr__(self):
        return f"{self.method!r} {self.target!r} {len(self.body)}"


def parse_field(line):
    field = FIELD.fullmatch(line)
    if not field:
        raise StrictError(f"not a field line: {line!r}")
    name, value = field.groups()
    if b"_" in name and ALIAS.fullmatch(name):
        raise StrictError(f"an alias of a field that counts: {name!r}")
    return name, value


def parse_head(head):
    """`head` is without its empty line."""
    lines = head.split(b"\r\n")
    for line in lines:
        if b"\r" in line or b"\n" in line or b"\0" in line:
            raise StrictError(f"a line end or NUL inside a line: {line!r}")
    start = REQUEST_LINE.fullmatch(lines[0])
    if not start:
        raise StrictError(f"not a request line: {lines[0]!r}")
    request = Request(start[1], start[2], [parse_field(line) for line in lines[1:]])
    if not request.target.startswith(b"/") and not (request.target == b"*" and request.method == b"OPTIONS"):
        raise StrictError(f"not a path: {request.target!r}")
    if len(request.all(b"host")) != 1:
        raise StrictError(f"{len(request.all(b'host'))} Host fields")
    return request


class Reader:
    """feed() gives the requests that are whole now. `rest` is what is there of the next one."""

    def __init__(self):
        self.rest = bytearray()
        self.request = None
        self.step = self._head

    @property
    def clean(self):
        return not self.rest and self.request is None

    def feed(self, data):
        self.rest += data
        whole = []
        while self.step():
            if self.step == self._head and self.request is not None:
                whole.append(self.request)
                self.request = None
        return whole

    def _take(self, size):
        taken = bytes(self.rest[:size])
        del self.rest[:size]
        return taken

    def _line(self):
        end = self.rest.find(b"\r\n")
        bare = self.rest.find(b"\n")
        if bare >= 0 and (end < 0 or bare < end):
            raise StrictError(f"a bare LF in {bytes(self.rest[:80])!r}")
        if end < 0:
            return None
        return self._take(end + 2)[:-2]

    def _done(self):
        self.step = self._head
        return True

    def _head(self):
        end = self.rest.find(b"\r\n\r\n")
        if end < 0:
            return False
        self.request = request = parse_head(self._take(end + 4)[:-4])
        length, coding = request.one(b"content-length"), request.one(b"transfer-encoding")
        if length is not None and coding is not None:
            raise StrictError("Content-Length and Transfer-Encoding")
        if coding is not None:
            if coding != b"chunked":
                raise StrictError(f"Transfer-Encoding: {coding!r}")
            self.step = self._chunk
            return True
        if length is None:
            return self._done()
        if not re.fullmatch(rb"[0-9]{1,19}", length):
            raise StrictError(f"Content-Length: {length!r}")
        self.left = int(length)
        self.step = self._length
        return True

    def _length(self):
        if len(self.rest) < self.left:
            return False
        self.request.body = self._take(self.left)
        return self._done()

    def _chunk(self):
        line = self._line()
        if line is None:
            return False
        parts = CHUNK_LINE.fullmatch(line)
        if not parts:
            raise StrictError(f"not a chunk line: {line!r}")
        self.left = int(parts[1], 16)
        self.step = self._payload if self.left else self._trailer
        return True

    def _payload(self):
        if len(self.rest) < self.left + 2:
            return False
        self.request.body += self._take(self.left)
        if self._take(2) != b"\r\n":
            raise StrictError("a chunk that does not end where its size says")
        self.step = self._chunk
        return True

    def _trailer(self):
        line = self._line()
        if line is None:
            return False
        if not line:
            return self._done()
        name, value = parse_field(line)
        if name.lower() in FORBIDDEN_TRAILERS:
            raise StrictError(f"a trailer that comes too late: {name!r}")
        self.request.trailers.append((name, value))
        return True


def read_all(raw):
    """(requests, whether nothing was left of another one)"""
    reader = Reader()
    return reader.feed(raw), reader.clean
