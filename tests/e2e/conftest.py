"""What every end-to-end test gets: `world`, which starts the real programs and ends them (processes.py).

Run: FERROTUNNEL_BIN=build/dev/ferrotunnel /usr/bin/python3 -m pytest tests/e2e. Nothing but the standard library, pytest, and the real counterparts
(curl, nginx, openssl); a test whose counterpart is missing fails and says what to install.
"""
import resource
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import origins  # noqa: E402
from processes import World  # noqa: E402

_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def nginx(world):
    """A real nginx as the origin: .port, .root (served, PUT allowed)."""
    return origins.Nginx(world)


@pytest.fixture
def echo(world):
    """A TCP service that sends back what it gets, and closes its side when the other is closed: .port"""
    return origins.TcpOrigin(world, origins.echo)
