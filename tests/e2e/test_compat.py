"""The command lines of the Rust FerroTunnel, unchanged, with this program at both ends."""
import socket
import termios

import pytest

from certificates import Authority
from origins import HttpOrigin
from processes import BINARY, Process, address, until
from terminal import Terminal
from visitors import HttpVisitor, connect, read_exactly

ANYWHERE = ["--bind", "127.0.0.1:0", "--http-bind", "127.0.0.1:0"]
TOKEN = "2c1ab39e0c5f4d66b21f9c0e57e3a8d4"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def start(world):
    """ferrotunnel with exactly these words; where its state is, a variable says."""
    def start(*words, **env):
        return world.add(Process([BINARY, *words], world.work, world.name(words[0]), {**world.env, "FERROTUNNEL_STATE": str(world.work / "state"), **env}))

    return start


@pytest.fixture
def origin(world):
    def hello(_line, _fields, _stream, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        return True

    return HttpOrigin(world, hello)


def reaches(server, host):
    """A request for this host arrives at the origin."""
    with HttpVisitor(address(server.events("ready")[0]["http"])) as visitor:
        return visitor.ask("GET", "/", host).body == b"hello"


def test_their_two_commands(start, origin):
    server = start("server", "--token", TOKEN, *ANYWHERE, "--log-level", "info")
    assert server.wait_event("ready")["tls"] is False
    client = start("client", "--server", server.events("ready")[0]["listen"], "--token", TOKEN, "--local-addr", f"127.0.0.1:{origin.port}", "--tunnel-id", "my-app")
    assert client.wait_event("tunnel_up")["url"].startswith("http://my-app:")
    assert reaches(server, "my-app")
    assert reaches(server, "MY-APP:80")
    assert not reaches(server, "other")
    assert "plain TCP" in server.stderr() and server.stderr().count("\n") == 1
    assert client.stderr() == ""
    assert TOKEN not in server.stderr()


def test_their_variables(start, origin):
    server = start("server", FERROTUNNEL_TOKEN=TOKEN, FERROTUNNEL_BIND="127.0.0.1:0", FERROTUNNEL_HTTP_BIND="127.0.0.1:0",
                   FERROTUNNEL_METRICS="true", FERROTUNNEL_METRICS_BIND="127.0.0.1:0", RUST_LOG="info,ferrotunnel=debug")
    server.wait_event("ready")
    client = start("client", FERROTUNNEL_SERVER=server.events("ready")[0]["listen"], FERROTUNNEL_TOKEN=TOKEN, FERROTUNNEL_LOCAL_ADDR=f"127.0.0.1:{origin.port}",
                   FERROTUNNEL_TUNNEL_ID="my-app", FERROTUNNEL_DASHBOARD_PORT="4040")
    client.wait_event("tunnel_up")
    assert reaches(server, "my-app")
    assert "without effect in this version: FERROTUNNEL_METRICS_BIND, FERROTUNNEL_METRICS" in server.stderr()
    assert client.stderr() == "ferrotunnel: accepted, and without effect in this version: FERROTUNNEL_DASHBOARD_PORT\n"


def test_their_tls(world, start, origin):
    authority = Authority(world.work, "authority")
    certificate, key = authority.issue("server", names="DNS:tunnel.example.com")
    mine, my_key = authority.issue("client")
    server = start("server", "--token", TOKEN, *ANYWHERE, "--tls-cert", certificate,
                   "--tls-key", key, "--tls-ca", authority.file, "--tls-client-auth")
    assert server.wait_event("ready")["tls"] is True
    assert server.stderr() == ""
    ours = ["client", "--server", server.events("ready")[0]["listen"], "--token", TOKEN, "--local-addr", f"127.0.0.1:{origin.port}", "--tls-cert", mine, "--tls-key", my_key]
    client = start(*ours, "--tunnel-id", "a", "--tls", "--tls-ca", authority.file, "--tls-server-name", "tunnel.example.com")
    client.wait_event("tunnel_up")
    careless = start(*ours, "--tunnel-id", "b", "--tls", "--tls-skip-verify")
    careless.wait_event("tunnel_up")
    assert reaches(server, "a") and reaches(server, "b")
    # Another name than the one in the certificate, no authority, no certificate of one's own: nobody is believed.
    for words in (["--tls", "--tls-ca", authority.file], ["--tls"], ["--tls", "--tls-skip-verify", "--tls-cert", "", "--tls-key", ""]):
        done = world.run(*ours[:7], *words, "--fail-fast")
        assert done.returncode not in (0, 3), (words, done)


def test_a_wrong_token_is_refused(world, start):
    server = start("server", "--token", TOKEN, *ANYWHERE)
    tunnels = server.wait_event("ready")["listen"]
    done = world.run("client", "--server", server.events("ready")[0]["listen"], "--token", "x" * 32, "--local-addr", "127.0.0.1:1")
    assert done.returncode == 3, done
    assert "x" * 32 not in done.stdout + done.stderr


def test_a_short_token_is_refused_with_what_to_do(world):
    for words in (["server"], ["client", "--server", "127.0.0.1:1"]):
        done = world.run(*words, "--token", "secret")
        assert done.returncode == 2 and "openssl rand -hex 16" in done.stderr, done


def test_tcp_bind_is_the_port_of_a_client_that_asks(start, echo):
    port = free_port()
    server = start("server", "--token", TOKEN, *ANYWHERE, "--tcp-bind", f"127.0.0.1:{port}")
    server.wait_event("ready")
    assert f"--tcp NAME=TARGET,port={port}" in server.stderr()
    client = start("client", "--server", server.events("ready")[0]["listen"], "--token", TOKEN, "--tcp", f"echo={echo.port}")
    assert client.wait_event("tunnel_up")["port"] == port
    with connect(("127.0.0.1", port)) as visitor:
        visitor.sendall(b"hello")
        assert read_exactly(visitor, 5) == b"hello"


def test_the_token_in_files_and_as_a_join_token(world, start, origin):
    (world.work / "token").write_text(TOKEN + "\n")
    (world.work / "token").chmod(0o600)
    server = start("server", "--token-file", world.work / "token", "--tls", "on", *ANYWHERE)
    ready = server.wait_event("ready")
    assert ready["tls"] is True and server.stderr() == ""
    (world.work / "join").write_text(ready["join"])
    (world.work / "join").chmod(0o600)
    for host, words in (("a", ["--token", ready["join"], "--no-save"]), ("b", ["--token-file", world.work / "join", "--no-save"])):
        client = start("client", "--local-addr", f"127.0.0.1:{origin.port}", "--tunnel-id", host, *words)
        client.wait_event("tunnel_up")
        assert reaches(server, host)


# --- the prompt


@pytest.fixture
def ask(world):
    def ask(*words):
        terminal = world.add(Terminal([BINARY, *words], world.work, world.name("asked"), {**world.env, "TERM": "xterm"}))
        terminal.wait_screen("oken")
        return terminal

    return ask


def test_a_terminal_is_asked_for_the_token_and_does_not_show_it(start, ask, origin):
    server = start("server", "--token", TOKEN, *ANYWHERE)
    server.wait_event("ready")
    client = ask("client", "--server", server.events("ready")[0]["listen"], "--local-addr", f"127.0.0.1:{origin.port}", "--tunnel-id", "my-app")
    assert client.screen() == "Token: "
    until(lambda: not echoes(client), "the terminal hides what is typed")
    client.type(TOKEN.encode() + b"\n")
    client.wait_screen("->")
    assert reaches(server, "my-app")
    assert TOKEN not in client.screen()
    assert echoes(client)
    client.type(b"\x03")
    assert client.wait_exit() == 0


def echoes(terminal):
    return bool(termios.tcgetattr(terminal.master)[3] & termios.ECHO)


def test_ctrl_c_at_the_prompt_leaves_the_terminal_as_it_was(ask):
    client = ask("http", "8080")
    until(lambda: not echoes(client), "the terminal hides what is typed")
    client.type(b"\x03")
    assert client.wait_exit() == -2
    assert echoes(client)


def test_nothing_typed_is_a_missing_token(ask):
    client = ask("http", "8080")
    until(lambda: not echoes(client), "the terminal hides what is typed")
    client.type(b"\n")
    assert client.wait_exit() == 2
    assert "no join token yet" in client.screen()
    assert echoes(client)
