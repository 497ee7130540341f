"""gRPC through the tunnel: the interop client and server of grpc-go, each of its cases, in the clear and over TLS at the ingress; and what callers are told."""
# ctest: timeout=300
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

import origins
from certificates import Authority
from processes import PATIENCE, address, until

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
