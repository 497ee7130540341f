"""reload.py [BINARY] [TIMES]: so many reloads of both ends and as many certificate changes (100), by the real commands, under wrk and hashed TCP
traffic: no request fails, no byte is lost or altered, no connection cut. Then it drains under load: who was let in is served to the end."""
import re
import socket
import ssl
import subprocess
import sys
import threading
import time

import common
import origins
from certificates import Authority
from processes import BINARY, Server, address, program
from test_races import HashedVisitors
from visitors import HttpVisitor, connect, read_exactly

TIMES = int(sys.argv[2]) if len(sys.argv) > 2 else 100
BODY = bytes(range(256)) * 800


SECRET = "a secret of sixteen or more"


class Ends:
    """A server and a client that run from files, which are changed and read anew by `ferrotunnel reload`."""

    def __init__(self, world, authority, nginx, echo):
        self.world, self.authority, self.nginx, self.echo = world, authority, nginx, echo
        self.state, self.socket = world.work / "state", world.work / "client.sock"
        self.files = {name: world.work / name for name in ("server.toml", "client.toml", "cert.pem", "key.pem")}

    def put(self, name, text):
        new = self.files[name].with_suffix(".new")
        new.write_text(text)
        new.chmod(0o600)
        new.rename(self.files[name])

    def put_server(self, n):
        self.put("server.toml", f"""[server]
listen = "127.0.0.1:0"
http_listen = "127.0.0.1:0"
tcp_listen_host = "127.0.0.1"
state = "{self.state}"
tls_cert = "{self.files['cert.pem']}"
tls_key = "{self.files['key.pem']}"
[grants.laptop]
secret = "{SECRET}"
[grants.more{n}]
secret = "{SECRET}{n}"
""")

    def put_client(self, n):
        self.put("client.toml", f"""[client]
server = "localhost:{self.port}"
grant = "laptop"
token = "{SECRET}"
tls_ca = "{self.authority.file}"
control_socket = "{self.socket}"
[tunnels.web]
to = "http://127.0.0.1:{self.nginx.port}"
url = "http://app.test"
[tunnels.echo]
to = "tcp://127.0.0.1:{self.echo.port}"
[tunnels.more{n}]
to = "http://127.0.0.1:{self.nginx.port}"
url = "http://more{n}.test"
""")

    def start(self, certificate):
        self.install(certificate)
        self.put_server(0)
        argv = [BINARY, "server", "--config", self.files["server.toml"], "--drain-timeout", "20"]
        self.server = self.world.add(Server(argv, self.world.work, "server", self.world.env, self.state)).wait_ready()
        self.port = address(self.server.listen)[1]
        self.put_client(0)
        self.client = self.world.client("client", "--config", self.files["client.toml"])
        self.client.wait_event("tunnel_up", name="web")
        return self.server.http_address, ("127.0.0.1", self.client.wait_event("tunnel_up", name="echo")["port"])

    def install(self, certificate):
        for name, source in zip(("cert.pem", "key.pem"), certificate):
            self.put(name, source.read_text())

    def timed(self, *words):
        began = time.monotonic()
        done = self.world.run(*words)
        assert done.returncode == 0, done.stderr
        return common.seconds(began) * 1000

    def reload(self, n):
        self.put_server(n)
        self.put_client(n)
        return self.timed("reload", "--state", self.state) + self.timed("reload", "--socket", self.socket)

    def change(self, certificate):
        self.install(certificate)
        took = self.timed("reload", "--state", self.state)
        context = ssl.create_default_context(cafile=str(self.authority.file))
        with socket.create_connection(("localhost", self.port), 10) as raw, context.wrap_socket(raw, server_hostname="localhost") as shown:
            end = "-----END CERTIFICATE-----"
            text = certificate[0].read_text()
            assert shown.getpeercert(True) == ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)] + "\n"), "the old certificate is shown"
        return took

    def drain(self):
        return self.timed("drain", "--state", self.state)


