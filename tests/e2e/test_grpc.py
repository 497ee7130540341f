"""gRPC through the tunnel: the interop client and server of grpc-go, each of its cases, in the clear and over TLS at the ingress; and what callers are told."""
# ctest: timeout=300
import base64
import json
import os
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest

import h2_attacks as h2
import origins
from certificates import Authority
from processes import PATIENCE, address, until
from visitors import HttpVisitor, curl

COUNTERPARTS = Path(__file__).resolve().parents[2] / "build/counterparts"
# Its name has to be one that resolves to this machine.
HOST = "localhost"
CASES = ("empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream", "timeout_on_sleeping_server",
         "cancel_after_begin", "cancel_after_first_response", "status_code_and_message", "special_status_message", "custom_metadata",
         "unimplemented_method", "unimplemented_service")


def counterpart(name):
    found = COUNTERPARTS / name
    assert found.exists(), f"{found} is not there: run scripts/counterparts"
    return str(found)


class InteropServer:
    def __init__(self, world, *flags):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = open(world.work / world.name("grpc"), "w+b")  # noqa: SIM115 as long as the child
        self.child = subprocess.Popen([counterpart("grpc-interop-server"), f"-port={self.port}", *flags], stdout=self.log, stderr=self.log)
        world.later(self.close)
        until(self.listens, "the interop server listens")

    def listens(self):
        assert self.child.poll() is None, Path(self.log.name).read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(20)
        self.log.close()


def call(case, port, *flags):
    done = subprocess.run([counterpart("grpc-interop-client"), f"-server_host={HOST}", f"-server_port={port}", f"-test_case={case}", *flags],
                          capture_output=True, text=True, timeout=60, env={**os.environ, "GRPC_GO_LOG_SEVERITY_LEVEL": "info", "NO_PROXY": "*"})
    return done.returncode, done.stdout + done.stderr


def pass_all(port, *flags):
    failed = {}
    for case in CASES:
        code, said = call(case, port, *flags)
        if code != 0:
            failed[case] = said[-2000:]
    assert not failed, "\n".join(f"{case}: {said}" for case, said in failed.items())


@pytest.fixture
def grpc(world):
    return InteropServer(world)


@pytest.mark.parametrize("scheme", ["h2c://", "http://"])
def test_every_case_in_the_clear(world, grpc, scheme):
    """By `http://` too: a call of gRPC is never anything but HTTP/2."""
    server = world.server()
    world.http_tunnel(server, f"{scheme}127.0.0.1:{grpc.port}", HOST)
    pass_all(server.http_address[1])


def test_every_case_over_tls(world, grpc):
    authority = Authority(world.work, "ca")
    certificate, key = authority.issue(HOST)
    config = world.work / "server.toml"
    config.write_text("[server]\nhttp2 = true\n")
    server = world.server("--config", config, "--https-listen", "127.0.0.1:0", "--https-cert", certificate, "--https-key", key)
    world.http_tunnel(server, f"h2c://127.0.0.1:{grpc.port}", HOST)
    pass_all(address(server.https)[1], "-use_tls", "-use_test_ca", f"-ca_file={authority.file}")


def test_a_service_over_tls(world):
    """h2s://: the client of the tunnel makes TLS, with h2 in ALPN."""
    authority = Authority(world.work, "ca")
    certificate, key = authority.issue("localhost")
    grpc = InteropServer(world, "-use_tls", f"-tls_cert_file={certificate}", f"-tls_key_file={key}")
    server = world.server()
    world.http_tunnel(server, f"h2s://localhost:{grpc.port}", HOST, "--origin-tls-ca", authority.file)
    pass_all(server.http_address[1])


