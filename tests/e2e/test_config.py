"""Configuration files at both ends: what they say holds, flags go before them, they are checked, and read anew while everything runs."""
import hashlib
import json
import os
import signal
import socket
import ssl
import threading
import time

import pytest

from certificates import Authority
from processes import BINARY, Process, Server, until
from visitors import connect, curl, read_exactly

SECRET = "a secret of sixteen or more"


class Files:
    """A server and a client that run from files."""

    def __init__(self, world):
        self.world = world
        self.server_file = world.work / "server.toml"
        self.client_file = world.work / "client.toml"
        self.state = world.work / "state"
        self.socket = world.work / "client.sock"

    def write(self, path, text):
        """As an editor does: whole, in place of what was there."""
        new = path.with_suffix(".new")
        new.write_text(text)
        os.chmod(new, 0o600)
        new.rename(path)

    def write_server(self, more="", server="", http="127.0.0.1:0"):
        self.write(self.server_file, f"""
[server]
listen = "127.0.0.1:0"
http_listen = "{http}"
tcp_listen_host = "127.0.0.1"
state = "{self.state}"
tls = false
{server}
[grants.laptop]
secret = "{SECRET}"
{more}
""")

    def start_server(self, *flags):
        argv = [BINARY, "server", "--config", self.server_file, *flags]
        self.server = self.world.add(Server(argv, self.world.work, self.world.name("server"), self.world.env, self.state)).wait_ready()
        return self.server

    def write_client(self, tunnels, client="", secret=SECRET):
        self.write(self.client_file, f"""
[client]
server = "{self.server.listen}"
grant = "laptop"
token = "{secret}"
tls = false
control_socket = "{self.socket}"
{client}
{tunnels}
""")

    def start_client(self, *flags):
        argv = [BINARY, "client", "--config", self.client_file, *flags]
        self.client = self.world.add(Process(argv, self.world.work, self.world.name("client"), self.world.env))
        return self.client

    def ask(self, *words, code=0):
        done = self.world.run(*words)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr


@pytest.fixture
def files(world):
    return Files(world)


def web(nginx, name="web", host="web.test"):
    return f'[tunnels.{name}]\nto = "http://127.0.0.1:{nginx.port}"\nurl = "http://{host}"\n'


def tcp(echo, name="echo", url="tcp://"):
    return f'[tunnels.{name}]\nto = "tcp://127.0.0.1:{echo.port}"\nurl = "{url}"\n'


# --- files and what goes before them


def test_a_server_and_a_client_of_files(files, echo, nginx):
    nginx.file("a.txt", b"a")
    files.write_server()
    files.start_server()
    files.write_client(web(nginx) + tcp(echo))
    client = files.start_client()
    client.wait_event("tunnel_up", name="web")
    port = client.wait_event("tunnel_up", name="echo")["port"]
    assert curl("http://web.test/a.txt", files.server) == b"a"
    with connect(("127.0.0.1", port)) as visitor:
        visitor.sendall(b"ping")
        assert read_exactly(visitor, 4) == b"ping"
    status = json.loads(files.ask("status", "--state", files.state, "--json"))
    assert [s["grant"] for s in status["sessions"]] == ["laptop"]
    mine = json.loads(files.ask("status", "--socket", files.socket, "--json"))
    assert mine["connected"] and {t["name"]: t["up"] for t in mine["tunnels"]} == {"web": True, "echo": True}
    table = files.ask("status", "--socket", files.socket)
    assert "TUNNEL" in table and "web.test" in table
    assert files.ask("drain", "--socket", files.socket) == "the client has ended\n"
    assert client.wait_exit() == 0
    files.world.processes.remove(client)


def test_flag_before_environment_before_file_before_default(files, world):
    files.write_server(server="drain_timeout = 7\nthreads = 1")
    server = files.start_server("--tcp-listen-host", "127.0.0.2")
    assert server.join.startswith("ft1_")
    files.write_client('[tunnels.a]\nto = "tcp://127.0.0.1:1"\n', secret="wrong and of sixteen bytes")
    client = files.start_client("--tcp", "b=1")
    assert client.wait_exit() == 3, "the file's token"
    world.processes.remove(client)
    # The environment's goes before it, with tunnels of the file and of the line.
    secret = world.work / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    env = {**world.env, "FERROTUNNEL_GRANT": "laptop", "FERROTUNNEL_SECRET_FILE": str(secret)}
    client = world.add(Process([BINARY, "client", "--config", files.client_file, "--tcp", "b=1"], world.work, "env", env))
    client.wait_event("tunnel_up", name="a")
    assert "127.0.0.2" in client.wait_event("tunnel_up", name="b")["url"]


