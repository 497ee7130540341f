"""Who is let in, and who is believed: tokens, pins, TLS off, certificates of one's own, mutual TLS."""
import os
import re
import stat

import pytest

from certificates import Authority
from visitors import connect, read_exactly

SECRET = "a secret of the test's own, long enough"


def restart(world, server, *flags):
    return world.server(*flags, listen=server.listen, http=server.http, state=server.state)


def works(client):
    with connect(("127.0.0.1", client.wait_event("tunnel_up")["port"])) as visitor:
        visitor.sendall(b"ping")
        return read_exactly(visitor, 4) == b"ping"


@pytest.fixture
def secret(world):
    file = world.work / "secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    return file


# --- tokens


def test_a_wrong_token_is_refused(world, echo):
    old = world.server()
    old.stop()
    # The same key, another secret: as if the grant had been made anew.
    os.unlink(old.state / "grants/default")
    new = restart(world, old)
    assert new.join != old.join
    done = world.run("tcp", echo.port, "--join", old.join)
    assert done.returncode == 3, done
    assert done.stderr.startswith("ferrotunnel: ") and "token" in done.stderr
    assert done.stderr.count("\n") == 1
    told = new.wait_event("error", code="unauthorized")
    assert "127.0.0.1" in told["message"]
    assert not new.events("session_up")
    assert not (world.work / "home/.config/ferrotunnel/token").exists(), "what did not work is not kept"


def test_an_unknown_grant_gets_the_same_answer_as_a_wrong_secret(world, echo, secret):
    server = world.server("--tls", "off", "--grant", "known", "--secret-file", secret)
    wrong = world.work / "wrong"
    wrong.write_text("another secret, long enough too")
    wrong.chmod(0o600)
    said = []
    for grant, file in (("known", wrong), ("unknown", secret)):
        done = world.run("tcp", echo.port, "--tls", "off", "--server", server.listen, "--grant", grant, "--secret-file", file)
        assert done.returncode == 3, done
        said.append(done.stderr)
    assert said[0] == said[1]


@pytest.mark.parametrize("damage", ["cut", "a character", "one too many", "not a token", "empty"])
def test_a_damaged_token_is_told_as_such(world, damage):
    server = world.server()
    token = {"cut": server.join[:-7], "a character": server.join[:30] + ("A" if server.join[30] != "A" else "B") + server.join[31:],
             "one too many": server.join + "A", "not a token": "hunter2", "empty": ""}[damage]
    done = world.run("http", "8080", "--join", token)
    assert done.returncode == 2, done
    assert done.stderr.startswith("ferrotunnel: ") and "token" in done.stderr
    assert server.join[10:40] not in done.stderr + done.stdout, "a secret is not repeated"
    assert not server.events("session_up")


def test_white_space_in_a_token_does_not_matter(world, echo):
    server = world.server()
    token = server.join[:20] + "\n  " + server.join[20:] + "\n"
    assert works(world.client("tcp", echo.port, join=token))


def test_the_token_is_kept_and_used_the_next_time(world, echo):
    server = world.server()
    kept = world.work / "home/.config/ferrotunnel/token"
    first = world.client("tcp", echo.port, join=server)
    assert works(first)
    assert first.wait_event("token_kept")["file"] == str(kept)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.read_text().strip() == server.join
    first.stop()
    second = world.client("tcp", echo.port)
    assert works(second)
    assert not second.events("token_kept"), "there is nothing new to keep"
    # Its place follows XDG_CONFIG_HOME.
    other = world.client("tcp", echo.port, join=server, env={"XDG_CONFIG_HOME": str(world.work / "xdg")})
    other.wait_event("token_kept", file=str(world.work / "xdg/ferrotunnel/token"))


def test_no_save_and_the_environment_keep_nothing(world, echo):
    server = world.server()
    assert works(world.client("tcp", echo.port, "--no-save", join=server))
    assert works(world.client("tcp", echo.port, env={"FERROTUNNEL_JOIN": server.join}))
    assert not (world.work / "home/.config").exists()


def test_the_token_from_a_file(world, echo):
    server = world.server()
    file = world.work / "token"
    file.write_text(server.join + "\n")
    done = world.run("tcp", echo.port, "--join", f"@{file}")
    assert done.returncode == 2 and "chmod 600" in done.stderr, "others may read it"
    file.chmod(0o600)
    assert works(world.client("tcp", echo.port, join=f"@{file}"))


def test_a_client_never_prints_the_token(world, echo):
    server = world.server()
    client = world.client("tcp", echo.port, "--log-level", "debug", join=server)
    assert works(client)
    client.stop()
    assert server.join.encode() not in client.stdout() and server.join not in client.stderr()
    assert server.stdout().count(server.join.encode()) == 1, "the server prints it once, when it is ready"


# --- the server's key


def test_a_wrong_pin_is_told_and_final(world, echo):
    old = world.server()
    old.stop()
    os.unlink(old.state / "tls-identity.pem")
    restart(world, old)
    done = world.run("tcp", echo.port, "--join", old.join)
    assert done.returncode == 3, done
    assert "not the one in" in done.stderr and "new token" in done.stderr, done.stderr
    had, showed = re.findall(r"sha256:[0-9a-f]{64}", done.stderr)
    assert had != showed


