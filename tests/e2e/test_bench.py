"""bench/load.py and bench/soak.py for a short time, so that they cannot rot; and that they notice what they are there for."""
# ctest: timeout=240
import json
import subprocess
import sys
from pathlib import Path

import pytest

from processes import BINARY

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


@pytest.mark.parametrize("tls", ["off", "on"])
def test_soak_with_faults(tmp_path, tls):
    figures = tmp_path / "soak.json"
    code, said = run("soak.py", "--minutes", 0.35 if tls == "off" else 0.15, "--tls", tls, "--visitors", 8, "--json", figures)
    assert code == 0, said
    told = json.loads(figures.read_text())
    assert told["whole"] > 20 and told["lost"] == [] and told["altered"] == [], said
    assert told["faults"]["kill client"] >= 1, said
    if tls == "off":
        assert set(told["faults"]) >= {"kill client", "kill server", "reload"}, said
        assert set(told["kinds"]) == {"upload", "download", "echo", "stalled", "reset", "http"}, said


@pytest.mark.parametrize("how, word", [("alter", "ALTERED: "), ("lose", "LOST: ")])
def test_soak_notices(how, word):
    code, said = run("soak.py", "--minutes", 0.1, "--visitors", 6, "--patience", 8, "--break", how)
    assert code == 1 and word in said and "FAILED" in said, said
