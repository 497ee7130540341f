"""What the scripts of this folder share: the binary, a place to work in, and how a figure is told.

The binary is the first argument, or build/release/ferrotunnel; its tools are beside it in tools/. Starting and ending programs is
tests/e2e/processes.py's."""
import atexit
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_binary = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release/ferrotunnel").resolve()
if not _binary.exists():
    sys.exit(f"{_binary} is not there: cmake --preset release && cmake --build --preset release --target ferrotunnel tools")
os.environ["FERROTUNNEL_BIN"] = str(_binary)
os.environ.setdefault("FERROTUNNEL_TOOLS", str(_binary.parent / "tools"))
sys.path.insert(0, str(ROOT / "tests/e2e"))
from processes import World, until  # noqa: E402,F401

_hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))


def world():
    """A World that is closed when the script ends."""
    work = tempfile.mkdtemp(prefix="ferrotunnel-trust-")
    made = World(work)
    made.env.pop("FERROTUNNEL_THREADS")  # as installed: one shard a core
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    atexit.register(made.close)
    return made


def status(world, server):
    return json.loads(world.run("status", "--json", "--state", server.state).stdout)


def pings(where):
    from visitors import connect, read_exactly

    with connect(where) as visitor:
        visitor.sendall(b"ping")
        return read_exactly(visitor, 4) == b"ping"


def verdict(name, good, figures):
    """One line, and how the script ends."""
    print(f"{name}: {figures} -> {'met' if good else 'MISSED'}", flush=True)
    sys.exit(0 if good else 1)


def seconds(since):
    return time.monotonic() - since


def tool_path(name):
    path = Path(os.environ["FERROTUNNEL_TOOLS"]) / name
    if not path.exists():
        sys.exit(f"{path} is not built: cmake --build --preset release --target tools")
    return path