class Downloads:
    """Requests on connections that are kept, until the server says it closes; each answer whole."""

    def __init__(self, where, count):
        self.where, self.over = where, threading.Event()
        self.served = self.turned_away = 0
        self.broken = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        while not self.over.is_set():
            try:
                visitor = HttpVisitor(self.where)
            except OSError:  # nobody listens any more
                with self.lock:
                    self.turned_away += 1
                return
            with visitor:
                while not self.over.is_set():
                    told = self._ask(visitor)
                    if told is not None:
                        with self.lock:
                            self.turned_away += 1 if told == "" else 0
                            self.broken += [told] if told else []
                        if told:
                            return
                        break

    def _ask(self, visitor):
        """None: served, and on. "": the connection was closed before an answer began, as HTTP/1.1 allows. Else what is wrong."""
        try:
            visitor.request("GET", "/big", "app.test")
            first = visitor.stream.peek(1)
        except OSError as error:
            return f"before an answer: {error!r}"
        if not first:
            return ""
        try:
            answer = visitor.response()
        except (OSError, AssertionError) as error:
            return f"in the middle of an answer: {error!r}"
        if answer.status != 200 or answer.body != BODY:
            return f"status {answer.status} with {len(answer.body)} bytes: {answer.head}"
        with self.lock:
            self.served += 1
        return "" if answer.fields.get("connection") == "close" else None


world = common.world()
nginx, echo = origins.Nginx(world), origins.TcpOrigin(world, origins.echo)
nginx.file("small", b"x" * 1000)
nginx.file("big", BODY)
authority = Authority(world.work, "authority")
certificates = [authority.issue(name) for name in ("one", "two")]
ends = Ends(world, authority, nginx, echo)
http, tcp = ends.start(certificates[0])

visitors = HashedVisitors(lambda: tcp, 4)
whole = connect(tcp)  # one connection through it all
wrk = subprocess.Popen([program("wrk"), "-t1", "-c16", "-d600", "-H", "Host: app.test", f"http://{http[0]}:{http[1]}/small"], stdout=subprocess.PIPE, text=True)
began = time.monotonic()
took = {"reload": [], "certificate": []}
for n in range(TIMES):
    took["reload"].append(ends.reload(n + 1))
    took["certificate"].append(ends.change(certificates[(n + 1) % 2]))
    whole.sendall(b"%08d" % n)
    assert read_exactly(whole, 8) == b"%08d" % n
lasted = common.seconds(began)
wrk.send_signal(2)
said = wrk.communicate(timeout=30)[0]
requests = int(re.search(r"(\d+) requests in", said)[1])
errors = sum(int(n) for line in re.findall(r"Socket errors: (.*)", said) for n in re.findall(r"\d+", line))
errors += sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", said))
visitors.stop()

# The drain: downloads run, a long connection is in the middle of its bytes.
downloads = Downloads(http, 16)
common.until(lambda: downloads.served > 200, "downloads run")
drained = {}
asking = threading.Thread(target=lambda: drained.update(ms=ends.drain()))
asking.start()
for n in range(50):
    whole.sendall(b"%08d" % n)
    assert read_exactly(whole, 8) == b"%08d" % n
    time.sleep(0.01)
whole.close()
asking.join(60)
downloads.over.set()
for thread in downloads.threads:
    thread.join(30)
came_up = len(ends.client.events("tunnel_up", name="web")) + len(ends.client.events("tunnel_up", name="echo"))
assert came_up == 2, "a tunnel that had not changed went away"
good = errors == 0 and not visitors.altered and visitors.cut == 0 and visitors.turned_away == 0 and not downloads.broken and bool(drained)
mean = {what: sum(all_) / len(all_) for what, all_ in took.items()}
common.verdict(
    "reload", good,
    f"{TIMES} reloads of both ends ({mean['reload']:.1f} ms on average, worst {max(took['reload']):.1f}) and {TIMES} certificate changes "
    f"({mean['certificate']:.1f} ms, worst {max(took['certificate']):.1f}) in {lasted:.1f} s: {requests} requests of wrk, {errors} failed; {visitors.whole} hashed TCP "
    f"connections, {visitors.bytes / 1e6:.0f} MB, {visitors.cut} cut, {visitors.turned_away} turned away, {len(visitors.altered)} altered; drain of "
    f"{drained.get('ms', -1):.0f} ms under load: {downloads.served} downloads whole, {downloads.turned_away} told to go elsewhere, {len(downloads.broken)} broken "
    f"{downloads.broken[:3] if downloads.broken else ''}")
