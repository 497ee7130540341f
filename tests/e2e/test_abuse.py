"""Visitors that mean harm, over HTTP/1.1 and HTTP/2. Each is cut off within 1,000 frames or 15 s, is counted in the status, leaves no memory behind, and does not make another visitor
wait for long. The frames are in h2_attacks.py; slow heads, bodies and readers of HTTP/1.1 are slowhttptest's.

The unit test http2_abuse_test.cc holds the same attacks to their count frame by frame.
"""
# ctest: timeout=400
import contextlib
import json
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import h2_attacks
from h2_attacks import CALM, CONTINUATION, DATA, END_STREAM, GOAWAY, HEADERS, RST, Visitor, frame, headers, request, window
from processes import BINARY, program, until
from visitors import HttpVisitor

HOST = "abuse.test"
NAME = HOST.encode()
SLOW = 16.5  # seconds until a slow visitor is cut off: 15, and what a busy machine adds
LARGE = 64 << 20
# Milliseconds; with sanitizers each frame costs the server ten times as much, and the attacker what it costs ever.
ALLOWED = 200 if b"__asan_init" in Path(BINARY).read_bytes() else 0
# Connections of slowhttptest. Of some hundred readers each has 1.6 MB in the kernel at the server; where that is short of TCP memory (tcp_mem) it throws away what a
# reader has queued, and lets 100 KB more through once others are gone: such a reader has moved, and is cut a quarter of a minute later.
CROWD = 40


@pytest.fixture
def stage(world, nginx):
    """A server with a tunnel for HOST to nginx, which has a small file and a large one."""
    server = world.server()
    nginx.file("small.txt", b"small")
    with open(nginx.root / "large.bin", "wb") as large:
        large.truncate(LARGE)
    os.chmod(nginx.root / "large.bin", 0o644)
    world.http_tunnel(server, nginx.port, HOST)

    def status():
        done = world.run("status", "--json", "--state", server.state)
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    server.status = status
    with HttpVisitor(server.http_address) as visitor:
        assert visitor.ask("GET", "/small.txt", HOST).body == b"small"
    until(lambda: status()["http"]["visitors"] == 0, "the first visitor is gone")
    return server


def count(status, name):
    return status["http"]["h2_abuse"][name]


def calm_again(server, before):
    """Nobody is left, and the memory is back within 5 %."""
    def back():
        now = server.status()
        return now["http"]["visitors"] == 0 and now["buffer_bytes"] <= before["buffer_bytes"] * 1.05 and not any(tunnel["visitors_now"] for tunnel in now["tunnels"])

    until(back, "visitors and memory of the attack are gone")


def whole(server, address=None):
    """Everybody else is served as ever."""
    with HttpVisitor(server.http_address) as visitor:
        assert visitor.ask("GET", "/small.txt", HOST).body == b"small"


@pytest.mark.parametrize("name", [*h2_attacks.FLOODS, h2_attacks.CRUMBS])
def test_a_flood_is_cut_within_a_thousand_frames(stage, name):
    counted = h2_attacks.FLOODS[name][0] if name in h2_attacks.FLOODS else "window_updates"
    before = stage.status()
    ended = h2_attacks.attack(stage.http_address, name, NAME)
    assert ended["closed"] and ended["goaway"] == CALM and ended["seconds"] < 15, ended
    after = stage.status()
    # What fills up first: of pings that come at once it may be the answers to them; of requests with a body, whose service may answer before
    # that comes, the DATA that is late.
    kinds = [counted, *{"pings": ["queued"], "made-reset-length": ["empty_frames"]}.get(name, [])]
    assert sum(count(after, kind) - count(before, kind) for kind in kinds) == 1, (after["http"]["h2_abuse"], ended)
    calm_again(stage, before)
    whole(stage)


# ---- the others' wait ---------------------------------------------------------------------------------------------


def p99(server, seconds):
    """Of requests one after another on one connection, in milliseconds."""
    times, end = [], time.monotonic() + seconds
    with HttpVisitor(server.http_address) as visitor:
        visitor.ask("GET", "/small.txt", HOST)
        while time.monotonic() < end:
            began = time.perf_counter()
            assert visitor.ask("GET", "/small.txt", HOST).body == b"small"
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(0.002)  # a pace, not a wait for something
    times.sort()
    return times[int(len(times) * 0.99)]


