"""What the command says: help, mistakes, versions, its document; what a person sees on a terminal, and a program elsewhere."""
import json
import re
from pathlib import Path

import pytest

from processes import BINARY, until
from terminal import Terminal
from visitors import connect, read_exactly

COMMANDS = ["server", "http", "tcp", "client", "token new", "token list", "token show", "token revoke", "status", "kick", "reload", "check", "drain", "completion", "man", "version"]
TOP = Path(__file__).resolve().parents[2]


@pytest.fixture
def on_terminal(world):
    def start(*words, columns=120, **env):
        terminal = Terminal([BINARY, *words], world.work, world.name("terminal"), {**world.env, "TERM": "xterm", **env}, columns)
        return world.add(terminal)

    return start


# --- help and version


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], *[[*c.split(), "--help"] for c in COMMANDS], *[["help", *c.split()] for c in COMMANDS]])
def test_help(world, words):
    done = world.run(*words)
    assert done.returncode == 0 and not done.stderr
    for part in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS"):
        assert f"\n{part}\n" in "\n" + done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 130
    assert "\x1b" not in done.stdout


def test_help_names_the_variable_of_each_flag_and_it_works(world):
    text = world.run("server", "--help").stdout
    flags = re.findall(r"^    --([a-z-]+)", text, re.M)
    assert len(flags) > 10
    for flag in flags:
        assert f"[FERROTUNNEL_{flag.upper().replace('-', '_')}]" in text
    done = world.run("server", env={"FERROTUNNEL_THREADS": "none"})
    assert done.returncode == 2 and "FERROTUNNEL_THREADS" in done.stderr


def test_the_document_says_what_the_help_says(world):
    document = (TOP / "docs/cli.md").read_text()
    for command in ["", *COMMANDS]:
        text = world.run(*command.split(), "--help").stdout.rstrip("\n")
        assert f"```text\n{text}\n```" in document, f"docs/cli.md has not what ferrotunnel {command} --help prints"


def test_version(world):
    assert re.fullmatch(r"ferrotunnel \d+\.\d+\.\d+ \(.*\)\n", world.run("version").stdout)
    said = json.loads(world.run("version", "--json").stdout)
    assert said["name"] == "ferrotunnel" and re.fullmatch(r"\d+\.\d+\.\d+", said["version"])
    assert world.run("--version").stdout == world.run("version").stdout


# --- mistakes


@pytest.mark.parametrize("words, part", [
    ([], "which command?"),
    (["sever"], "did you mean 'server'?"),
    (["server", "--htp-listen", ":80"], "did you mean --http-listen?"),
    (["http", "8080", "--hots", "x"], "did you mean --host?"),
    (["http"], "which service?"),
    (["http", "8080"], "ferrotunnel http 8080 --join ft1_"),
    (["tcp", "22"], "no join token yet"),
    (["server", "--public-address", "http://eu.example.com"], "without http://"),
    (["server", "--public-address", "bad host"], "is no HOST or HOST:PORT"),
    (["client", "--join", "x"], "--http NAME=TARGET"),
    (["server", "--listen"], "needs a value"),
    (["server", "--threads", "many"], "'many' is not a number"),
    (["server", "--listen", "nonsense:x"], "nonsense"),
    (["server", "--state", "/dev/null/x", "--listen", "127.0.0.1:99999"], "99999"),
    (["http", "notaport:x", "--join", "ft1_x"], ""),
    (["tcp", "22", "--port", "70000", "--join", "x"], "--port"),
])
def test_wrong_use_is_2_and_says_what_to_do(world, words, part):
    done = world.run(*words)
    assert done.returncode == 2, done
    assert done.stderr.startswith("ferrotunnel: ") and part in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("target", ["0", "65536", "abc:def", "http://127.0.0.1:80/path", "ftp://127.0.0.1", "unix:", "unix:" + "x" * 200, "", " ", "1:2:3:4", "\x1b[31m"])
def test_targets_that_are_none(world, target):
    server = world.server()
    done = world.run("http", target, "--join", server.join)
    assert done.returncode == 2, done
    assert done.stderr.startswith("ferrotunnel: ") and "\x1b" not in done.stderr


# --- JSON lines


def test_piped_output_is_json_lines_with_time_level_and_event(world, echo):
    server = world.server("--log-level", "debug")
    client = world.tcp_tunnel(server, echo.port, "--log-level", "debug")
    with connect(client.public) as visitor:
        visitor.sendall(b"x")
        read_exactly(visitor, 1)
    for one in (client, server):
        one.wait_event("visitor", opened=False)
        one.stop()
        for line in one.stdout().splitlines():
            event = json.loads(line)
            assert list(event)[:3] == ["time", "level", "event"]
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
            assert event["level"] in ("error", "warn", "info", "debug")
    said = [event["event"] for event in client.events()]
    assert [e for e in said if e not in ("visitor", "token_kept")] == ["connecting", "connected", "tunnel_up", "stopping", "stopped"]
    said = [event["event"] for event in server.events()]
    assert [e for e in said if e != "visitor"] == ["ready", "session_up", "tunnel_up", "tunnel_down", "session_down", "stopping", "stopped"]


