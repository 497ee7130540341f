"""The request-smuggling suite: tests/conformance/smuggling through the real programs, to an origin that keeps the raw bytes of every connection."""
# ctest: timeout=300
import select
import socket
import struct
import sys
import threading
from pathlib import Path

import pytest

import origins
from processes import PATIENCE, World, until
from visitors import HttpVisitor, connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance/smuggling"))
import smuggling_h2 as h2  # noqa: E402
import smuggling_requests as requests  # noqa: E402
import smuggling_responses as responses  # noqa: E402
import strict_http  # noqa: E402

HOST = requests.HOST.decode()
VECTORS = {vector.name: vector for vector in requests.VECTORS}
H2_VECTORS = {vector.name: vector for vector in h2.VECTORS}
ANSWERS = {answer.name: answer for answer in responses.ANSWERS}


class RawOrigin(origins.TcpOrigin):
    """Keeps what each connection brought, reads it strictly, and says to each request which one it was."""

    def __init__(self, world):
        self.raw = []  # one bytearray a connection
        self.seen = []  # requests that were whole
        self.ambiguous = []
        self.at_work = 0
        self.news = threading.Condition()
        super().__init__(world, self._talk)

    def _talk(self, connection):
        raw, reader = bytearray(), strict_http.Reader()
        with self.news:
            self.raw.append(raw)
            self.at_work += 1
        try:
            while data := connection.recv(65536):
                raw += data
                for request in reader.feed(data):
                    with self.news:
                        self.seen.append(request)
                    connection.sendall(self.answer(request))
        except strict_http.StrictError as error:
            self.ambiguous.append((str(error), bytes(raw[-2000:])))
        finally:
            with self.news:
                self.at_work -= 1

    @staticmethod
    def answer(request):
        body = b"%s %s %d" % (request.method, request.target, len(request.body))
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        return head if request.method == b"HEAD" else head + body

    def since(self, count):
        with self.news:
            return self.seen[count:]


class Setting:
    def __init__(self, world):
        self.origin = RawOrigin(world)
        self.server = world.server()
        world.http_tunnel(self.server, self.origin.port, HOST)
        world.http_tunnel(self.server, self.origin.port, requests.PROXY.decode(), "--connect", "--name", "proxy")
        self.other = HttpVisitor(self.server.http_address)  # another visitor, who stays
        self.markers = 0

    def marker(self):
        self.markers += 1
        return f"/marker/{self.markers}"


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("smuggling"))
    try:
        yield Setting(world)
    finally:
        world.close()


def read_responses(visitor, methods):
    """What the server says until it closes, or until each of `methods` has its answer."""
    got = []
    try:
        for method in methods:
            try:
                got.append(visitor.response(method))
            except AssertionError:
                return got, True
            if got[-1].fields.get("connection", "").lower() == "close":
                return got, visitor.stream.read() == b""
    except ConnectionResetError:
        return got, True
    return got, False


def send(visitor, data, pieces):
    """Whole, or in small segments: where the bytes are cut must not matter."""
    try:
        if not pieces:
            return visitor.send(data)
        for at in range(0, len(data), pieces):
            visitor.send(data[at:at + pieces])
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was refused before it had all been said


def text_of(seen):
    return f"{seen.method.decode()} {seen.target.decode()} {len(seen.body)}".encode()


def check_seen(seen, wanted, name):
    assert (seen.method, seen.target, seen.body) == (wanted.method, wanted.target or b"/v/" + name.encode(), wanted.body)
    assert seen.one(b"host").lower().partition(b":")[0].rstrip(b".") == requests.HOST
    for key, value in wanted.has.items():
        assert seen.one(key) == value, (key, seen.fields)
    for key in wanted.lacks:
        assert not seen.all(key), (key, seen.fields)