def test_what_callers_are_told(world, grpc):
    """A service that is not there is UNAVAILABLE, as the codes of gRPC say it, and the reason stands in the message."""
    gone = origins.TcpOrigin(world, origins.echo)
    gone.close()
    server = world.server()
    world.http_tunnel(server, f"h2c://127.0.0.1:{gone.port}", HOST)
    code, said = call("empty_unary", server.http_address[1])
    assert code != 0
    assert "Unavailable" in said and "origin-refused" in said, said
    request = server.wait_event("request", host=HOST, patience=PATIENCE)
    assert request["failure"] == "origin-refused", request


PROTO = """
syntax = "proto3";
package grpc.testing;
message Empty {}
message Payload { int32 type = 1; bytes body = 2; }
message SimpleRequest { int32 response_type = 1; int32 response_size = 2; Payload payload = 3; }
message SimpleResponse { Payload payload = 1; }
message ResponseParameters { int32 size = 1; int32 interval_us = 2; }
message StreamingOutputCallRequest { int32 response_type = 1; repeated ResponseParameters response_parameters = 2; Payload payload = 3; }
message StreamingOutputCallResponse { Payload payload = 1; }
service TestService {
  rpc EmptyCall(Empty) returns (Empty);
  rpc UnaryCall(SimpleRequest) returns (SimpleResponse);
  rpc StreamingOutputCall(StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
  rpc FullDuplexCall(stream StreamingOutputCallRequest) returns (stream StreamingOutputCallResponse);
}
"""
BODY = base64.b64encode(b"x" * 3000).decode()
LOADS = {
    "empty": ("EmptyCall", {}),
    "unary": ("UnaryCall", {"response_size": 20_000, "payload": {"body": BODY}}),
    "server-streams": ("StreamingOutputCall", {"response_parameters": [{"size": 1000}] * 20}),
    "both-stream": ("FullDuplexCall", [{"response_parameters": [{"size": 1000}], "payload": {"body": BODY}}] * 10),
}


@pytest.mark.parametrize("load", LOADS)
def test_many_calls_at_once_by_ghz(world, grpc, load):
    """1,000 calls, 40 at a time over 4 connections: each is OK."""
    method, data = LOADS[load]
    proto = world.work / "test.proto"
    proto.write_text(PROTO)
    server = world.server()
    world.http_tunnel(server, f"h2c://127.0.0.1:{grpc.port}", HOST)
    done = subprocess.run([counterpart("ghz"), "--insecure", "--proto", str(proto), "--call", f"grpc.testing.TestService.{method}", "-d", json.dumps(data), "-n", "1000", "-c", "40", "--connections", "4",
                           "-t", "60s", "-O", "json", f"{HOST}:{server.http_address[1]}"], capture_output=True, text=True, timeout=200, env={**os.environ, "NO_PROXY": "*"})
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["count"] == 1000
    assert told["statusCodeDistribution"] == {"OK": 1000}, told["errorDistribution"]
    assert not any(event["status"] != 200 for event in server.events("request", host=HOST)), [event for event in server.events("request") if event["status"] != 200][:3]


# --- gRPC-Web: a request like any other, whose trailers are in its body

def web_frame(kind, payload):
    return struct.pack(">BI", kind, len(payload)) + payload


WEB_MESSAGES = [web_frame(0, bytes(range(256)) * 4), web_frame(0, b"\0" * 70_000), web_frame(0x80, b"grpc-status: 0\r\ngrpc-message: fine\r\n")]


