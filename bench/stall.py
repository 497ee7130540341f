"""What visitors who never read cost those who do: N active downloads alone, and beside N that asked for 1 GB each and stand still; in turns.

usage: bench/stall.py [BINARY] [--visitors N] [--pairs N] [--megabytes M] [--tls on|off] [--carry mux|direct|auto] [--tunload FILE] [--json FILE]

The load is ../shared/bench/tunload.cc, or --tunload. Each pair is two runs, one after the other, in changing order; what is judged is the median of the pairs'
ratios. Ends with 0 when the active ones keep 90 % of their rate (issue 5).
"""
import argparse
import json
import socket
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import ends  # noqa: E402

KEPT = 0.90


def rate(tunload, port, stalled, options):
    """MB/s of the active ones."""
    words = [tunload, "stall", port, stalled, options.visitors, options.megabytes * 1_000_000]
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"tunload ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return json.loads(done.stdout)["MBps"]


def measure(world, options):
    from processes import until

    tunload = world.work / "tunload"
    subprocess.run(["g++", "-O2", "-std=c++20", "-pthread", "-o", tunload, options.tunload], check=True)
    with socket.socket() as free:  # tunload does not say which port it got
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = subprocess.Popen([tunload, "serve", str(port)])
    world.later(lambda: (service.kill(), service.wait()))
    until(lambda: answers(port), "the service listens")
    server = world.server(*ends.tls_flags(options.tls == "on"), "--log-level", "error")
    file = world.work / "client.toml"
    ends.write_client_file(file, server.join, [("x", f"tcp://127.0.0.1:{port}", "tcp://")], options.carry)
    client = world.client("client", "--config", file)
    public = client.wait_event("tunnel_up")["port"]
    rate(tunload, public, 0, options)  # warm
    pairs = []
    for n in range(options.pairs):
        order = (0, options.visitors) if n % 2 == 0 else (options.visitors, 0)
        got = {stalled: rate(tunload, public, stalled, options) for stalled in order}
        pairs.append((got[0], got[options.visitors]))
        print(f"pair {n + 1}: alone {got[0]:.0f} MB/s, beside {options.visitors} stalled {got[options.visitors]:.0f}: {got[options.visitors] / got[0]:.2f}", flush=True)
    print(f"memory: server {ends.memory(server.pid)['pss'] / 1024:.1f} MB, client {ends.memory(client.pid)['pss'] / 1024:.1f} MB")
    return pairs


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="?")
    parser.add_argument("--visitors", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--megabytes", type=int, default=16)
    parser.add_argument("--tls", choices=("on", "off"), default="off")
    parser.add_argument("--carry", choices=("mux", "direct", "auto"))
    parser.add_argument("--tunload", type=Path, default=ends.ROOT.parent / "shared/bench/tunload.cc")
    parser.add_argument("--json")
    options = parser.parse_args()
    if not options.tunload.exists():
        sys.exit(f"{options.tunload} is not there: it is not beside this checkout, name it by --tunload")
    ends.binary_of(options.binary)
    world, close = ends.scratch_world()
    try:
        pairs = measure(world, options)
    finally:
        close()
    ratio = statistics.median(beside / alone for alone, beside in pairs)
    if options.json:
        Path(options.json).write_text(json.dumps({"pairs": pairs, "ratio": ratio}))
    print(f"stall: {options.visitors} stalled readers leave {options.visitors} others {ratio:.2f} of their rate (goal {KEPT}): {'met' if ratio >= KEPT else 'MISSED'}")
    return 0 if ratio >= KEPT else 1


if __name__ == "__main__":
    sys.exit(main())