@pytest.mark.parametrize("pieces", [0, 7], ids=["whole", "pieces"])
@pytest.mark.parametrize("name", VECTORS)
def test_request(setting, name, pieces):
    vector, origin = VECTORS[name], setting.origin
    before = len(origin.since(0))
    mine, theirs = setting.marker(), setting.marker()
    expected = vector.want.requests if isinstance(vector.want, requests.Passed) else []
    with HttpVisitor(setting.server.http_address) as visitor:
        send(visitor, vector.data + f"GET {mine} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(), min(pieces, 7) if len(vector.data) < 5000 else pieces * 400)
        other = setting.other.ask("GET", theirs, HOST)
        got, ended = read_responses(visitor, [*(wanted.method.decode() for wanted in expected), "GET", "GET"][:len(expected) + 1])
        if not ended:
            visitor.socket.shutdown(socket.SHUT_WR)
            assert visitor.stream.read() == b"", "more than was asked for"
    assert (other.status, other.body) == (200, f"GET {theirs} 0".encode()), "another visitor got another answer"
    assert not origin.ambiguous, origin.ambiguous

    seen = [one for one in origin.since(before) if one.target != theirs.encode()]
    if isinstance(vector.want, requests.Passed):
        answers = got[:len(expected)]
        assert len(answers) == len(expected), (name, [one.status for one in got])
        for one, wanted, answer in zip(seen, expected, answers, strict=False):
            check_seen(one, wanted, name)
            assert answer.status == 200
            assert answer.body == (b"" if wanted.method == b"HEAD" else text_of(one))
        if vector.want.closes:
            assert ended
            assert len(seen) == len(expected), seen
            assert all(one.status >= 400 for one in got[len(expected):])
        else:
            assert [one.target for one in seen[len(expected):]] == [mine.encode()]
            assert got[-1].body == f"GET {mine} 0".encode()
        return
    assert seen == [], seen
    assert ended
    assert len(got) <= 1, [one.status for one in got]
    wanted = 400 if isinstance(vector.want, requests.Broken) else vector.want.status
    if wanted is not requests.ANY:
        assert len(got) == 1
        assert got[0].status in (wanted if isinstance(wanted, tuple) else (wanted,)), (got[0].status, got[0].body)
        assert got[0].fields["connection"] == "close"


def test_the_origin_saw_nothing_with_two_readings(setting):
    """Behind all of the above: each connection's bytes, read again, are whole requests, but for what was broken off inside a body."""
    assert len(VECTORS) >= 160
    origin = setting.origin
    setting.other.close()
    until(lambda: all(not one.startswith(b"GET /smuggled") for one in map(bytes, origin.raw)), "nothing smuggled", 5)
    broken = {b"/v/" + name.encode() for name, vector in VECTORS.items() if isinstance(vector.want, requests.Broken)}
    for raw in map(bytes, origin.raw):
        reader = strict_http.Reader()
        for request in reader.feed(raw):
            assert request.target != b"/smuggled", raw
            assert request.target not in broken, raw
        if not reader.clean:
            assert reader.request is not None, f"half a head: {raw[-500:]!r}"
            assert reader.request.target in broken, raw[-2000:]


# --- what comes before its turn

def test_nothing_follows_an_upgrade_before_its_101(world):
    """Bytes behind an Upgrade are the new protocol's, or the next request's: that is the origin's to say, so they wait for it."""
    early = []

    def talk(connection):
        rest = b""
        while True:
            while b"\r\n\r\n" not in rest:
                data = connection.recv(1000)
                if not data:
                    return
                rest += data
            head, _, rest = rest.partition(b"\r\n\r\n")
            path = head.split()[1]
            if b"/upgrade" in path:
                # What came along, or comes although nothing was answered.
                ready, _, _ = select.select([connection], [], [], 0.5)
                early.append(rest + (connection.recv(1000) if ready else b""))
            if path == b"/upgrade-yes":
                connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n")
                while data := connection.recv(1000):
                    connection.sendall(b"raw:" + data)
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))

    origin = origins.TcpOrigin(world, talk)
    server = world.server()
    world.http_tunnel(server, origin.port, HOST)
    upgrade = "GET /upgrade-{} HTTP/1.1\r\nHost: " + HOST + "\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n"
    with HttpVisitor(server.http_address) as visitor:
        visitor.send(upgrade.format("no").encode() + requests.get(start=b"GET /next HTTP/1.1"))
        assert visitor.response().body == b"/upgrade-no"
        assert visitor.response().body == b"/next"
    assert early == [b""]
    with HttpVisitor(server.http_address) as visitor:
        visitor.send(upgrade.format("yes").encode() + b"first bytes")
        answer = visitor.response()
        assert answer.status == 101
        assert visitor.stream.read(15) == b"raw:first bytes"
        with HttpVisitor(server.http_address) as other:
            assert other.ask("GET", "/other", HOST).body == b"/other"
    assert early == [b"", b""]
    origin.check()


