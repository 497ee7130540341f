"""Pages of the server's owner for what the server answers itself (key error_pages)."""
import json

import pytest

from visitors import curl

HOST = "nobody.test"


@pytest.fixture
def pages(world):
    made = world.work / "pages"
    made.mkdir()
    (made / "404.html").write_text("<style>p {color: red}</style><p>{host}: {sentence} ({code}, {request_id})</p>")
    (made / "4xx.txt").write_text("{status} {reason} {side}\n")
    (made / "error.json").write_text('{"own": "{sentence}", "status": {status}}')
    (made / ".hidden").write_text("{nothing}")
    return made


def configured(world, pages):
    config = world.work / "server.toml"
    config.write_text(f'[server]\nerror_pages = "{pages}"\n')
    return config


@pytest.mark.parametrize("flag", ["--http1.1", "--http2-prior-knowledge"])
def test_they_are_said_in_place_of_the_built_in_ones(world, pages, flag):
    server = world.server("--config", configured(world, pages))


    url = f"http://{HOST}/"
    html = curl(url, server, flag, "-i", "-H", "Accept: text/html").decode()
    assert f"<style>p {{color: red}}</style><p>{HOST}: No tunnel serves {HOST} here. (no-such-host, " in html, html
    assert "ferrotunnel-error: no-such-host" in html.lower(), html
    assert curl(url, server, flag).decode() == "404 Not Found visitor\n"
    assert json.loads(curl(url, server, flag, "-H", "Accept: application/json")) == {"own": f"No tunnel serves {HOST} here.", "status": 404}
    # A head has the length of the page, and no body.
    head = curl(url, server, flag, "-I").decode().lower()
    assert "content-length: 22" in head, head


def test_a_reload_reads_them_anew_and_refuses_what_is_wrong(world, pages):
    config = configured(world, pages)
    server = world.server("--config", config)
    url = f"http://{HOST}/"
    (pages / "4xx.txt").write_text("second\n")
    assert world.run("reload", "--state", server.state).returncode == 0
    assert curl(url, server) == b"second\n"
    (pages / "4xx.txt").write_text("third {hostname}\n")
    refused = world.run("reload", "--state", server.state)
    assert refused.returncode != 0 and str(pages / "4xx.txt") in refused.stderr and "{hostname}" in refused.stderr, refused
    assert curl(url, server) == b"second\n"
    checked = world.run("check", config)
    assert checked.returncode != 0 and "{hostname}" in checked.stderr + checked.stdout, checked
    (pages / "4xx.txt").unlink()
    (pages / "error.json").write_text('{"status": {status}, }')
    refused = world.run("reload", "--state", server.state)
    assert refused.returncode != 0 and "it is no JSON" in refused.stderr, refused


def test_one_file_is_for_all(world):
    page = world.work / "sorry.txt"
    page.write_text("sorry: {status}\n")
    server = world.server("--config", configured(world, page))
    assert curl(f"http://{HOST}/", server) == b"sorry: 404\n"


@pytest.mark.parametrize("name, text, says", [("404.htm", "x", "neither .html"), ("3xx.html", "x", "its name"), ("404.html", "x" * 40_000, "32 KiB"),
                                             ("404.html", "{status}" * 65, "placeholders")])
def test_what_cannot_be_used_is_said_at_the_start(world, name, text, says):
    directory = world.work / "pages"
    directory.mkdir()
    (directory / name).write_text(text)
    done = world.run("server", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--state", world.work / "state", "--config",
                     configured(world, directory))
    assert done.returncode != 0 and str(directory / name) in done.stderr and says in done.stderr, done