@contextlib.contextmanager
def sink(most):
    """Where an attack costs the attacker what it costs him, and nobody else: it reads so many bytes."""
    child = subprocess.Popen([sys.executable, Path(h2_attacks.__file__), "--sink", str(most)], stdout=subprocess.PIPE, text=True)
    try:
        yield "127.0.0.1", json.loads(child.stdout.readline())["port"]
    finally:
        child.kill()
        child.communicate(timeout=60)


@contextlib.contextmanager
def attackers(where, name, seconds):
    host, port = where
    children = [subprocess.Popen([sys.executable, Path(h2_attacks.__file__), host, str(port), name, HOST, str(seconds)], stdout=subprocess.PIPE, text=True)]
    try:
        yield children
    finally:
        for child in children:
            child.said = [json.loads(line) for line in child.communicate(timeout=60)[0].splitlines()]


@pytest.mark.parametrize("name", ["rapid-reset", "made-reset-malformed", "continuations", "settings", "pings", "empty-data", "priorities", "hpack-bomb",
                                 h2_attacks.CRUMBS])
def test_others_hardly_notice(world, stage, name):
    """p99 under twice the quiet one, while somebody comes again 0.2 s after each time that he was cut off. He is a process on the same two cores: quiet is it while he does the same,
    as many bytes in the same rhythm, to somebody else, who only reads them. The best of five tries counts."""
    sent = h2_attacks.attack(stage.http_address, name, NAME)["sent"]
    tries = []
    for _ in range(5):
        with sink(sent) as elsewhere, attackers(elsewhere, name, 1.5) as others:
            quiet = p99(stage, 1.5)
        with attackers(stage.http_address, name, 1.5) as children:
            beside = p99(stage, 1.5)
        ended = [one for child in children for one in child.said]
        assert ended and all(one["goaway"] == CALM for one in ended), ended
        tries.append((round(quiet, 2), round(beside, 2), sum(len(child.said) for child in others), len(ended)))
        if beside <= 2 * quiet + ALLOWED:
            break
    print(f"{name}: p99 in ms, quiet and beside an attacker; attacks on somebody else and on it: {tries}")
    assert beside <= 2 * quiet + ALLOWED, tries


# ---- slow ones ----------------------------------------------------------------------------------------------------


def slow(address, how):
    """Does so until it is cut off; tells how that was, or None where it was not."""
    zero = struct.pack(">HI", 4, 0)
    large = headers(1, request(NAME, path=b"/large.bin"))
    if how == "silent":
        visitor = Visitor(address)
    elif how == "head":
        visitor = Visitor(address)
        visitor.send(headers(1, request(NAME), last=False))
    elif how == "head-beside-a-request":
        visitor = Visitor(address, settings=zero)
        visitor.send(large + headers(3, request(NAME), last=False))
    elif how in ("body", "body-crumbs"):
        visitor = Visitor(address)
        visitor.send(headers(1, request(NAME, b"PUT", b"/put/slow", more=[(b"content-length", b"100000")]), end=False))
    elif how == "zero-window":
        visitor = Visitor(address, settings=zero)
        visitor.send(large)
    elif how == "window-crumbs":
        visitor = Visitor(address, settings=zero)
        visitor.send(large)
    elif how == "connection-window":
        visitor = Visitor(address, settings=struct.pack(">HI", 4, 0x7FFFFFFF))
        visitor.send(large)
    elif how == "socket":
        visitor = Visitor(address, settings=struct.pack(">HI", 4, 0x7FFFFFFF), receive=4096)
        visitor.send(window(0, 0x7FFFFFFF - 65535) + large)
    visitor.since = time.monotonic()
    drip = {"body-crumbs": lambda: frame(DATA, 0, 1, b"x" * 10), "window-crumbs": lambda: window(1, 10)}.get(how)

    def cut():
        if how == "socket":
            return False
        return bool(visitor.codes(RST) or visitor.codes(GOAWAY) or visitor.closed)

    while time.monotonic() - visitor.since < SLOW + 5 and not cut():
        if drip:
            visitor.send(drip())
        if how == "socket":
            # Nothing is read; that it is over shows in what can be sent.
            time.sleep(0.25)
            if not visitor.send(frame(h2_attacks.PING, 0, 0, b"12345678") if int(time.monotonic()) % 2 else b""):
                break
        else:
            visitor.read(0.25)
    seconds = time.monotonic() - visitor.since
    visitor.socket.close()
    return {"how": how, "seconds": round(seconds, 1), "cut": cut() or visitor.closed, "resets": visitor.codes(RST), "goaway": visitor.codes(GOAWAY),
            "status": [payload for kind, _, _, payload in visitor.frames if kind == HEADERS]}