def test_an_early_answer_does_not_poison_the_next_request(world):
    """The origin answers before the body has come, and the rest of the body is a request to who forgot it."""
    seen = []

    def talk(connection):
        stream = connection.makefile("rb")
        while head := origins.read_head(stream):
            seen.append(head[0])
            if "/early" in head[0]:
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nearly")
                continue  # what comes next is read as a head
            body = head[0].split()[1].encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    origin = origins.TcpOrigin(world, talk)
    server = world.server()
    world.http_tunnel(server, origin.port, HOST)
    size = len(requests.SMUGGLED)
    for lines in ([f"Content-Length: {size}"], ["Transfer-Encoding: chunked"]):
        body = requests.SMUGGLED if "Length" in lines[0] else b"%x\r\n%s\r\n0\r\n\r\n" % (size, requests.SMUGGLED)
        with HttpVisitor(server.http_address) as visitor:
            visitor.request("POST", "/early", HOST, *lines)
            answer = visitor.response()
            assert (answer.status, answer.body) == (413, b"early")
            assert answer.fields["connection"] == "close"
            send(visitor, body + f"GET /behind HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(), 0)
            with HttpVisitor(server.http_address) as other:
                assert other.ask("GET", "/other", HOST).body == b"/other"
    assert all("smuggled" not in line and "behind" not in line for line in seen), seen
    origin.check()


def test_a_visitor_who_leaves_inside_the_body(setting):
    """The rest never comes: the connection to the origin ends there, and nobody's request completes it."""
    before = len(setting.origin.since(0))
    for lines, part in (((b"Content-Length: 100",), b"x" * 50), ((b"Transfer-Encoding: chunked",), b"32\r\n" + b"x" * 20)):
        for reset in (False, True):
            with HttpVisitor(setting.server.http_address) as visitor:
                visitor.send(requests.post(*lines, body=part).replace(b"@PATH", b"/v/chunk-size-letter"))  # one that may be seen in part
                if reset:
                    visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            marker = setting.marker()
            with HttpVisitor(setting.server.http_address) as other:
                assert other.ask("GET", marker, HOST).body == f"GET {marker} 0".encode()
    assert [one.target for one in setting.origin.since(before) if not one.target.startswith(b"/marker")] == []


# --- answers

class PoisonousOrigin(origins.TcpOrigin):
    """/r/NAME gets that answer of the table; anything else says what was asked."""

    def __init__(self, world):
        super().__init__(world, self._talk)

    def _talk(self, connection):
        stream = connection.makefile("rb")
        while head := origins.read_head(stream):
            path = head[0].split()[1]
            if path.startswith("/r/"):
                answer = ANSWERS[path[3:]]
                connection.sendall(answer.data)
                if answer.closes:
                    return
                continue
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path.encode()))


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("poisoned"))
    try:
        made = Setting.__new__(Setting)
        made.origin = PoisonousOrigin(world)
        made.server = world.server()
        world.http_tunnel(made.server, made.origin.port, HOST)
        made.other = HttpVisitor(made.server.http_address)
        made.markers = 0
        yield made
    finally:
        world.close()


def read_broken(visitor, method):
    """The final answer, or None where the connection broke off before its end."""
    try:
        while True:
            answer = visitor.response(method)
            if answer.status >= 200:
                return answer
    except (AssertionError, ConnectionResetError, ValueError):
        return None


@pytest.mark.parametrize("name", ANSWERS)
def test_answer(poisoned, name):
    answer = ANSWERS[name]
    # Warm connections first, so that the poison has one to sit in.
    for _ in range(2):
        marker = poisoned.marker()
        assert poisoned.other.ask("GET", marker, HOST).body == marker.encode()
    with HttpVisitor(poisoned.server.http_address) as visitor:
        visitor.request(answer.method, f"/r/{name}", HOST)
        got = read_broken(visitor, answer.method)
        if answer.want == responses.BAD:
            assert got is not None
            assert got.status == 502
            assert got.fields["ferrotunnel-error"] == "bad-response", got.fields
            assert b"poisoned" not in got.body
        elif answer.want == responses.SPOILT:
            assert got is None or (got.status, got.fields["ferrotunnel-error"]) == (502, "bad-response")
        elif answer.want == responses.CLEAN:
            assert got is not None
            assert (got.status, got.body) == (answer.status, answer.body)
        else:
            assert got is None or got.status == 502, got.fields
        # The same connection, where it was kept, and two others.
        if got is not None and got.fields.get("connection", "").lower() != "close":
            marker = poisoned.marker()
            own = visitor.ask("GET", marker, HOST)
            assert (own.status, own.body) == (200, marker.encode())
        for _ in range(2):
            marker = poisoned.marker()
            own = poisoned.other.ask("GET", marker, HOST)
            assert (own.status, own.body) == (200, marker.encode())
            with HttpVisitor(poisoned.server.http_address) as third:
                marker = poisoned.marker()
                assert third.ask("GET", marker, HOST).body == marker.encode()


def test_an_answer_that_nobody_waits_for(world):
    """The origin speaks on a connection that is idle: whoever is next on it must not hear that."""
    ended = threading.Semaphore(0)

    def talk(connection):
        stream = connection.makefile("rb")
        while head := origins.read_head(stream):
            path = head[0].split()[1].encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))
            if b"late" in path:
                threading.Timer(0.1, connection.sendall, [responses.POISON]).start()
                try:
                    assert stream.read() == b""
                except ConnectionResetError:
                    pass
                ended.release()  # the connection is given up, and carried no other request
                return

    origin = origins.TcpOrigin(world, talk)
    server = world.server()
    world.http_tunnel(server, origin.port, HOST)
    with HttpVisitor(server.http_address) as visitor:
        for i in range(3):
            assert visitor.ask("GET", f"/late-{i}", HOST).body == f"/late-{i}".encode()
            assert ended.acquire(timeout=PATIENCE)
            for k in range(3):
                own = visitor.ask("GET", f"/own-{i}-{k}", HOST)
                assert (own.status, own.body) == (200, f"/own-{i}-{k}".encode())
    origin.check()


# --- HTTP/2 that becomes HTTP/1.1

@pytest.fixture(scope="module")
def h2_setting(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("smuggling_h2"))
    try:
        yield Setting(world)
    finally:
        world.close()



class H2Reader:
    """What came of one request on stream 1: a status, a reset, or the end of the connection."""

    def __init__(self, visitor):
        self.visitor = visitor
        self.status = self.reset = self.goaway = None
        self.body, self.ended = b"", False

    def over(self):
        return self.ended or self.reset is not None or self.goaway is not None

    def read(self):
        """Until the stream is over."""
        stream = self.visitor.stream
        while not self.over():
            head = stream.read(9)
            if len(head) < 9:
                self.goaway = -1
                return
            payload = stream.read(int.from_bytes(head[:3]))
            kind, flags, number = head[3], head[4], int.from_bytes(head[5:])
            if kind == h2.HEADERS and number == 1 and self.status is None:
                self.status = h2.status_of(payload)
            if kind == h2.DATA and number == 1:
                self.body += payload
            if kind in (h2.HEADERS, h2.DATA) and number == 1 and flags & h2.END_STREAM:
                self.ended = True
            if kind == h2.RST_STREAM and number == 1:
                self.reset = int.from_bytes(payload)
            if kind == h2.GOAWAY:
                self.goaway = int.from_bytes(payload[4:8])


def frames_of(vector):
    last = "trailers" if vector.trailers is not None else "data" if vector.data else "headers"
    end = h2.END_STREAM if vector.end else 0
    out = h2.frame(h2.HEADERS, h2.END_HEADERS | (end if last == "headers" else 0), 1, h2.hpack(vector.fields))
    for i, data in enumerate(vector.data):
        out += h2.frame(h2.DATA, end if last == "data" and i == len(vector.data) - 1 else 0, 1, data)
    if vector.trailers is not None:
        out += h2.frame(h2.HEADERS, h2.END_HEADERS | end, 1, h2.hpack(vector.trailers))
    return out


@pytest.mark.parametrize("pieces", [0, 7], ids=["whole", "pieces"])
@pytest.mark.parametrize("name", [vector.name for vector in h2.VECTORS])
def test_http2_request(h2_setting, name, pieces):
    vector, origin = H2_VECTORS[name], h2_setting.origin
    before, theirs = len(origin.since(0)), h2_setting.marker()
    with HttpVisitor(h2_setting.server.http_address) as visitor:
        send(visitor, h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0) + frames_of(vector), pieces)
        got = H2Reader(visitor)
        try:
            got.read()
        except ConnectionResetError:
            got.goaway = -1
        other = h2_setting.other.ask("GET", theirs, HOST)
    assert (other.status, other.body) == (200, f"GET {theirs} 0".encode()), "another visitor got another answer"
    assert not origin.ambiguous, origin.ambiguous
    seen = [one for one in origin.since(before) if one.target != theirs.encode()]
    if isinstance(vector.want, requests.Passed):
        (wanted,) = vector.want.requests
        assert len(seen) == 1, (seen, got.__dict__)
        check_seen(seen[0], wanted, name)
        assert got.status == 200, got.__dict__
        assert got.body == text_of(seen[0])
        return
    assert seen == [], seen
    assert got.status != 200, got.__dict__
    assert got.reset is not None or got.goaway is not None or 400 <= got.status < 600, got.__dict__


def test_http2_brought_the_origin_nothing_with_two_readings(h2_setting):
    assert len(h2.VECTORS) >= 160
    origin = h2_setting.origin
    h2_setting.other.close()
    broken = {b"/v/" + vector.name.encode() for vector in h2.VECTORS if isinstance(vector.want, requests.Broken)}
    for raw in map(bytes, origin.raw):
        reader = strict_http.Reader()
        for request in reader.feed(raw):
            assert request.target != b"/smuggled", raw
            assert request.target not in broken, raw
        if not reader.clean:
            assert reader.request is not None, f"half a head: {raw[-500:]!r}"
            assert reader.request.target in broken, raw[-2000:]
