"""Writes what was measured into docs/performance.md, between its two marker lines; the text around them stays.

usage: bench/table.py [--from build/bench] [--into docs/performance.md] [--print]

Takes the JSON files that scripts/bench left: floor, peers, http, h2, wan, wan-loss (the same road with 1 % lost), stall, load, syscalls. Each table says when its file was made; machine and commit are those of
now. --print writes to stdout in place of the file.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- measured: begin; scripts/bench writes what follows -->", "<!-- measured: end -->"


def middle(values):
    """The median, or nothing where it failed."""
    if not isinstance(values, list):
        values = [values]
    numbers = [v for v in values if isinstance(v, (int, float))]
    return statistics.median(numbers) if numbers and len(numbers) == len(values) else None


def said(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] + ["| " + " | ".join(row) + " |" for row in rows]


def side_by_side(found):
    """{peer: {what: [values of the rounds]}} as a table with a column a peer."""
    names = list(found)
    keys = []
    for name in names:
        keys += [key for key in found[name] if key not in keys]
    return table(["", *names], [[key, *(said(middle(found[name][key])) if key in found[name] else "" for name in names)] for key in keys])


def floor(found):
    return table(["", "MB/s", "CPU s/GB of the hops", "ping p50, µs"],
                 [[name, said(row["MBps"]), f"{row['cpu_s_per_gb']:.3f}", said(row["ping_p50_us"])] for name, row in found.items()])


def syscalls(found):
    rows = []
    for name, by_end in found.items():
        for end, calls in by_end.items():
            most = ", ".join(f"{what} {n:.2f}" for what, n in list(calls.items())[:6] if n >= 0.05)
            rows.append([name, end, f"{sum(calls.values()):.2f}", most])
    return table(["for each", "end", "calls", "of them"], rows)


def load(found):
    return table(["", "measured"], [[name, said(value)] for name, value in found["figures"].items()])


def stall(found):
    return table(["", "measured"], [["pairs of runs", str(len(found["pairs"]))], ["rate that the active ones keep, median of the pairs", said(found["ratio"])]])


ROUND_TRIP = 50  # ms, of wan.py when it is not told another
ROADS = {"wan": f"{ROUND_TRIP} ms", "wan-loss": f"{ROUND_TRIP} ms, 1 % lost"}


def goals(all_):
    """Issue 5's lines that these figures decide: (what, measured, goal, met)."""
    lines = []

    def of(peer, key, part="peers"):
        return middle(all_.get(part, {}).get(peer, {}).get(key, ["missing"]))

    def ratio(what, ours, theirs, key, goal, least=False, part="peers"):
        a, b = of(ours, key, part), of(theirs, key, part)
        if a is not None and b:
            lines.append((f"{what}: {key}, {ours} to {theirs}", a / b, goal, a / b >= goal if least else a / b <= goal))

    def most(what, value, goal):
        if value is not None:
            lines.append((what, value, goal, value <= goal))

    for case in ("bulk1 down", "bulk10 down", "bulk64 down", "bulk1 up"):
        ratio("CPU", "ours", "rathole", f"{case} cpu s/GB", 0.65)
        most(f"CPU: {case} cpu s/GB", of("ours", f"{case} cpu s/GB"), 0.85)
        for ours in ("ours-mux", "ours-direct"):
            for theirs in ("rathole", "frp"):
                ratio("speed", ours, theirs, f"{case} MB/s", 1, least=True)
        for theirs in ("rathole-tls", "frp-tls"):
            ratio("TLS", "ours-tls", theirs, f"{case} cpu s/GB", 0.7)
    ratio("connections", "ours", "rathole", "conn per s", 1.5, least=True)
    ratio("connections", "ours", "rathole", "conn p99 us", 1)
    ratio("ping", "ours", "rathole", "ping p50 us", 1)
    ratio("ping", "ours", "rathole", "ping cpu us/op", 0.8)
    ratio("ping", "ours", "rathole", "ping32 p99 us", 1)
    ratio("ping", "ours", "rathole", "ping32 cpu us/op", 0.8)
    most("KB an idle visitor (peers.py)", of("ours", "KB per idle conn"), 2)
    if "stall" in all_:
        kept = all_["stall"]["ratio"]
        lines.append(("rate that 64 keep beside 64 stalled readers", kept, 0.9, kept >= 0.9))
    for part, road in ROADS.items():
        for key in ("bulk1 down MB/s", "bulk8 down MB/s", "bulk1 up MB/s"):
            ratio(road, "ours", "rathole", key, 1, least=True, part=part)
        for key, goal in (("new conn p50 ms", 1.1 * ROUND_TRIP), ("key beside bulk p99 ms", 1.3 * ROUND_TRIP), ("back after cut s", 1)):
            most(f"{road}: {key}", of("ours", key, part), goal)
    figures = all_.get("load", {}).get("figures", {})
    sys.path.insert(0, str(ROOT / "bench"))
    import load as bench_load

    for name, goal in {**bench_load.GOALS, "streams that failed": 0, "bytes altered": 0}.items():
        most(name, figures.get(name), goal)
    return table(["goal of issue 5", "measured", "goal", ""], [[what, said(value), said(float(goal)), "met" if met else "**missed**"]
                                                              for what, value, goal, met in lines]) if lines else []


