"""Runs ../shared/bench/wan.py some rounds, since it has none of its own, and puts them together: {peer: {what: [a value of each round]}}.

usage: bench/road.py WAN.PY [--rounds N] [--json FILE] [options of wan.py: --only a,b  --rtt MS  --mbit N  --loss PERCENT]

A round takes some 40 s for each peer (10 of them are the cut). As root, since wan.py makes network namespaces. Prints each round as it comes, then the medians.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import table  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wan", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options, rest = parser.parse_known_args()
    together = {}
    with tempfile.TemporaryDirectory(prefix="road-") as work:
        for n in range(options.rounds):
            file = Path(work) / f"{n}.json"
            subprocess.run([sys.executable, options.wan, "--json", file, *rest], check=True)
            for peer, row in json.loads(file.read_text()).items():
                for what, value in row.items():
                    together.setdefault(peer, {}).setdefault(what, []).append(value)
    print(f"median of {options.rounds} rounds")
    print("\n".join(table.side_by_side(together)))
    if options.json:
        options.json.write_text(json.dumps(together, indent=1))


if __name__ == "__main__":
    main()