def read_body(fields, stream):
    if "content-length" in fields:
        return stream.read(int(fields["content-length"]))
    body = b""
    while size := int(stream.readline(), 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


class WebOrigin:
    """Answers a call of gRPC-Web message by message, each when the test says so."""

    def __init__(self, world, content_type):
        self.next = threading.Semaphore(0)
        self.heads, self.bodies = [], []
        text = "-text" in content_type
        self.pieces = [base64.b64encode(piece) if text else piece for piece in WEB_MESSAGES]

        def respond(line, fields, stream, connection):
            self.heads.append(fields)
            self.bodies.append(read_body(fields, stream))
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            for piece in self.pieces:
                assert self.next.acquire(timeout=PATIENCE)
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.sendall(b"0\r\n\r\n")
            return True

        self.origin = origins.HttpOrigin(world, respond)
        self.port = self.origin.port


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("content_type", ["application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text+proto"])
def test_grpc_web_passes_untouched_and_at_once(world, content_type, version):
    """Over both versions; even with compression on, and each message before the next is made."""
    origin = WebOrigin(world, content_type)
    server = world.server()
    world.http_tunnel(server, origin.port, HOST, "--compress")
    call_body = origin.pieces[0]
    got = bytearray()
    if version == 1:
        visitor = HttpVisitor(server.http_address)
        visitor.request("POST", "/s/m", HOST, f"Content-Type: {content_type}", "X-Grpc-Web: 1", "Accept-Encoding: gzip", body=call_body)
        origin.next.release()
        head = origins.fields(origins.read_head(visitor.stream))

        def more():
            size = int(visitor.stream.readline(), 16)
            got.extend(visitor.stream.read(size))
            visitor.stream.readline()
            return size
    else:
        visitor = h2.Visitor(server.http_address)
        lines = [(b"content-type", content_type.encode()), (b"x-grpc-web", b"1"), (b"accept-encoding", b"gzip")]
        visitor.send(h2.window(0, 1 << 20) + h2.headers(1, h2.request(HOST.encode(), b"POST", b"/s/m", lines), end=False))
        visitor.send(h2.window(1, 1 << 20) + h2.frame(h2.DATA, h2.END_STREAM, 1, call_body))
        origin.next.release()
        head = {}

        def more():
            before = len(got)
            assert visitor.until(lambda: len(visitor.body(1)) > before, PATIENCE), visitor.frames
            got[:] = visitor.body(1)
            return len(got) - before
    wanted = b""
    for i, piece in enumerate(origin.pieces):
        wanted += piece
        while len(got) < len(wanted):
            assert more() > 0
        assert bytes(got) == wanted, i
        origin.next.release()
    if version == 1:
        assert more() == 0
        assert head["content-type"] == content_type
        assert "content-encoding" not in head
    else:
        ended = [flags for kind, flags, *_ in visitor.frames if kind in (h2.DATA, h2.HEADERS) and flags & h2.END_STREAM]
        assert ended or visitor.until(lambda: any(kind in (h2.DATA, h2.HEADERS) and flags & h2.END_STREAM for kind, flags, *_ in visitor.frames), PATIENCE)
        assert visitor.body(1) == wanted
    assert origin.bodies == [call_body]
    assert origin.heads[0]["content-type"] == content_type
    assert origin.heads[0]["x-grpc-web"] == "1"


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_what_callers_of_grpc_web_are_told(world, version):
    gone = origins.TcpOrigin(world, origins.echo)
    gone.close()
    server = world.server()
    world.http_tunnel(server, gone.port, HOST)
    for content_type, host in (("application/grpc-web+proto", HOST), ("application/grpc-web-text", HOST), ("application/grpc-web", "nobody.test")):
        said = curl(f"http://{host}/s/m", server, version, "-i", "-X", "POST", "-H", f"Content-Type: {content_type}; charset=x").decode().lower()
        head, _, body = said.partition("\r\n\r\n")
        assert body == "", said
        assert " 200" in head.splitlines()[0], said
        assert f"\r\ncontent-type: {content_type}\r\n" in head, said
        reason, status = ("origin-refused", 14) if host == HOST else ("no-such-host", 12)
        assert f"\r\ngrpc-status: {status}\r\n" in head, said
        assert f"\r\ngrpc-message: {reason}: " in head, said
        assert f"\r\nferrotunnel-error: {reason}\r\n" in head, said
    said = curl(f"http://{HOST}/s/m", server, "-i", "-X", "POST", "-H", "Content-Type: application/grpc-website").decode()
    assert "502" in said.splitlines()[0], said
