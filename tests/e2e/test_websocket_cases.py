"""The WebSocket cases of Autobahn's suite (kosoku, 517 of them) through an HTTP tunnel, against an echo service (ws, of Node.js) with permessage-deflate.

Here a selection of each chapter that takes seconds; all of them with FERROTUNNEL_WEBSOCKET_CASES=all, as `scripts/conformance websocket` does.
"""
# ctest: timeout=300
import json
import os
import subprocess

from pathlib import Path

from processes import Process, program

ROOT = Path(__file__).resolve().parents[2]
COUNTERPARTS = ROOT / "build/counterparts"
ALL = os.environ.get("FERROTUNNEL_WEBSOCKET_CASES") == "all"
# Of the load chapters (9, 12, 13) what is small.
SELECTION = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.1.1", "9.2.1", "9.3.4", "9.5.1", "9.7.1", "10.*", "12.1.1", "12.1.5", "12.2.3",
             "12.4.7", "12.5.2", "13.1.1", "13.3.2", "13.5.5", "13.7.1", "13.7.4"]
ACCEPTED = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}


def test_cases(world):
    kosoku = COUNTERPARTS / "kosoku/bin/kosoku"
    assert kosoku.exists(), "scripts/counterparts installs it"
    assert Path("/usr/share/nodejs/ws").exists(), "install node-ws: scripts/deps test"
    echo = Process([program("node"), ROOT / "tests/conformance/websocket/echo.js"], world.work, "echo", {**world.env, "NODE_PATH": "/usr/share/nodejs"})
    world.later(lambda: (echo.child.terminate(), echo.child.wait(20)))
    server = world.server()
    world.http_tunnel(server, echo.wait_event("ready")["port"], server.http_address[0])
    out = world.work / "reports"
    select = [] if ALL else [word for case in SELECTION for word in ("-i", case)]
    done = subprocess.run([kosoku, "-m", "fuzzingclient", "-p", "2", "-o", out, *select, server.http], capture_output=True, text=True,
                          timeout=3600 if ALL else 240)
    [reports] = list(out.rglob("index.json"))
    [cases] = json.loads(reports.read_text()).values()
    assert len(cases) >= (517 if ALL else 200), f"{len(cases)} cases ran\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    bad = {name: case for name, case in cases.items() if case["behavior"] not in ACCEPTED or case["behaviorClose"] not in ACCEPTED}
    assert not bad, f"{len(bad)} of {len(cases)}: {bad}\n{done.stdout[-3000:]}"
    assert done.returncode == 0, done.stdout[-3000:]
    print(f"{len(cases)} cases, 0 failed")