def test_the_same_state_directory_gives_the_same_token(world):
    first = world.server()
    first.stop()
    assert restart(world, first).join == first.join
    assert stat.S_IMODE(first.state.stat().st_mode) == 0o700
    for file in ("tls-identity.pem", "grants/default"):
        assert stat.S_IMODE((first.state / file).stat().st_mode) == 0o600, file


# --- TLS off


def test_tls_off_at_both_ends(world, echo, secret):
    server = world.server("--tls", "off", "--grant", "me", "--secret-file", secret)
    assert server.events("ready")[0]["tls"] is False
    # With a grant it has to be asked for; a token carries it.
    client = world.client("tcp", echo.port, "--tls", "off", "--server", server.listen, "--grant", "me", "--secret-file", secret)
    assert works(client)
    assert "plain" in client.wait_event("connected")["transport"]
    by_token = world.client("tcp", echo.port, join=server)
    assert works(by_token)
    assert "plain" in by_token.wait_event("connected")["transport"]


def test_a_token_that_says_tls_is_not_talked_out_of_it(world):
    server = world.server()
    done = world.run("tcp", "1", "--join", server.join, "--tls", "off")
    assert done.returncode == 2 and "TLS" in done.stderr


@pytest.mark.parametrize("server_tls, client_tls", [("on", "off"), ("off", "on")])
def test_two_ends_that_disagree_about_tls_do_not_hang(world, secret, server_tls, client_tls):
    server = world.server("--tls", server_tls, "--grant", "me", "--secret-file", secret)
    done = world.run("tcp", "1", "--tls", client_tls, "--server", server.listen, "--grant", "me", "--secret-file", secret, "--fail-fast")
    assert done.returncode in (1, 3), done
    assert done.stderr.startswith("ferrotunnel: ")
    assert "tls" in done.stderr.lower(), f"it helps to know what to look at: {done.stderr}"
    assert not server.events("session_up")


# --- certificates


@pytest.fixture
def authority(world):
    return Authority(world.work, "authority")


def test_a_certificate_of_ones_own(world, echo, authority, secret):
    certificate, key = authority.issue("server")
    server = world.server("--tls-cert", certificate, "--tls-key", key, "--grant", "me", "--secret-file", secret)
    assert works(world.client("tcp", echo.port, join=server)), "the token pins whatever key the server has"
    port = server.listen.rpartition(":")[2]
    by_ca = ["--server", f"localhost:{port}", "--grant", "me", "--secret-file", secret, "--tls-ca"]
    assert works(world.client("tcp", echo.port, *by_ca, authority.file))
    other = Authority(world.work, "other")
    done = world.run("tcp", echo.port, *by_ca, other.file, "--fail-fast")
    assert done.returncode in (1, 3) and "certificate" in done.stderr.lower(), done
    # Signed by the right one, for another name.
    wrong_name = authority.issue("elsewhere", names="DNS:elsewhere.test")
    misnamed = world.server("--tls-cert", wrong_name[0], "--tls-key", wrong_name[1], "--grant", "me", "--secret-file", secret)
    by_ca[1] = "localhost:" + misnamed.listen.rpartition(":")[2]
    done = world.run("tcp", echo.port, *by_ca, authority.file, "--fail-fast")
    assert done.returncode in (1, 3), done


def test_without_a_pin_and_without_a_ca_nobody_is_believed(world, echo, secret):
    server = world.server("--grant", "me", "--secret-file", secret)
    done = world.run("tcp", echo.port, "--server", server.listen, "--grant", "me", "--secret-file", secret, "--fail-fast")
    assert done.returncode in (1, 3), done
    assert not server.events("session_up")


def test_mutual_tls(world, echo, authority):
    server = world.server("--tls-client-ca", authority.file)
    certificate, key = authority.issue("laptop")
    assert works(world.client("tcp", echo.port, "--tls-cert", certificate, "--tls-key", key, join=server))
    stranger = Authority(world.work, "stranger").issue("intruder")
    for flags in ([], ["--tls-cert", stranger[0], "--tls-key", stranger[1]]):
        done = world.run("tcp", echo.port, "--join", server.join, "--fail-fast", *flags)
        assert done.returncode in (1, 3), done
        assert "certificate" in done.stderr.lower(), f"what the server wants is said: {done.stderr}"
    assert len(server.events("session_up")) == 1


@pytest.mark.parametrize("what", ["no file", "garbage", "key of another"])
def test_certificates_that_do_not_load(world, authority, what):
    certificate, key = authority.issue("server")
    if what == "no file":
        certificate = world.work / "none.pem"
    elif what == "garbage":
        certificate.write_text("hello")
    else:
        key = authority.issue("another")[1]
    done = world.run("server", "--listen", "127.0.0.1:0", "--http-listen", "off", "--state", world.work / "state", "--tls-cert", certificate, "--tls-key", key)
    assert done.returncode in (1, 2), done
    assert done.stderr.startswith("ferrotunnel: ") and (str(certificate) in done.stderr or str(key) in done.stderr), done.stderr
