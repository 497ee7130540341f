"""The programs that docs/library.md shows: a reader copies them, so they have to work as they stand."""
from pathlib import Path

from processes import BINARY, Process, until
from visitors import curl

EXAMPLES = Path(BINARY).parent / "tests"


def test_the_client_of_the_library_s_page(world, nginx):
    nginx.file("a.txt", b"a")
    server = world.server()
    words = [EXAMPLES / "example_client", server.join, f"127.0.0.1:{nginx.port}", "app.test"]
    client = world.add(Process(words, world.work, "example_client", world.env, lines=False))
    until(lambda: b"\n" in client.stdout(), "it prints where its service is")
    assert client.stdout().decode().strip() == f"http://app.test:{server.http_address[1]}"
    assert curl("http://app.test/a.txt", server) == b"a"
    server.kill()
    until(lambda: "client: " in client.stderr(), "it says that the server is gone")
    again = world.server(listen=server.listen, http=server.http, state=server.state)
    until(lambda: client.stdout().count(b"\n") == 2, "it is back")
    assert curl("http://app.test/a.txt", again) == b"a"
    client.stop()


def test_it_says_what_is_wrong(world):
    wrong = world.add(Process([EXAMPLES / "example_client", "ft1_nonsense", "8080"], world.work, "wrong", world.env, lines=False))
    assert wrong.wait_exit() == 1
    assert wrong.stderr().startswith("client: ") and "token" in wrong.stderr()
    bad = world.add(Process([EXAMPLES / "example_server", "/proc/nowhere", "eu.example.com:no-port"], world.work, "bad", world.env, lines=False))
    assert bad.wait_exit() == 1
    assert bad.stderr().startswith("server: ") and "eu.example.com:no-port" in bad.stderr()
    for process in (wrong, bad):
        process.check_sanitizers()
        world.processes.remove(process)  # it ended with 1, as it should
