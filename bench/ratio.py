"""Two bench_micro programs, run in turns: the ratio of their medians for each benchmark.

usage: bench/ratio.py HERE BASE [--rounds N] [--bound R] [--filter REGEX] [--min-time S]

Prints every ratio, and what moved by more than 10 %. CPU time is compared, not the clock on the wall: neighbours share the machine. Ends with 1 only when
something is slower by more than the bound (1.5), in the medians and in the fastest rounds alike, and by more than a nanosecond;
or when it allocates where the base does not.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

UNIT = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
CYCLES = 1.0  # ns: an empty loop takes one cycle or two, as the linker lays it
MOVED = 0.10
ALLOCATES = 0.01  # allocations an operation that are not one-offs


def run(program, options):
    """{benchmark: (ns of CPU time an operation, allocations an operation or nothing)}; what says it cannot run is left out, and told."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        words = [program, f"--benchmark_out={out.name}", "--benchmark_out_format=json", f"--benchmark_min_time={options.min_time}"]
        words += [f"--benchmark_filter={options.filter}"] if options.filter else []
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
        found = json.loads(Path(out.name).read_text())["benchmarks"]
    broken = [b["name"] for b in found if b.get("error_occurred")]
    return {b["name"]: (b["cpu_time"] * UNIT[b["time_unit"]], b.get("allocs")) for b in found if not b.get("error_occurred")}, broken


def compare(here, base, options):
    """Prints a line a benchmark; gives what is past the bound."""
    moved, bad = [], []
    print(f"{'benchmark':44} {'base ns':>12} {'here ns':>12} {'ratio':>7} {'fastest':>8}")
    for name, rounds in here.items():
        ours, allocs = [r[0] for r in rounds], statistics.median([r[1] or 0 for r in rounds])
        if name not in base:
            print(f"{name:44} {'new':>12} {statistics.median(ours):12.1f}")
            continue
        theirs, base_allocs = [r[0] for r in base[name]], statistics.median([r[1] or 0 for r in base[name]])
        ratio, fastest = statistics.median(ours) / statistics.median(theirs), min(ours) / min(theirs)
        print(f"{name:44} {statistics.median(theirs):12.1f} {statistics.median(ours):12.1f} {ratio:7.2f} {fastest:8.2f}")
        if abs(ratio - 1) > MOVED:
            moved.append(f"{name}: {ratio:.2f} ({'slower' if ratio > 1 else 'faster'})")
        if ratio > options.bound and fastest > options.bound and min(ours) - min(theirs) > CYCLES:
            bad.append(f"{name} takes {ratio:.2f} times as long (bound {options.bound})")
        if allocs > ALLOCATES >= base_allocs and base[name][0][1] is not None:
            bad.append(f"{name} allocates {allocs:.2f} times an operation, and the base does not")
    for name in base.keys() - here.keys():
        print(f"{name:44} gone")
    print("moved by more than 10 %: " + ("; ".join(moved) if moved else "nothing"))
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("here")
    parser.add_argument("base")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bound", type=float, default=1.5)
    parser.add_argument("--filter")
    parser.add_argument("--min-time", type=float, default=0.02)
    options = parser.parse_args()
    found = {"here": {}, "base": {}}
    broken = {}
    for n in range(options.rounds):
        for which in ("here", "base") if n % 2 == 0 else ("base", "here"):
            figures, broken[which] = run(getattr(options, which), options)
            for name, figure in figures.items():
                found[which].setdefault(name, []).append(figure)
    bad = compare(found["here"], found["base"], options)
    bad += [f"{name} does not run, and at the base it does" for name in broken["here"] if name in found["base"]]
    for line in bad:
        print(f"ratio: {line}")
    print(f"ratio: {'FAILED' if bad else 'within the bound'} ({options.rounds} rounds in turns)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