def test_quiet_levels_still_say_where_it_is(world, echo):
    server = world.server("--log-level", "error")
    client = world.tcp_tunnel(server, echo.port, "--log-level", "error")
    client.stop()
    server.stop()
    assert [e["event"] for e in server.events()] == ["ready", "stopped"]
    assert [e["event"] for e in client.events()] == ["tunnel_up", "stopped"]


def test_human_lines_when_piped_have_no_control_codes(world, echo):
    server = world.server("--log-format", "human", lines=False)
    until(lambda: b"ready" in server.stdout(), "the server is ready")
    token = re.search(r"--join (ft1_\S+)", server.stdout().decode())[1]
    client = world.client("tcp", echo.port, "--log-format", "human", join=token, lines=False)
    until(lambda: b"->" in client.stdout(), "the tunnel is up")
    client.stop()
    server.stop()
    for text in (server.stdout(), client.stdout()):
        assert b"\x1b" not in text and b"\r" not in text


# --- terminals


def start_server(on_terminal, world, *flags, **env):
    server = on_terminal("server", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--tcp-listen-host", "127.0.0.1", "--state",
                         world.work / "state", *flags, **env)
    server.wait_screen("ready")
    return server


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_server_on_a_terminal(world, on_terminal):
    server = start_server(on_terminal, world, columns=200)
    server.wait_screen(" ms")
    said = plain(server.screen())
    assert re.search(r"listening +127\.0\.0\.1:\d+ \(tunnels, TLS\) +127\.0\.0\.1:\d+ \(http\)", said)
    assert str(world.work / "state") in said and "made now" in said
    assert re.search(r"ferrotunnel http 3000 --join ft1_[\w-]+", said)
    assert re.search(r"ready +in \d+ ms", said)
    assert "\x1b[" in server.screen(), "colours"
    assert "{" not in said
    server.type(b"\x03")
    assert server.wait_exit() == 0
    assert "stopped" in plain(server.screen())


def test_a_client_on_a_terminal_has_one_live_line(world, on_terminal, echo):
    server = world.server()
    client = on_terminal("tcp", echo.port, "--join", server.join)
    client.wait_screen("->")
    said = plain(client.screen())
    assert re.search(r"connecting +127\.0\.0\.1:\d+", said)
    assert re.search(r"connected +127\.0\.0\.1:\d+ +tls 1\.3", said)
    url, port = re.search(r"(tcp://127\.0\.0\.1:(\d+))  ->  tcp://127\.0\.0\.1:%d" % echo.port, said).groups()
    assert url
    client.wait_screen("connections 0 now")
    with connect(("127.0.0.1", int(port))) as visitor:
        visitor.sendall(b"x" * 5000)
        read_exactly(visitor, 5000)
        client.wait_screen("connections 1 now, 1 in all")
    client.wait_screen("connections 0 now, 1 in all")
    parts = re.split(r"\r\x1b\[K", client.screen())
    live = [part for part in parts if "connections" in part and " now" in part and "->" not in part]  # a tunnel's line may come later
    assert live and all("\n" not in part.rstrip("\r\n") for part in live[:-1]), "it is updated in place"
    client.type(b"\x03")
    assert client.wait_exit() == 0


def test_the_live_line_fits_a_narrow_terminal(world, on_terminal, echo):
    server = world.server()
    client = on_terminal("tcp", echo.port, "--join", server.join, columns=30)
    client.wait_screen("connections 0 now")
    for part in re.findall(r"\r\x1b\[K(  connections[^\r]*)", client.screen()):
        assert len(part) < 30


def test_no_color(world, on_terminal, echo):
    server = start_server(on_terminal, world, NO_COLOR="1")
    assert "\x1b" not in server.screen()
    token = re.search(r"ft1_[\w-]+", server.screen().replace("\r\n", ""))
    assert token
    client = on_terminal("tcp", echo.port, "--join", world.server().join, NO_COLOR="1")
    client.wait_screen("connections 0 now")
    assert not re.search(r"\x1b\[[0-9;]*m", client.screen())


def test_a_dumb_terminal_gets_plain_lines(world, on_terminal, echo):
    client = on_terminal("tcp", echo.port, "--join", world.server().join, TERM="dumb")
    client.wait_screen("->")
    client.type(b"\x03")
    client.wait_exit()
    assert "\x1b" not in client.screen()


def test_json_on_a_terminal_when_asked_for(world, on_terminal):
    server = on_terminal("server", "--listen", "127.0.0.1:0", "--http-listen", "off", "--state", world.work / "state", "--log-format", "json")
    server.wait_screen("}")
    assert json.loads(server.screen().splitlines()[0])["event"] == "ready"


def test_an_error_on_a_terminal_is_said_once(world, on_terminal):
    server = world.server()
    client = on_terminal("tcp", "1", "--join", server.join[:-9])
    assert client.wait_exit() == 2
    assert plain(client.screen()).count("the join token is") == 1
    assert "ferrotunnel: the join token is" in client.screen()


def test_an_unreachable_server_is_told_on_a_terminal(world, on_terminal):
    gone = world.server()
    gone.stop()
    client = on_terminal("tcp", "1", "--join", gone.join)
    client.wait_screen("trying again in")
    assert gone.listen.rpartition(":")[2] in client.screen()
    client.type(b"\x03")
    assert client.wait_exit() == 0
