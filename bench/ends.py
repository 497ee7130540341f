"""What load.py and soak.py share: a real server and client that run from files, with the tools of tests/e2e, and what is read of them in /proc."""
import os
import resource
import shutil
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


def scratch_world():
    """(World, a function that ends all and removes its directory)."""
    from processes import World

    work = tempfile.mkdtemp(prefix="ferrotunnel-bench-")
    world = World(work)
    world.env.pop("FERROTUNNEL_THREADS")  # as installed: one shard a core

    def close():
        try:
            world.close()
        finally:
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