def test_slow_visitors_of_http2_are_cut_within_fifteen_seconds(stage):
    before = stage.status()
    ways = ["silent", "head", "head-beside-a-request", "body", "body-crumbs", "zero-window", "window-crumbs", "connection-window", "socket"]
    told, threads = {}, []
    for how in ways:
        threads.append(threading.Thread(target=lambda how=how: told.__setitem__(how, slow(stage.http_address, how))))
        threads[-1].start()
    for thread in threads:
        thread.join(60)
    wrong = [told.get(how, how) for how in ways if not told.get(how) or not told[how]["cut"] or told[how]["seconds"] > SLOW]
    assert not wrong, wrong
    http = stage.status()["http"]
    # Bodies, windows, the socket; those of crumbs of which somebody else may have had enough before.
    assert http["too_slow"] >= 5, http
    assert http["timeouts"] >= 7, http
    reasons = {event.get("failure") for event in stage.events("request")}
    assert {"request-slow", "visitor-slow"} <= reasons, reasons
    calm_again(stage, before)
    whole(stage)


def test_a_slow_but_honest_visitor_is_not_cut(world, stage):
    """300 bytes a second each way are enough, and so is one upload of many that share a line."""
    visitor = Visitor(stage.http_address, settings=struct.pack(">HI", 4, 400))
    visitor.send(headers(1, request(NAME, path=b"/large.bin")) + headers(3, request(NAME, b"PUT", b"/put/a", more=[(b"content-length", b"100000")]), end=False)
                 + headers(5, request(NAME, b"PUT", b"/put/b", more=[(b"content-length", b"100000")]), end=False))
    end = time.monotonic() + 15
    while time.monotonic() < end:
        visitor.send(window(1, 150) + frame(DATA, 0, 3, b"x" * 400))
        tick = time.monotonic() + 0.25
        while time.monotonic() < tick:
            visitor.read(max(0.0, tick - time.monotonic()))
    assert not visitor.closed and not visitor.codes(RST) and not visitor.codes(GOAWAY), visitor.frames[-5:]
    visitor.socket.close()


@pytest.mark.parametrize("mode, path, flags", [("-H", "large.bin", ["-i", 2]), ("-B", "put/slow", ["-i", 2, "-s", 8192, "-t", "PUT"]),
                                               ("-X", "large.bin", ["-w", 1, "-y", 2, "-n", 1, "-z", 1])], ids=["heads", "bodies", "readers"])