# part, ours to whom, what, goal, and whether that is the least of it.
HTTP_GOALS = (("http", "nginx1", "small c64 req/s", 0.5, True), ("http", "nginx1", "small c64 cpu us/req", 3, False), ("http", "frp", "small c64 req/s", 8, True),
              ("http", "nginx1", "small c1 p50 us", 3, False), ("http", "nginx1", "big c8 req/s", 0.8, True),
              ("h2", "nghttpx", "c1 m100 req/s", 0.5, True), ("h2", "nghttpx", "c8 m100 req/s", 0.5, True))


def http_goals(all_):
    rows = []
    for part, peer, what, goal, least in HTTP_GOALS:
        ours, theirs = (middle(all_.get(part, {}).get(name, {}).get(what, [])) for name in ("ours", peer))
        if ours is not None and theirs:
            ratio = ours / theirs
            rows.append([f"{what}, ours to {peer}", said(ratio), said(float(goal)), "met" if (ratio >= goal if least else ratio <= goal) else "**missed**"])
    return table(["goal of issue 6", "measured", "goal", ""], rows) if rows else []


def git(*words):
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def machine():
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = " ".join(line.partition(":")[2].split())
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = git("rev-parse", "--short", "HEAD") or "unknown"
    changed = " with changes" if git("status", "--porcelain", "--", "src", "include") else ""
    return (f"Machine: {os.cpu_count()} cores of {model}, {memory:.0f} GB, Linux {platform.release()}. Written {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC "
            f"at commit {commit}{changed}.")


PARTS = {"floor": ("What loopback gives", floor), "peers": ("TCP tunnels side by side", side_by_side), "http": ("HTTP side by side", side_by_side),
         "h2": ("HTTP/2 over TLS, beside a hop of nghttpx", side_by_side),
         "wan": (f"Over a long road: {ROADS['wan']}", side_by_side), "wan-loss": (f"Over a long road: {ROADS['wan-loss']}", side_by_side),
         "stall": ("Beside readers who stand still", stall), "load": ("Many at once", load), "syscalls": ("System calls", syscalls)}


def text(folder):
    all_, lines = {}, [machine()]
    for name, (title, make) in PARTS.items():
        file = folder / f"{name}.json"
        if not file.exists():
            continue
        all_[name] = json.loads(file.read_text())
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(file.stat().st_mtime))
        lines += ["", f"### {title}", "", f"Measured {when} UTC.", "", *make(all_[name])]
    judged = [part for part in (goals(all_), http_goals(all_)) if part]
    if judged:
        lines += ["", "### Against the goals"]
    for part in judged:
        lines += ["", *part]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="folder", type=Path, default=ROOT / "build/bench")
    parser.add_argument("--into", type=Path, default=ROOT / "docs/performance.md")
    parser.add_argument("--print", action="store_true")
    options = parser.parse_args()
    if not any((options.folder / f"{name}.json").exists() for name in PARTS):
        sys.exit(f"{options.folder} has no figures: run scripts/bench first")
    measured = text(options.folder)
    if options.print:
        print(measured)
        return
    page = options.into.read_text()
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        sys.exit(f"{options.into} does not have the two marker lines, once each:\n{BEGIN}\n{END}")
    before, after = page[:page.index(BEGIN)], page[page.index(END):]
    options.into.write_text(f"{before}{BEGIN}\n\n{measured}\n\n{after}")
    print(f"written into {options.into}")


if __name__ == "__main__":
    main()