def test_check_names_every_mistake(files, world):
    files.write(files.server_file, '[server]\nhtp_listen = ":80"\nthreads = "many"\n[grants.a]\nsecret = "short"\n')
    said = files.ask("check", files.server_file, code=2)
    lines = said.splitlines()
    assert len(lines) == 3, said
    assert f'{files.server_file}:2:1: ' in lines[0] and 'did you mean "http_listen"?' in lines[0]
    assert f"{files.server_file}:3:1: " in lines[1]
    assert f"{files.server_file}:5:1: " in lines[2]
    started = world.run("server", "--config", files.server_file)
    assert started.returncode == 2 and started.stderr == said
    files.write_server()
    files.server_file.chmod(0o644)
    open_to_all = files.ask("check", files.server_file, code=2)
    assert f"{files.server_file}:10:1: grants.laptop.secret: " in open_to_all and f"chmod 600 {files.server_file}" in open_to_all
    files.write(files.server_file, "[server]\nthreads = 2\n")
    assert files.ask("check", files.server_file) == f"{files.server_file}: right\n"
    files.write(files.client_file, '[tunnels.web]\nto = "http://127.0.0.1:1"\nurl = "http://a.test"\n[client]\nserver = "a.test:1"\ngrant = "a"\ntoken = "0123456789abcdef"\n')
    assert files.ask("check", files.client_file) == f"{files.client_file}: right\n"
    assert json.loads(files.ask("check", "--schema"))["$schema"].startswith("https://json-schema.org/")
    missing = files.ask("check", world.work / "nowhere.toml", code=2)
    assert "nowhere.toml" in missing
    files.write(files.server_file, f'[grants.old]\nsecret = "{SECRET}"\nexpires = 2020-01-01\n')
    assert "but: the grant old expired on 2020-01-01" in files.ask("check", files.server_file)
    users = ["ann:$2b$10$" + "a" * 53, "bob:$2b$10$" + "b" * 53]
    for more, noted in (([], False), (["eve:$2b$04$" + "c" * 53], True)):
        told = ", ".join(f'"{user}"' for user in users + more)
        files.write(files.client_file, f'[client]\nserver = "a.test:1"\ngrant = "a"\ntoken = "{SECRET}"\n[tunnels.web]\nto = "http://127.0.0.1:1"\nurl = "http://a.test"\nbasic_auth = [{told}]\n')
        said = files.ask("check", files.client_file)
        assert said.startswith(f"{files.client_file}: right\n")
        assert ("but: the passwords of tunnel web differ in cost (bcrypt 04, bcrypt 10)" in said) == noted, said
    files.write(files.server_file, f'[server]\ntls_cert = "{world.work}/no.pem"\ntls_key = "{world.work}/no.key"\n')
    assert "no.key" in files.ask("check", files.server_file, code=2)
    files.write(files.client_file, f'[client]\nserver = "a b"\ngrant = "a"\ntoken = "{SECRET}"\n[tunnels.a]\nto = "tcp://127.0.0.1:1"\n')
    assert "client.toml:2:1" in files.ask("check", files.client_file, code=2)


def test_files_that_are_named_are_looked_at_where_they_are_named(files, world):
    """By check, and by the programs; several mistakes in one run."""
    files.write(files.server_file, f'[server]\nhttps_listen = ":443"\nerror_pages = "{world.work}/pages"\nthreads = 300\n')
    said = files.ask("check", files.server_file, code=2)
    assert f"{files.server_file}:2:1: server.https_listen needs a certificate" in said, said
    assert f"{files.server_file}:3:1: server.error_pages: cannot read the error pages at {world.work}/pages: No such file" in said, said
    assert f"{files.server_file}:4:1: server.threads" in said, said
    assert world.run("server", "--config", files.server_file).stderr == said
    # Without a token too.
    files.write(files.client_file, f'[tunnels.web]\nto = "http://127.0.0.1:1"\nclient_ca = "{world.work}/no.pem"\n')
    said = files.ask("check", files.client_file, code=2)
    assert f"{files.client_file}:3:1: tunnels.web.client_ca: {world.work}/no.pem cannot be read" in said, said
    assert world.run("client", "--config", files.client_file).stderr == said


