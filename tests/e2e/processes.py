"""The real programs under test: `ferrotunnel` as a child process whose JSON lines are read as they come.

Nothing here sleeps for luck: whoever waits, waits for an event with a deadline, and a deadline that passes shows what was said.
"""
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

BINARY = os.environ.get("FERROTUNNEL_BIN") or str(Path(__file__).resolve().parents[2] / "build/dev/ferrotunnel")
TOOLS = os.environ.get("FERROTUNNEL_TOOLS") or str(Path(BINARY).parent / "tools")
PATIENCE = 40.0  # seconds until something that should happen counts as not happening; generous: CI shares its cores


def program(name):
    """The path of a counterpart; a test without it fails, it is not skipped."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert path, f"install {name}: scripts/deps test"
    return path


def preloaded(name):
    """What puts tests/e2e/preload/<name>.cc under a program, for its environment."""
    library = Path(TOOLS) / f"{name}.so"
    assert library.exists(), f"{library} is not built: cmake --build --preset dev --target tools"
    return {"LD_PRELOAD": str(library)}


def until(condition, what, patience=PATIENCE):
    """Waits for a condition that nobody announces; gives its value."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"did not happen within {patience:.0f} s: {what}"
        time.sleep(0.02)


class Process:
    """A child process. Its stdout is JSON lines (or raw text with lines=False), its stderr goes to a file."""

    def __init__(self, argv, work, name, env=None, lines=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE):
        self.argv = [str(a) for a in argv]
        self.name = name
        self.stderr_path = Path(work) / f"{name}.stderr"
        self._events = []
        self._raw = []
        self._news = threading.Condition()
        self._closed = False
        with open(self.stderr_path, "wb") as stderr:
            self.child = subprocess.Popen(self.argv, stdin=stdin, stdout=stdout, stderr=stderr, env=env)
        self.pid = self.child.pid
        self._reader = None
        if stdout == subprocess.PIPE:
            self._reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
            self._reader.start()

    def _read(self, lines):
        for raw in self.child.stdout:
            with self._news:
                self._raw.append(raw)
                if lines:
                    try:
                        self._events.append(json.loads(raw))
                    except ValueError as error:
                        self._events.append({"event": "not-json", "raw": repr(raw), "error": str(error)})
                self._news.notify_all()
        with self._news:
            self._closed = True
            self._news.notify_all()

    # --- what it said

    def events(self, name=None, /, **fields):
        with self._news:
            return [e for e in self._events if _matches(e, name, fields)]

    def stdout(self):
        with self._news:
            return b"".join(self._raw)

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def wait_event(self, name, /, patience=PATIENCE, after=0, **fields):
        """The (after+1)th event of this name whose fields are these; a field may be a function that judges the value."""
        deadline = time.monotonic() + patience
        with self._news:
            while True:
                found = [e for e in self._events if _matches(e, name, fields)]
                if len(found) > after:
                    return found[after]
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    why = "it ended" if self._closed else f"{patience:.0f} s passed"
                    raise AssertionError(f"{self.name} did not say {name} {fields} ({why})\n{self.story()}")
                self._news.wait(left)

    def story(self):
        with self._news:
            said = b"".join(self._raw)[-6000:].decode(errors="replace")
        return f"--- {self.name}: {' '.join(self.argv)}\n{said}\n--- its stderr\n{self.stderr()[-6000:]}"

    # --- its life

    def alive(self):
        return self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        """As `kill -9`."""
        self.child.kill()
        self.child.wait()

    def wait_exit(self, patience=PATIENCE):
        try:
            code = self.child.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {patience:.0f} s\n{self.story()}") from None
        if self._reader:
            self._reader.join(10)
        return code

    def stop(self, code=0):
        """Asks it to end, and checks that it does with this code."""
        if self.alive():
            self.signal(signal.SIGTERM)
        ended = self.wait_exit()
        assert ended == code, f"{self.name} ended with {ended}, not {code}\n{self.story()}"

    def check_sanitizers(self):
        text = self.stderr()
        for mark in ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "Assertion"):
            assert mark not in text, f"{self.name}: {mark}\n{text[-8000:]}"

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def _matches(event, name, fields):
    if name is not None and event.get("event") != name:
        return False
    return all(judge(event.get(key)) if callable(judge) else event.get(key) == judge for key, judge in fields.items())


