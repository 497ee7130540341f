"""reload.py [BINARY] [TIMES]: so many reloads and as many certificate changes (100) at a server and a client (of the library, tests/e2e/tools/
reload_host.cc), under wrk and hashed TCP traffic: no request fails, no byte is lost or altered, no connection cut. Then it drains under load: who was let
in is served to the end."""
import re
import subprocess
import sys
import threading
import time

import common
import origins
from certificates import Authority
from processes import Process, address, program
from test_races import HashedVisitors
from visitors import HttpVisitor, connect, read_exactly

TIMES = int(sys.argv[2]) if len(sys.argv) > 2 else 100
BODY = bytes(range(256)) * 800


class Host(Process):
    """reload_host, told by ask()."""

    def __init__(self, world, *words):
        super().__init__([common.tool_path("reload_host"), *words], world.work, "reload_host", world.env, stdin=subprocess.PIPE)
        self.asked = 0

    def ask(self, line):
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()
        self.asked += 1
        return self.wait_event("done", after=self.asked - 1, patience=60)


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
host = world.add(Host(world, world.work / "state", *certificates[0], authority.file, f"127.0.0.1:{nginx.port}", f"127.0.0.1:{echo.port}"))
ready = host.wait_event("ready")
http, tcp = address(ready["http"]), ("127.0.0.1", ready["tcp"])

visitors = HashedVisitors(lambda: tcp, 4)
whole = connect(tcp)  # one connection through it all
wrk = subprocess.Popen([program("wrk"), "-t1", "-c16", "-d600", "-H", "Host: app.test", f"http://{ready['http']}/small"], stdout=subprocess.PIPE, text=True)
began = time.monotonic()
took = {"reload": [], "certificate": []}
for n in range(TIMES):
    took["reload"].append(host.ask("reload")["ms"])
    certificate, key = certificates[(n + 1) % 2]
    took["certificate"].append(host.ask(f"certificate {certificate} {key}")["ms"])
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
asking = threading.Thread(target=lambda: drained.update(host.ask("drain 20")))
asking.start()
for n in range(50):
    whole.sendall(b"%08d" % n)
    assert read_exactly(whole, 8) == b"%08d" % n
    time.sleep(0.01)
whole.close()
asking.join(30)
downloads.over.set()
for thread in downloads.threads:
    thread.join(30)
host.wait_exit()
good = errors == 0 and not visitors.altered and visitors.cut == 0 and visitors.turned_away == 0 and not downloads.broken and bool(drained)
mean = {what: sum(all_) / len(all_) for what, all_ in took.items()}
common.verdict(
    "reload", good,
    f"{TIMES} reloads ({mean['reload']:.1f} ms on average, worst {max(took['reload']):.1f}) and {TIMES} certificate changes with a sign-in each "
    f"({mean['certificate']:.1f} ms, worst {max(took['certificate']):.1f}) in {lasted:.1f} s: {requests} requests of wrk, {errors} failed; {visitors.whole} hashed TCP "
    f"connections, {visitors.bytes / 1e6:.0f} MB, {visitors.cut} cut, {visitors.turned_away} turned away, {len(visitors.altered)} altered; drain of "
    f"{drained.get('ms', -1):.0f} ms under load: {downloads.served} downloads whole, {downloads.turned_away} told to go elsewhere, {len(downloads.broken)} broken "
    f"{downloads.broken[:3] if downloads.broken else ''}")
