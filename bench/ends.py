"""What load.py and soak.py share: a real server and client that run from files, with the tools of tests/e2e, and what is read of them in /proc."""
import os
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def binary_of(word):
    """Settles which binary is meant, before tests/e2e is imported, which asks for it once."""
    path = Path(word or os.environ.get("FERROTUNNEL_BIN") or ROOT / "build/release/ferrotunnel").resolve()
    if not path.exists():
        sys.exit(f"{path} is not there: ./scripts/build release ferrotunnel tools")
    os.environ["FERROTUNNEL_BIN"] = str(path)
    os.environ.setdefault("FERROTUNNEL_TOOLS", str(path.parent / "tools"))
    sys.path.insert(0, str(ROOT / "tests/e2e"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return path


def need_tools(*names):
    """Ends with what to run where one of tests/e2e/tools is not built: before anything is started."""
    folder = Path(os.environ["FERROTUNNEL_TOOLS"])
    missing = [name for name in names if not os.access(folder / name, os.X_OK)]
    if missing:
        built = folder.parent.name if folder.parent.parent == ROOT / "build" else "release"
        sys.exit(f"{', '.join(missing)} not found in {folder}: ./scripts/build {built} tools" +
                 ("" if folder == ROOT / "build" / built / "tools" else f" makes them in build/{built}/tools; name it in $FERROTUNNEL_TOOLS"))


def scratch_world():
    """(World, a function that ends all and removes its directory). Who asks us to end by a signal gets that done too."""
    from processes import World

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    work = tempfile.mkdtemp(prefix="ferrotunnel-bench-")
    world = World(work)
    world.env.pop("FERROTUNNEL_THREADS")  # as installed: one shard a core

    def close():
        first = sys.exc_info()[1]  # why it ends so soon, if it does: that is to be told, not what follows from it
        try:
            world.close()
        except AssertionError as error:
            if first is None:
                raise
            if not isinstance(first, SystemExit):
                print(error, file=sys.stderr)
        finally:
            for process in world.processes:  # where that was interrupted
                if process.alive():
                    process.kill()
            shutil.rmtree(work, ignore_errors=True)

    return world, close


def tls_flags(tls):
    """A server's; the token that it gives tells its clients."""
    return ["--tls", "on" if tls else "off"]


def write_client_file(path, token, tunnels, carry=None, more=""):
    """tunnels: (name, to, url). carry is said of TCP tunnels alone, as it is theirs; nothing says nothing, so that a binary without the key is served too."""
    lines = ["[client]", f'token = "{token}"', more]
    for name, to, url in tunnels:
        lines += [f"[tunnels.{name}]", f'to = "{to}"', f'url = "{url}"']
        if carry and url.startswith("tcp:"):
            lines.append(f'carry = "{carry}"')
    new = Path(path).with_suffix(".new")
    new.write_text("\n".join(lines) + "\n")
    new.chmod(0o600)
    new.rename(path)


def memory(pid):
    """{"pss": KiB, "rss": KiB, "anon": KiB}; anon is what the program itself took (heap, stacks)."""
    found = {}
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        for line in lines:
            name, _, rest = line.partition(":")
            if name in ("Pss", "Rss", "Anonymous"):
                found[{"Pss": "pss", "Rss": "rss", "Anonymous": "anon"}[name]] = int(rest.split()[0])
    return found


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def descriptor_kinds(pid):
    """{kind: count}: "socket", "pipe", "file", "anon_inode:[eventpoll]"."""
    kinds = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            kind = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:  # closed meanwhile
            continue
        kind = "file" if kind.startswith("/") else kind.partition(":")[0] if kind.startswith(("socket:", "pipe:")) else kind
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds
