"""`ferrotunnel http ./dist`: a directory's files through the real programs, with curl as the visitor."""
# ctest: timeout=240
import concurrent.futures
import hashlib
import os
from pathlib import Path

import pytest

from visitors import HttpVisitor, curl, read_all

HOST = "files.test"


@pytest.fixture
def server(world):
    return world.server()


@pytest.fixture
def dist(world):
    """A directory with something beside it that nobody should get."""
    root = world.work / "dist"
    (root / "sub dir").mkdir(parents=True)
    (world.work / "secret.txt").write_text("secret")
    (root / "index.html").write_text("<p>hello from files</p>")
    (root / "a.txt").write_text("a" * 5000)
    (root / "sub dir" / "ä <b>.txt").write_text("umlaut")
    (root / ".env").write_text("SECRET=1")
    for path in root.rglob("*"):
        if path.is_file():
            age(path)
    return root


@pytest.fixture
def site(world, server, dist):
    world.client_of_site = world.http_tunnel(server, dist, HOST)
    return dist


def age(path):
    """Older than what is too fresh for a strong ETag."""
    os.utime(path, (1_700_000_000, 1_700_000_000))


def status(url, server, *flags):
    return int(curl(url, server, "-o", "/dev/null", "-w", "%{http_code}", *flags))


def head(url, server, *flags):
    """Fields of the answer, names in lower case."""
    lines = curl(url, server, "-o", "/dev/null", "-D", "-", *flags).decode("latin-1").split("\r\n")
    found = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return {name.lower(): value for name, value in found.items()}


def test_a_page_and_what_the_client_says_of_it(world, server, site):
    client = world.client_of_site
    assert client.up["to"] == f"files in {site.resolve()}"
    assert curl(f"http://{HOST}/", server) == b"<p>hello from files</p>"
    assert curl(f"http://{HOST}/a.txt", server) == b"a" * 5000
    assert head(f"http://{HOST}/", server)["content-type"] == "text/html; charset=utf-8"
    assert status(f"http://{HOST}/none", server) == 404
    assert status(f"http://{HOST}/a.txt", server, "-X", "DELETE") == 405
    assert status(f"http://{HOST}/a.txt", server, "-d", "x" * 2000) == 405
    assert curl(f"http://{HOST}/a.txt", server, "--head").startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_relative_path_and_the_client_command(world, server, dist):
    work = os.getcwd()
    os.chdir(dist.parent)
    try:
        world.http_tunnel(server, "./dist", "relative.test")
        client = world.client("client", "--http", "web=dir:dist,host=named.test", join=server)
        client.wait_event("tunnel_up")
    finally:
        os.chdir(work)
    assert curl("http://relative.test/", server) == b"<p>hello from files</p>"
    assert curl("http://named.test/", server) == b"<p>hello from files</p>"


def test_what_is_no_directory(world, dist):
    token = "ft1_x"
    for words, says in [
        (["http", dist / "none"], "No such file or directory"),
        (["http", dist / "a.txt"], "Not a directory"),
        (["http", f"dir:{dist}/none"], "No such file or directory"),
        (["tcp", dist], "over HTTP only"),
    ]:
        done = world.run(*words, "--join", token)
        assert done.returncode == 2, done
        assert says in done.stderr and str(words[1]).removeprefix("dir:") in done.stderr, done.stderr


def test_a_directory_is_listed(server, site):
    page = curl(f"http://{HOST}/sub%20dir/", server).decode()
    assert 'href="%C3%A4%20%3Cb%3E.txt"' in page
    assert "ä &lt;b&gt;.txt" in page and "<b>" not in page
    assert curl(f"http://{HOST}/sub%20dir/%C3%A4%20%3Cb%3E.txt", server) == b"umlaut"
    (site / "index.html").unlink()
    page = curl(f"http://{HOST}/", server).decode()
    assert 'href="sub%20dir/"' in page and ".env" not in page


def test_a_directory_without_its_slash_moves(server, site):
    moved = head(f"http://{HOST}/sub%20dir?q=1", server)
    assert moved["location"] == "/sub%20dir/?q=1"
    assert b"umlaut" not in curl(f"http://{HOST}/sub%20dir", server, "--location")
    assert status(f"http://{HOST}/sub%20dir", server) == 301


def test_an_etag_goes_round(world, server, site):
    tag = world.work / "tag"
    first = curl(f"http://{HOST}/a.txt", server, "--etag-save", tag)
    assert first == b"a" * 5000 and tag.read_text().startswith('"')
    assert status(f"http://{HOST}/a.txt", server, "--etag-compare", tag) == 304
    modified = head(f"http://{HOST}/a.txt", server)["last-modified"]
    assert status(f"http://{HOST}/a.txt", server, "-H", f"If-Modified-Since: {modified}") == 304
    (site / "a.txt").write_text("changed")
    assert curl(f"http://{HOST}/a.txt", server, "--etag-compare", tag) == b"changed"


def test_a_download_is_resumed(world, server, site):
    content = os.urandom(3_000_000)
    (site / "file.bin").write_bytes(content)
    part = world.work / "part"
    part.write_bytes(content[:1_234_567])
    curl(f"http://{HOST}/file.bin", server, "-C", "-", "-o", part)
    assert part.read_bytes() == content
    assert curl(f"http://{HOST}/file.bin", server, "-r", "10-19") == content[10:20]
    assert curl(f"http://{HOST}/file.bin", server, "-r", "-5") == content[-5:]
    assert head(f"http://{HOST}/file.bin", server, "-r", "10-19")["content-range"] == "bytes 10-19/3000000"
    assert status(f"http://{HOST}/file.bin", server, "-r", "3000000-") == 416