def test_slowhttptest(world, nginx, mode, path, flags):
    """Its connections are all gone 15 s after they came, and others are served meanwhile."""
    server = world.server()
    host, port = server.http_address
    with open(nginx.root / "large.bin", "wb") as large:
        large.truncate(LARGE)
    os.chmod(nginx.root / "large.bin", 0o644)
    nginx.file("small.txt", b"small")
    world.http_tunnel(server, nginx.port, host)

    def status():
        return json.loads(world.run("status", "--json", "--state", server.state).stdout)

    before = status()
    child = subprocess.Popen([program("slowhttptest"), mode, "-c", str(CROWD), "-r", "100", "-l", "40", "-p", "5", *map(str, flags), "-u", f"http://{host}:{port}/{path}"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: status()["http"]["visitors"] >= CROWD, "its visitors are here")
        began = time.monotonic()
        with HttpVisitor(server.http_address) as visitor:
            assert visitor.ask("GET", "/small.txt", host).body == b"small"
        until(lambda: status()["http"]["visitors"] <= 5, "they are cut off", patience=30)
        assert time.monotonic() - began < SLOW + 2, time.monotonic() - began  # the status itself takes its time here
        http = status()["http"]
        assert http["timeouts"] >= CROWD - 5, http  # as many may still be there
    finally:
        child.terminate()
        child.wait(30)

    until(lambda: status()["http"]["visitors"] == 0 and status()["buffer_bytes"] <= before["buffer_bytes"] * 1.05, "their memory is back")


# ---- oversize everything ------------------------------------------------------------------------------------------


def answered(server, pairs, body=b"", trailers=()):
    visitor = Visitor(server.http_address)
    block = h2_attacks.hpack(pairs)
    first, rest = block[:16_000], block[16_000:]
    visitor.send(frame(HEADERS, (0 if body or trailers else END_STREAM) | (0 if rest else 4), 1, first))
    while rest:
        piece, rest = rest[:16_000], rest[16_000:]
        visitor.send(frame(CONTINUATION, 0 if rest else 4, 1, piece))
    if body:
        visitor.send(frame(DATA, 0 if trailers else END_STREAM, 1, body))
    if trailers:
        visitor.send(headers(1, trailers))
    visitor.until(lambda: visitor.codes(RST) or visitor.codes(GOAWAY) or visitor.body(1))
    visitor.socket.close()
    return visitor


BIG = b"x" * 40_000
OVERSIZE_H2 = {
    "head": (dict(more=[(b"x-big", BIG)]), b"head-too-large"),
    "fields": (dict(more=[(b"x-%d" % i, b"") for i in range(300)]), b"too-many-fields"),
    "cookies": (dict(more=[(b"cookie", b"a=%d" % i) for i in range(300)]), b"too-many-fields"),
    "path": (dict(path=b"/" + b"x" * 20_000), b"target-too-long"),
    "method": (dict(method=b"X" * 100), b"method-too-long"),
}


@pytest.mark.parametrize("what", OVERSIZE_H2)
def test_oversize_in_http2(stage, what):
    more, slug = OVERSIZE_H2[what]
    before = stage.status()
    visitor = answered(stage, request(NAME, **more))
    assert slug in visitor.body(1), visitor.frames
    calm_again(stage, before)


def test_oversize_frames_of_http2(stage):
    before = stage.status()
    # A frame beyond SETTINGS_MAX_FRAME_SIZE; bytes beyond the windows; more than Content-Length; trailers as large as a head may be.
    visitor = Visitor(stage.http_address)
    visitor.send(frame(DATA, 0, 1, b"x" * 20_000))
    assert visitor.end()["goaway"] is not None
    visitor = Visitor(stage.http_address)
    visitor.send(headers(1, request(NAME, b"PUT", b"/put/x"), end=False))
    for _ in range(200):
        if not visitor.send(frame(DATA, 0, 1, b"x" * 16_000)):
            break
    assert visitor.until(lambda: visitor.codes(RST) or visitor.codes(GOAWAY)), visitor.frames
    visitor.socket.close()
    assert answered(stage, request(NAME, b"PUT", b"/put/x", more=[(b"content-length", b"3")]), body=b"12345").codes(RST)
    assert answered(stage, request(NAME, b"PUT", b"/put/x"), body=b"1", trailers=[(b"x-big", b"x" * 15_000)]).codes(RST)
    calm_again(stage, before)
    whole(stage)


OVERSIZE_H1 = {
    "head": ([f"X-Big: {'x' * 40_000}"], {}, 431),
    "fields": ([f"X-{i}: " for i in range(300)], {}, 431),
    "target": ([], {"path": "/" + "x" * 20_000}, 414),
    "method": ([], {"method": "X" * 100}, 501),
    "options": (["Connection: " + ", ".join(f"x{i}" for i in range(2000))], {}, 400),
}


@pytest.mark.parametrize("what", OVERSIZE_H1)
def test_oversize_in_http11(stage, what):
    lines, more, status = OVERSIZE_H1[what]
    before = stage.status()
    with HttpVisitor(stage.http_address) as visitor:
        with contextlib.suppress(OSError):
            visitor.request(more.get("method", "GET"), more.get("path", "/small.txt"), HOST, *lines)
        assert visitor.response().status in (status, 431), what
        assert visitor.ended()
    calm_again(stage, before)


@pytest.mark.parametrize("chunk", [b"FFFFFFFFFFFFFFFF\r\nx", b"1" * 100 + b"\r\n", b"1;" + b"e" * 20_000 + b"\r\nx\r\n", b"0\r\n" + b"X-T: " + b"t" * 20_000 + b"\r\n\r\n"],
                         ids=["size", "digits", "extension", "trailers"])
def test_oversize_chunks(stage, chunk):
    with HttpVisitor(stage.http_address) as visitor:
        visitor.request("PUT", "/put/x", HOST, "Transfer-Encoding: chunked")
        with contextlib.suppress(OSError):
            visitor.send(chunk)
        assert visitor.response().status == 400
        assert visitor.ended()
    whole(stage)