def test_the_token_of_a_grant_of_the_file(files, world, echo):
    """A client of a file's grant signs in with a token that pins the server's key, as any other."""
    files.write_server()
    text = files.server_file.read_text().replace("tls = false", "")
    files.write(files.server_file, text)
    server = files.start_server()
    token = files.ask("token", "show", "laptop", "--state", files.state).strip()
    client = world.client("tcp", echo.port, "--no-save", join=token)
    assert client.wait_event("tunnel_up")["port"]
    assert server.wait_event("session_up")["grant"] == "laptop"
    assert "no grant named nobody" in files.ask("token", "show", "nobody", "--state", files.state, code=2)


def test_grants_of_the_state_directory_beside_those_of_the_file(files, world, echo):
    """Of one name the file's counts, and "default" only where the file has none: both are said, and no token is made in vain."""
    files.write(files.server_file, f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = "off"\nstate = "{files.state}"\ntcp_listen_host = "127.0.0.1"\n')
    server = files.start_server()
    client = world.client("tcp", echo.port, "--no-save", join=server)
    client.wait_event("tunnel_up")
    stored = files.ask("token", "new", "--name", "stored", "--state", files.state).strip()
    files.write(files.server_file, files.server_file.read_text() + f'[grants.laptop]\nsecret = "{SECRET}"\n')
    files.ask("reload", "--state", files.state)
    said = server.wait_event("error", message=lambda m: m is not None and "does not count" in m)["message"]
    assert "the grant default of the state directory" in said
    assert client.wait_exit() == 3
    world.processes.remove(client)
    files.ask("reload", "--state", files.state)
    assert len(server.events("error")) == 1, "once"
    assert "choose another name" in files.ask("token", "new", "--name", "laptop", "--state", files.state, code=2)
    world.client("tcp", echo.port, "--no-save", join=stored).wait_event("tunnel_up")


# --- reload


def reload_server(files, how):
    before = len(files.server.events("reloaded"))
    if how == "signal":
        files.server.signal(signal.SIGHUP)
    elif how == "command":
        assert files.ask("reload", "--state", files.state).startswith("reloaded\n")
    files.server.wait_event("reloaded", after=before)


@pytest.mark.parametrize("how", ["signal", "command", "watch"])
def test_a_server_reloads(files, world, echo, how):
    files.write_server(server="watch = true" if how == "watch" else "")
    server = files.start_server()
    files.write_client(tcp(echo))
    client = files.start_client()
    port = client.wait_event("tunnel_up")["port"]
    with connect(("127.0.0.1", port)) as visitor:
        visitor.sendall(b"a")
        assert read_exactly(visitor, 1) == b"a"
        files.write_server(more=f'[grants.desk]\nsecret = "{SECRET} too"\n', server="watch = true" if how == "watch" else "", http="off")
        reload_server(files, how)
        assert server.events("reloaded")[-1]["needs_restart"] == "server.http_listen"
        visitor.sendall(b"b")
        assert read_exactly(visitor, 1) == b"b", "what is allowed still goes on"
        # A broken file keeps what there was, and says why.
        files.write(files.server_file, "[server]\nlisten = 7\nnonsense = 1\n")
        if how == "command":
            said = files.ask("reload", "--state", files.state, code=2)
            assert "server.toml:2:1" in said and "server.toml:3:1" in said and len(said.splitlines()) == 2
        elif how == "signal":
            server.signal(signal.SIGHUP)
        refused = server.wait_event("error", message=lambda m: m is not None and "not reloaded" in m)["message"]
        assert "server.toml:2:1" in refused and "server.toml:3:1" in refused
        visitor.sendall(b"c")
        assert read_exactly(visitor, 1) == b"c"
    desk = world.client("tcp", echo.port, "--server", server.listen, "--grant", "desk", "--secret-file", secret_file(world, SECRET + " too"), "--tls", "off")
    desk.wait_event("tunnel_up")


def secret_file(world, text):
    path = world.work / world.name("secret")
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("how", ["signal", "command", "watch"])
def test_a_client_reloads(files, echo, nginx, how):
    nginx.file("a.txt", b"a")
    files.write_server()
    files.start_server()
    watch = "watch = true" if how == "watch" else ""
    files.write_client(tcp(echo) + web(nginx, "gone", "gone.test"), watch)
    client = files.start_client()
    port = client.wait_event("tunnel_up", name="echo")["port"]
    client.wait_event("tunnel_up", name="gone")

    def reload(code=0):
        if how == "signal":
            client.signal(signal.SIGHUP)
        elif how == "command":
            files.ask("reload", "--socket", files.socket, code=code)

    with connect(("127.0.0.1", port)) as visitor:
        visitor.sendall(b"a")
        assert read_exactly(visitor, 1) == b"a"
        files.write_client(tcp(echo) + web(nginx, "new", "new.test"), watch)
        reload()
        client.wait_event("tunnel_up", name="new")
        assert curl("http://new.test/a.txt", files.server) == b"a"
        until(lambda: b"404" in curl("http://gone.test/a.txt", files.server, "-i").splitlines()[0], "the old tunnel is gone")
        # Broken in three ways: the file, what it asks for, what it signs in with. All is as before.
        for n, broken in enumerate([lambda: files.write(files.client_file, "[client\n"),
                                    lambda: files.write_client('[tunnels.x]\nto = "http://127.0.0.1:0"\n', watch),
                                    lambda: files.write_client(tcp(echo), watch, secret="another secret of laptop")]):
            broken()
            reload(code=3 if n == 2 else 2)
            client.wait_event("error", after=n, message=lambda m: m is not None and "not reloaded" in m)
        visitor.sendall(b"b")
        assert read_exactly(visitor, 1) == b"b"
        assert curl("http://new.test/a.txt", files.server) == b"a"
    assert len(client.events("tunnel_up", name="echo")) == 1
    assert client.alive()


@pytest.mark.parametrize("how", ["signal", "command"])
def test_the_socket_that_nobody_named(files, world, echo, how):
    """A client finds its own once, at the start: a reload does not ask at it, nor say that it is another."""
    world.env["XDG_RUNTIME_DIR"] = str(world.work)
    files.write_server()
    files.start_server()
    files.write_client(tcp(echo))
    files.write(files.client_file, files.client_file.read_text().replace("control_socket", "# control_socket"))
    client = files.start_client()
    client.wait_event("tunnel_up")
    assert json.loads(files.ask("status", "--client", "--json"))["connected"]
    began = time.monotonic()
    if how == "signal":
        client.signal(signal.SIGHUP)
    else:
        assert files.ask("reload", "--client") == "reloaded\n"
    assert client.wait_event("reloaded")["needs_restart"] == ""
    assert time.monotonic() - began < 20, "it asked itself"
    second = files.start_client("--tcp", f"more={echo.port}")
    second.wait_event("tunnel_up", name="more")
    assert [t["name"] for t in json.loads(files.ask("status", "--client", "--json"))["tunnels"]] == ["echo"], "the first one's"


def test_a_tunnel_that_is_typed_goes_before_the_files(files, echo):
    files.write_server()
    files.start_server()
    files.write_client(tcp(echo, "one", "tcp://:1") + tcp(echo, "two"))
    client = files.start_client("--tcp", f"one=127.0.0.1:{echo.port}")
    assert client.wait_event("tunnel_up", name="one")["port"] > 1 and client.wait_event("tunnel_up", name="two")
    twice = files.world.run("client", "--config", files.client_file, "--tcp", "one=1", "--tcp", "one=2")
    assert twice.returncode == 2 and "two tunnels are named one" in twice.stderr


@pytest.mark.parametrize("first", ["server", "client"])
def test_a_secret_that_is_changed_in_both_files(files, echo, first):
    """Whichever end reads its file first, the client is there in the end; a token that is taken back for good ends it."""
    files.write_server()
    server = files.start_server()
    files.write_client(tcp(echo))
    client = files.start_client()
    client.wait_event("tunnel_up")
    text = files.server_file.read_text()
    files.write(files.server_file, text.replace(SECRET, "another secret of laptop"))
    files.write_client(tcp(echo), secret="another secret of laptop")
    if first == "client":
        assert "the one before stays in force" in files.ask("reload", "--socket", files.socket, code=3)
    files.ask("reload", "--state", files.state)
    client.wait_event("tunnel_up", after=1)
    server.wait_event("session_up", after=1)
    assert client.alive()
    files.write(files.server_file, text.replace(SECRET, "a third secret of laptop"))
    files.ask("reload", "--state", files.state)
    assert client.wait_exit() == 3
    files.world.processes.remove(client)


def test_sighup_without_a_file_ends_the_program(world):
    server = world.server()
    server.signal(signal.SIGHUP)
    assert server.wait_exit() == 0
    world.processes.remove(server)


def test_certificates_are_read_anew(world, files, echo):
    """Under traffic: those who are there stay, those who come meet the new one."""
    ca = Authority(world.work, "ca")
    first, second = ca.issue("first"), ca.issue("second")
    cert, key = world.work / "cert.pem", world.work / "key.pem"

    def install(pair):
        for source, target in zip(pair, (cert, key)):
            files.write(target, source.read_text())

    install(first)
    files.write(files.server_file, f"""
[server]
listen = "127.0.0.1:0"
http_listen = "off"
tcp_listen_host = "127.0.0.1"
state = "{files.state}"
tls_cert = "{cert}"
tls_key = "{key}"
[grants.laptop]
secret = "{SECRET}"
""")
    server = files.start_server()
    port = server.listen.rpartition(":")[2]
    client = world.client("tcp", echo.port, "--server", f"localhost:{port}", "--grant", "laptop", "--secret-file", secret_file(world, SECRET), "--tls-ca", ca.file)
    public = client.wait_event("tunnel_up")["port"]
    with connect(("127.0.0.1", public)) as visitor:
        for n, pair in enumerate([second, first] * 3):
            install(pair)
            reload_server(files, "command")
            visitor.sendall(b"x")
            assert read_exactly(visitor, 1) == b"x"
            shown = shown_certificate(port)
            assert shown == fingerprint(pair[0]), n
        # A key that is not the certificate's: what was there stays.
        files.write(key, second[1].read_text())
        assert "key" in files.ask("reload", "--state", files.state, code=2)
        assert shown_certificate(port) == fingerprint(first[0])
        visitor.sendall(b"y")
        assert read_exactly(visitor, 1) == b"y"


def shown_certificate(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", int(port)), 10) as raw, context.wrap_socket(raw) as secure:
        return hashlib.sha256(secure.getpeercert(True)).hexdigest()


def fingerprint(pem):
    text = pem.read_text()
    end = "-----END CERTIFICATE-----"
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)] + "\n")).hexdigest()