@pytest.mark.parametrize("path", [
    "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/..%5csecret.txt", "/..\\secret.txt",
    "/%252e%252e/secret.txt", "/%c0%ae%c0%ae/secret.txt", "/sub%20dir/../../secret.txt", "/./../secret.txt", "//etc/passwd",
    "/%2fetc/passwd", "/.env", "/%2eenv", "/sub%20dir/..;/secret.txt", "/a.txt%00/../../secret.txt",
])
def test_no_traversal(server, site, path):
    got = curl(f"http://{HOST}{path}", server, "--path-as-is", "-w", "%{http_code}")
    assert got[-3:] in (b"404", b"400") and b"secret" not in got and b"root:" not in got and b"SECRET" not in got


def test_symlinks_stay_inside(world, server, site):
    (site / "inside").symlink_to("a.txt")
    (site / "outside").symlink_to("../secret.txt")
    (site / "absolute").symlink_to(world.work / "secret.txt")
    (site / "updir").symlink_to("..")
    (site / "loop").symlink_to("loop")
    assert curl(f"http://{HOST}/inside", server) == b"a" * 5000
    for path in ("outside", "absolute", "updir/", "updir/secret.txt", "loop"):
        assert status(f"http://{HOST}/{path}", server) == 404, path


def test_one_connection_many_requests(server, site):
    with HttpVisitor(server.http_address) as visitor:
        for _ in range(50):
            assert visitor.ask("GET", "/a.txt", HOST).body == b"a" * 5000
            assert visitor.ask("HEAD", "/a.txt", HOST).fields["content-length"] == "5000"
            assert visitor.ask("PUT", "/a.txt", HOST, body=b"x" * 100).status == 405
            assert visitor.ask("GET", "/none", HOST).status == 404


def test_a_file_that_shrinks_is_a_cut_and_not_an_end(server, site):
    (site / "big").write_bytes(b"x" * 50_000_000)
    visitor = HttpVisitor(server.http_address)
    visitor.request("GET", "/big", HOST)
    got = visitor.socket.recv(1000)
    assert got.startswith(b"HTTP/1.1 200")
    os.truncate(site / "big", 1000)
    try:
        assert len(got) + len(read_all(visitor.socket)) < 50_000_000
    except ConnectionResetError:
        pass
    visitor.close()
    assert curl(f"http://{HOST}/big", server) == b"x" * 1000


def peak_memory(process):
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def test_a_large_file_costs_no_memory(world, server, dist):
    # AddressSanitizer keeps what is freed, 256 MB of it, unless it is told not to.
    options = os.environ.get("ASAN_OPTIONS", "")
    client = world.client("http", dist, "--host", HOST, join=server, env={"ASAN_OPTIONS": f"{options}:quarantine_size_mb=1".lstrip(":")})
    client.wait_event("tunnel_up")
    digest = hashlib.sha256()
    piece = os.urandom(1 << 20)
    with open(dist / "large", "wb") as file:
        for i in range(200):
            block = piece[i * 1000:] + piece[:i * 1000]
            digest.update(block)
            file.write(block)
    curl(f"http://{HOST}/a.txt", server)
    before = peak_memory(client)
    got = world.work / "got"
    curl(f"http://{HOST}/large", server, "-o", got)
    with open(got, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest.hexdigest()
    grown = peak_memory(client) - before
    assert grown < 20e6, f"the client grew by {grown / 1e6:.1f} MB"


def test_twenty_at_once(world, server, site):
    contents = [os.urandom(2_000_000 + i) for i in range(20)]
    for i, content in enumerate(contents):
        (site / f"f{i}").write_bytes(content)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        got = list(pool.map(lambda i: curl(f"http://{HOST}/f{i}", server), range(20)))
    assert got == contents
    fds = world.client_of_site.fds()
    assert fds < 40, "no file stays open"


def test_a_visitor_who_does_not_read_holds_up_nobody(server, site):
    (site / "big").write_bytes(b"x" * 50_000_000)
    stalled = [HttpVisitor(server.http_address) for _ in range(5)]
    for visitor in stalled:
        visitor.request("GET", "/big", HOST)
    for _ in range(20):
        assert curl(f"http://{HOST}/a.txt", server) == b"a" * 5000
    for visitor in stalled:
        visitor.close()


@pytest.mark.parametrize("size", [1000, 900_000, 20_000_000])
@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"])
def test_an_upload_is_refused_and_hangs_nobody(world, server, site, size, expect):
    upload = world.work / "upload"
    upload.write_bytes(b"x" * size)
    with HttpVisitor(server.http_address) as visitor:
        lines = [f"Content-Length: {size}"] + ([expect] if expect != "Expect:" else [])
        visitor.request("PUT", "/new", HOST, *lines)
        if expect == "Expect:" and size < 1_000_000:
            visitor.send(upload.read_bytes())
        answer = visitor.response()
        if answer.status == 100:
            visitor.send(upload.read_bytes()[:100_000])
            answer = visitor.response()
        assert answer.status == 405
    assert curl(f"http://{HOST}/a.txt", server) == b"a" * 5000
    assert not (site / "new").exists()
