"""What packaging/ promises: units that systemd takes, that confine well, and whose command lines work."""
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from processes import BINARY, Process, program

TOP = Path(__file__).resolve().parents[2]
UNITS = ["server", "client"]
MOST_EXPOSED = 20  # tenths; systemd-analyze calls up to 2.0 "OK" with a smile, and 10.0 is a service without any of it


def unit_of(kind):
    return (TOP / f"packaging/systemd/ferrotunnel-{kind}@.service").read_text()


def settings(kind, name):
    return re.findall(rf"^{name}=(.*)$", unit_of(kind), re.M)


@pytest.fixture
def unit(world):
    """The file of an instance, which finds the program under test."""
    def unit(kind):
        folder = world.work / "units"
        folder.mkdir(exist_ok=True)
        file = folder / f"ferrotunnel-{kind}@test.service"
        text = unit_of(kind)
        for key in ("ExecStart", "ExecReload"):
            text = text.replace(f"{key}=ferrotunnel ", f"{key}={BINARY} ")
        file.write_text(text)
        return file

    return unit


@pytest.mark.parametrize("kind", UNITS)
def test_systemd_takes_the_unit(world, unit, kind):
    done = subprocess.run([program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", unit(kind)], capture_output=True, text=True, timeout=60,
                          env=world.env)
    assert done.returncode == 0 and not done.stderr, done


@pytest.mark.parametrize("kind", UNITS)
def test_the_unit_confines(world, unit, kind):
    done = subprocess.run([program("systemd-analyze"), "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", unit(kind)],
                          capture_output=True, text=True, timeout=60, env=world.env)
    assert done.returncode == 0 and "Overall exposure level" in done.stdout, done


@pytest.mark.parametrize("kind", UNITS)
def test_the_unit_fits_the_command(world, kind):
    text = unit_of(kind)
    known = world.run(kind, "--help").stdout
    for variable in set(re.findall(r"FERROTUNNEL_[A-Z_]+", text)):
        assert f"[{variable}]" in known, variable
    drain = int(re.search(r"^Environment=FERROTUNNEL_DRAIN_TIMEOUT=(\d+)$", text, re.M)[1])
    assert int(settings(kind, "TimeoutStopSec")[0]) > drain
    assert settings(kind, "RestartPreventExitStatus") == ["2 3"]


def test_the_command_lines_work(world, nginx):
    """As systemd would start both, with its directories and files where a test may have them."""
    def start(kind, env, **known):
        [line] = settings(kind, "ExecStart")
        for assignment in settings(kind, "Environment"):
            name, _, value = assignment.partition("=")
            env = {name: value.replace("%S", str(world.work)).replace("%i", "main"), **env}
        words = shlex.split(line)
        assert words[0] == "ferrotunnel"
        words = [re.sub(r"\$\{(\w+)\}", lambda m: known[m[1]], word) for word in words[1:]]
        return world.add(Process([BINARY, *words], world.work, kind, {**world.env, **env}))

    server = start("server", {"FERROTUNNEL_LISTEN": "127.0.0.1:0", "FERROTUNNEL_HTTP_LISTEN": "127.0.0.1:0"})
    ready = server.wait_event("ready")
    assert ready["state"] == str(world.work / "ferrotunnel/main")
    (world.work / "token").write_text(ready["join"] + "\n")
    (world.work / "token").chmod(0o600)
    client = start("client", {"FERROTUNNEL_HTTP": f"web={nginx.port},host=app.example.com"}, CREDENTIALS_DIRECTORY=str(world.work))
    assert client.wait_event("tunnel_up")["url"].startswith("http://app.example.com")


def test_the_image_is_made_of_what_is_here():
    text = (TOP / "packaging/docker/Dockerfile").read_text()
    for script in re.findall(r"\./(scripts/\S+)", text):
        assert (TOP / script).exists(), script
    assert len(re.findall(r"^FROM ", text, re.M)) == 2
    assert re.search(r"^USER ferrotunnel$", text, re.M)
    # The Boost that scripts/packages.txt builds with there is the one that it runs with.
    version = re.search(r"^build +libboost-json([\d.]+)-dev +trixie$", (TOP / "scripts/packages.txt").read_text(), re.M)[1]
    assert f"libboost-json{version}.0" in text