def address(text):
    """"127.0.0.1:80" as (host, port)."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class Server(Process):
    def __init__(self, argv, work, name, env, state, lines=True):
        super().__init__(argv, work, name, env, lines)
        self.state = state
        self.listen = self.http = self.https = self.join = None

    def wait_ready(self):
        ready = self.wait_event("ready")
        self.listen, self.http, self.https, self.join = ready["listen"], ready["http"], ready["https"], ready["join"]
        return self

    @property
    def http_address(self):
        return address(self.http)


class World:
    """Everything that one test starts, and its end: whatever still runs is asked to end, and must do so without a complaint."""

    def __init__(self, work):
        self.work = Path(work)
        self.processes = []
        self.closers = []
        (self.work / "home").mkdir()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("FERROTUNNEL_", "XDG_"))}
        # Two shards, whatever the machine has: what crosses from one to the other is tested too.
        self.env.update(HOME=str(self.work / "home"), FERROTUNNEL_THREADS="2")
        self.env.pop("NO_COLOR", None)
        self._count = 0

    def name(self, kind):
        self._count += 1
        return f"{kind}{self._count}"

    def add(self, process):
        self.processes.append(process)
        return process

    def later(self, close):
        """close() is called when the test is over, last first."""
        self.closers.append(close)

    # --- ferrotunnel

    def run(self, *words, env=None, input=None, patience=PATIENCE):
        """ferrotunnel with these words until it ends by itself: a CompletedProcess with text."""
        done = subprocess.run([BINARY, *map(str, words)], env={**self.env, **(env or {})}, capture_output=True, text=True, timeout=patience,
                              **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}))
        for mark in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
            assert mark not in done.stderr, done.stderr
        return done

    def server(self, *flags, listen="127.0.0.1:0", http="127.0.0.1:0", state=None, env=None, lines=True):
        state = Path(state) if state else self.work / self.name("state")
        argv = [BINARY, "server", "--listen", listen, "--http-listen", http, "--tcp-listen-host", "127.0.0.1", "--state", state, *flags]
        server = self.add(Server(argv, self.work, self.name("server"), {**self.env, **(env or {})}, state, lines))
        return server.wait_ready() if lines else server

    def client(self, *words, join=None, env=None, lines=True):
        """ferrotunnel with these words, which begin with http, tcp or client."""
        argv = [BINARY, *words]
        if join is not None:
            argv += ["--join", join.join if isinstance(join, Server) else join]
        return self.add(Process(argv, self.work, self.name("client"), {**self.env, **(env or {})}, lines=lines))

    def http_tunnel(self, server, target, host, *flags):
        client = self.client("http", target, "--host", host, *flags, join=server)
        client.up = client.wait_event("tunnel_up")
        return client

    def tcp_tunnel(self, server, target, *flags):
        client = self.client("tcp", target, *flags, join=server)
        client.up = client.wait_event("tunnel_up")
        client.public = ("127.0.0.1", client.up["port"])
        return client

    def tool(self, name, *words):
        path = Path(TOOLS) / name
        assert path.exists(), f"{path} is not built: cmake --build --preset dev --target tools"
        return self.add(Process([path, *words], self.work, self.name(name), self.env))

    def close(self):
        for close in reversed(self.closers):
            close()
        problems = []
        # Clients first, as a person would.
        for process in reversed(self.processes):
            try:
                if process.alive():
                    process.signal(signal.SIGTERM)
                    process.signal(signal.SIGTERM)
                    code = process.wait_exit()
                    if code != 0:
                        problems.append(f"{process.name} ended with {code}\n{process.story()}")
                process.check_sanitizers()
                if bad := process.events("not-json"):
                    problems.append(f"{process.name} printed what is not JSON: {bad}")
            except AssertionError as error:
                problems.append(str(error))
            finally:
                if process.alive():
                    process.kill()
        assert not problems, "\n".join(problems)