def test_reloads_under_load_lose_nothing(files, echo, nginx):
    """Hashed bytes over TCP and requests over HTTP, while both ends reload again and again."""
    body = os.urandom(200_000)
    nginx.file("big.bin", body)
    files.write_server()
    files.start_server()
    files.write_client(web(nginx) + tcp(echo))
    client = files.start_client()
    port = client.wait_event("tunnel_up", name="echo")["port"]
    client.wait_event("tunnel_up", name="web")
    stop, problems, done = threading.Event(), [], []

    def stream():
        with connect(("127.0.0.1", port)) as visitor:
            while not stop.is_set():
                sent = os.urandom(50_000)
                visitor.sendall(sent)
                if hashlib.sha256(read_exactly(visitor, len(sent))).digest() != hashlib.sha256(sent).digest():
                    problems.append("bytes differ")
                done.append(1)

    def requests():
        while not stop.is_set():
            if curl("http://web.test/big.bin", files.server) != body:
                problems.append("an answer differs")
            done.append(1)

    def guarded(work):
        def run():
            try:
                work()
            except Exception as error:  # told by the test
                problems.append(repr(error))
        return run

    threads = [threading.Thread(target=guarded(work)) for work in (stream, stream, requests, requests)]
    for thread in threads:
        thread.start()
    try:
        for n in range(20):
            files.write_server(more=f'[grants.g{n}]\nsecret = "{SECRET}"\n')
            files.write_client(web(nginx) + tcp(echo) + web(nginx, f"more{n}", f"more{n}.test"))
            files.ask("reload", "--state", files.state)
            files.ask("reload", "--socket", files.socket)
            seen = len(done)
            until(lambda: len(done) > seen or problems, "traffic goes on")
    finally:
        stop.set()
        for thread in threads:
            thread.join(40)
    assert not problems, problems[:3]
    assert len(client.events("tunnel_up", name="echo")) == 1 and len(client.events("tunnel_up", name="web")) == 1
