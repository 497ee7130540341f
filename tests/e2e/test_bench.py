"""bench/load.py and bench/soak.py for a short time, so that they cannot rot; and that they notice what they are there for."""
# ctest: timeout=300
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processes import BINARY, TOOLS, until

BENCH = Path(__file__).resolve().parents[2] / "bench"


def run(script, *words, patience=150):
    done = subprocess.run([sys.executable, BENCH / script, BINARY, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=patience)
    return done.returncode, done.stdout + done.stderr


def test_load_carries_all(tmp_path):
    figures = tmp_path / "load.json"
    code, said = run("load.py", "--streams", 300, "--seconds", 1, "--tunnels", 20, "--clients", 20, "--memory", "print", "--json", figures)
    assert code == 0, said
    told = json.loads(figures.read_text())
    assert told["broken"] == [], said
    assert told["figures"]["streams that failed"] == 0 and told["figures"]["pieces that the slowest stream moved"] > 0
    assert told["figures"]["descriptors of the server at the peak"] > 300


def test_load_notices_what_is_altered():
    code, said = run("load.py", "--streams", 50, "--seconds", 1, "--memory", "print", "--alter", 5000)
    assert code == 1 and "bytes altered" in said and "BROKEN" in said, said


def noted_binary(folder):
    """The binary, which first notes its process id; and a function that gives the noted."""
    notes, path = folder / "pids", folder / "ferrotunnel"
    path.write_text(f'#!/bin/sh\necho $$ >>"{notes}"\nexec "{BINARY}" "$@"\n')
    path.chmod(0o755)
    return path, lambda: [int(line) for line in notes.read_text().split()] if notes.exists() else []


def test_load_without_its_tools_starts_nothing(tmp_path):
    binary, pids = noted_binary(tmp_path)
    done = subprocess.run([sys.executable, BENCH / "load.py", binary, "--streams", "1"], env={**os.environ, "FERROTUNNEL_TOOLS": str(tmp_path)},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "./scripts/build release tools" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert pids() == []


def test_load_ends_what_it_started_when_it_is_ended(tmp_path):
    binary, pids = noted_binary(tmp_path)
    said = tmp_path / "said"
    with said.open("w") as out:
        load = subprocess.Popen([sys.executable, BENCH / "load.py", binary, "--streams", "10", "--seconds", "60"], env={**os.environ, "FERROTUNNEL_TOOLS": TOOLS},
                                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        until(lambda: "streams idle" in said.read_text(), "it is about to move bytes")
        assert len(pids()) == 2
        load.terminate()
        assert load.wait(60) == 128 + signal.SIGTERM, said.read_text()
    finally:
        load.kill()
        load.wait()
    for pid in pids():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("tls", ["off", "on"])
def test_soak_with_faults(tmp_path, tls):
    figures = tmp_path / "soak.json"
    code, said = run("soak.py", "--minutes", 0.35 if tls == "off" else 0.15, "--tls", tls, "--visitors", 8, "--json", figures)
    assert code == 0, said
    told = json.loads(figures.read_text())
    assert told["whole"] > 20 and told["lost"] == [] and told["altered"] == [], said
    assert told["faults"]["kill client"] >= 1, said
    # what a thread has open for itself: they all run before and after
    assert "client anon_inode" not in said, said
    if tls == "off":
        assert set(told["faults"]) >= {"kill client", "kill server", "reload"}, said
        assert set(told["kinds"]) == {"upload", "download", "echo", "stalled", "reset", "http"}, said


@pytest.mark.parametrize("how, word", [("alter", "ALTERED: "), ("lose", "LOST: ")])
def test_soak_notices(how, word):
    code, said = run("soak.py", "--minutes", 0.1, "--visitors", 6, "--patience", 8, "--break", how)
    assert code == 1 and word in said and "FAILED" in said, said


@pytest.mark.parametrize("words, code, word", [
    (["bench", "--help"], 0, "usage: scripts/bench [part]... [-- options of the last one]"),
    (["bench", "speed"], 2, "no part speed; there are: floor"),
    (["bench", "soak", "--minutes", "1"], 2, "--minutes: options of a part come after --"),
    (["bench-ratio", "--help"], 0, "usage: scripts/bench-ratio [COMMIT]"),
    (["bench-ratio", "no-such-commit"], 2, "there is no commit no-such-commit here"),
    (["bench-ratio", "HEAD^", "HEAD"], 2, "one commit, and not 2"),
    (["bench-ratio", "--rounds"], 2, "no option --rounds"),
])
def test_scripts_say_how_they_are_called(tmp_path, words, code, word):
    done = subprocess.run([BENCH.parent / "scripts" / words[0], *words[1:]], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == code and word in (done.stderr if code else done.stdout), done.stdout + done.stderr
    assert "set -eu" not in done.stdout and "#" not in done.stdout, done.stdout


def fake_micro(path, **benchmarks):
    """A bench_micro that says these: {name: (ns, allocations)}."""
    said = {"benchmarks": [{"name": name, "cpu_time": ns, "time_unit": "ns", "allocs": allocs} for name, (ns, allocs) in benchmarks.items()]}
    path.write_text(f"#!/bin/sh\nfor word; do case $word in --benchmark_out=*) cat >\"${{word#*=}}\" <<'END'\n{json.dumps(said)}\nEND\n;; esac; done\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("here, code, word", [
    ({"a": (105, 0), "b": (100, 0)}, 0, "moved by more than 10 %: nothing"),
    ({"a": (130, 0), "b": (100, 0), "c": (1, 0)}, 0, "moved by more than 10 %: a: 1.30 (slower)"),
    ({"a": (100, 0), "b": (100, 0), "tiny": (0.6, 0)}, 0, "tiny: 2.00 (slower)"),
    ({"a": (100, 0), "b": (100, 0), "tiny": (1.6, 0)}, 1, "tiny takes"),
    ({"a": (160, 0), "b": (100, 0)}, 1, "a takes 1.60 times as long (bound 1.5)"),
    ({"a": (100, 0), "b": (100, 1)}, 1, "b allocates 1.00 times an operation, and the base does not"),
])
def test_ratio_judges(tmp_path, here, code, word):
    base = fake_micro(tmp_path / "base", a=(100, 0), b=(100, 0), tiny=(0.3, 0))
    done = subprocess.run([sys.executable, BENCH / "ratio.py", fake_micro(tmp_path / "here", **here), base, "--rounds", "3"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == code and word in done.stdout, done.stdout + done.stderr


def test_table_is_written_between_its_lines(tmp_path):
    sys.path.insert(0, str(BENCH))
    import table

    case = {"ours": {"bulk1 down cpu s/GB": [0.5, 0.7, 0.6]}, "rathole": {"bulk1 down cpu s/GB": [1.0, 1.0, 1.0]}, "frp": {"FAILED": ["it did not start"]}}
    (tmp_path / "peers.json").write_text(json.dumps(case))
    page = tmp_path / "performance.md"
    words = [sys.executable, BENCH / "table.py", "--from", tmp_path, "--into", page]
    page.write_text("no marker here")
    assert subprocess.run(words, capture_output=True, timeout=60).returncode == 1
    assert page.read_text() == "no marker here"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    for _ in range(2):  # again and again it stays one
        subprocess.run(words, check=True, capture_output=True, timeout=60)
    text = page.read_text()
    assert text.startswith(f"before\n{table.BEGIN}\n") and text.endswith(f"{table.END}\nafter\n") and "old" not in text
    assert text.count("| bulk1 down cpu s/GB | 0.60 | 1.00 |  |") == 1, text
    assert "ours to rathole | 0.60 | 0.65 | met |" in text and "cores of" in text, text
