"""HTTP/2 over TLS at the ingress, beside one hop of nghttpx, in one run.

usage: bench/h2_peers.py [BINARY] [--rounds N] [--seconds S] [--only nghttpx,ours] [--json FILE]

The service is nginx with one worker and a body of 128 bytes. Visitors are h2load: connections of 100 streams each over TLS. nghttpx ends TLS and
HTTP/2 and asks the service in HTTP/1.1, with one worker; so does ours, with a tunnel (plain, over loopback) between. Prints requests a second and the
CPU of the processes in between for each request; median of the rounds. Ends with 1 where a request failed, or the goals of issue 6 are missed.
The binary is build/release/ferrotunnel, $FERROTUNNEL_BIN or the argument.
"""
import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import ends  # noqa: E402

HOST = "bench.test"
CASES = {"c1 m100": (1, 100), "c8 m100": (8, 100)}
GOAL = 0.5  # of nghttpx's requests a second (issue 6)


def program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        sys.exit(f"{name} is not installed: ./scripts/deps bench")
    return found


def cpu(pids):
    """Seconds, of user and system."""
    ticks = 0
    for pid in pids:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Hop:
    """One that ends TLS and HTTP/2 in front of the service: where, and by which processes."""

    def __init__(self, port, processes):
        self.port, self.processes = port, processes

    def pids(self):
        # nghttpx works in a child
        children = [int(pid) for process in self.processes
                    for pid in Path(f"/proc/{process.child.pid}/task/{process.child.pid}/children").read_text().split()]
        return [process.child.pid for process in self.processes] + children


class Program:
    """Somebody else's, which ends as it likes."""

    def __init__(self, world, *argv):
        self.child = subprocess.Popen(argv, cwd=world.work, env=world.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        world.closers.append(self.close)

    def close(self):
        self.child.terminate()
        self.child.wait(10)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_service(world):
    port, work = free_port(), world.work
    places = " ".join(f"{kind}_temp_path {work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""
    file = work / "service.conf"
    file.write_text(f"daemon off; {user} worker_processes 1; pid {work}/service.pid; error_log {work}/service.err; worker_rlimit_nofile 8000;"
                    f"events {{ worker_connections 4096; }} http {{ access_log off; keepalive_requests 100000000; {places}"
                    f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 '{'x' * 128}'; }} }} }}\n")
    Program(world, program("nginx"), "-c", file, "-p", work)
    return port


def start_nghttpx(world, service, certificate, key):
    port = free_port()
    process = Program(world, program("nghttpx"), "--conf=/dev/null", f"-f127.0.0.1,{port}", f"-b127.0.0.1,{service}", "--workers=1", "--no-ocsp",
                      "--log-level=ERROR", f"--errorlog-file={world.work}/nghttpx.log", key, certificate)
    return Hop(port, [process])


def start_ours(world, service, certificate, key):
    file = world.work / "server.toml"
    file.write_text("[server]\nhttp2 = true\n")
    server = world.server("--config", file, "--tls", "off", "--https-listen", "127.0.0.1:0", "--https-cert", certificate, "--https-key", key, "--log-level", "warn")
    client = world.http_tunnel(server, service, HOST)
    return Hop(int(server.https.rpartition(":")[2]), [server, client])


def visit(hop, clients, streams, seconds):
    before, began = cpu(hop.pids()), time.monotonic()
    done = subprocess.run([program("h2load"), "-t1", f"-c{clients}", f"-m{streams}", f"-D{seconds}", "--connect-to", f"127.0.0.1:{hop.port}",
                           f"https://{HOST}/small"], capture_output=True, text=True, timeout=seconds + 60)
    said = done.stdout
    rate, found = re.search(r"finished in .*?, ([\d.]+) req/s", said), re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", said)
    if done.returncode != 0 or not rate or not found:
        sys.exit(f"h2load: {said}{done.stderr}")
    succeeded, failed = int(found[1]), int(found[2]) + int(found[3])
    codes = re.search(r"status codes: (\d+) 2xx", said)
    if succeeded == 0 or int(codes[1]) != succeeded:
        failed += succeeded - int(codes[1]) + 1
    spent = cpu(hop.pids()) - before
    return {"req/s": float(rate[1]), "cpu us/req": spent / max(1, succeeded) * 1e6, "failed": failed, "seconds": time.monotonic() - began}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="nghttpx,ours")
    parser.add_argument("--json")
    options = parser.parse_args()
    ends.binary_of(options.binary)
    world, close = ends.scratch_world()
    from certificates import Authority
    from processes import until

    figures, bad = {}, []
    try:
        service = start_service(world)
        certificate, key = Authority(world.work, "authority").issue(HOST, names=f"DNS:{HOST}")
        hops = {name: start(world, service, certificate, key) for name, start in (("nghttpx", start_nghttpx), ("ours", start_ours)) if name in options.only.split(",")}
        for hop in hops.values():
            until(lambda hop=hop: subprocess.run([program("h2load"), "-n1", "--connect-to", f"127.0.0.1:{hop.port}", f"https://{HOST}/small"],
                                                 capture_output=True, text=True).stdout.count("1 2xx"), "an answer")
        for number in range(options.rounds):
            for name in list(hops) if number % 2 == 0 else reversed(list(hops)):
                for case, (clients, streams) in CASES.items():
                    got = visit(hops[name], clients, streams, options.seconds)
                    if got["failed"]:
                        bad.append(f"{name} {case}: {got['failed']} failed")
                    for what in ("req/s", "cpu us/req"):
                        figures.setdefault(name, {}).setdefault(f"{case} {what}", []).append(got[what])
    finally:
        close()
    print("median of", options.rounds, "rounds")
    print(f"{'':24}" + "".join(f"{name:>14}" for name in figures))
    for row in next(iter(figures.values())):
        print(f"{row:24}" + "".join(f"{statistics.median(figures[name][row]):14.1f}" for name in figures))
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1))
    if "ours" in figures and "nghttpx" in figures:
        for case in CASES:
            ratio = statistics.median(figures["ours"][f"{case} req/s"]) / statistics.median(figures["nghttpx"][f"{case} req/s"])
            print(f"{case}: {ratio:.2f} of nghttpx's requests a second (goal {GOAL})")
            if ratio < GOAL:
                bad.append(f"{case}: {ratio:.2f} of nghttpx's, under {GOAL}")
    if bad:
        sys.exit("; ".join(bad))


if __name__ == "__main__":
    main()
