"""Completion in the real shells, the manual page in the real formatters, and what the bare name prints."""
import re
import subprocess

import pytest

from processes import BINARY, program
from terminal import Terminal


def output(argv, **more):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60, **more)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout


@pytest.fixture
def script(world):
    """The completion for a shell, in a file."""
    def script(shell):
        done = world.run("completion", shell)
        assert done.returncode == 0 and not done.stderr
        file = world.work / f"completion.{shell}"
        file.write_text(done.stdout)
        return file

    return script


def bash_offers(script, *words):
    """What bash offers in place of the last word."""
    line = " ".join(words)
    ask = (f'source {script}\ncomplete -p ferrotunnel >/dev/null || exit 1\nCOMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE={line!r}\n'
           '_ferrotunnel\nprintf "%s\\n" "${COMPREPLY[@]}"')
    return output([program("bash"), "--norc", "-c", ask, "bash", *words]).split()


def test_bash_loads_it(script):
    assert output([program("bash"), "--norc", "-c", f"source {script('bash')}; complete -p ferrotunnel"]) == "complete -F _ferrotunnel ferrotunnel\n"


@pytest.mark.parametrize("words, offered", [
    (["ser"], ["server"]),
    (["--v"], ["--version"]),
    (["to"], ["token"]),
    (["token", ""], ["new", "list", "show", "revoke"]),
    (["token", "new", "--po"], ["--ports"]),
    (["server", "--http-l"], ["--http-listen"]),
    (["server", "--log-format", ""], ["auto", "human", "json"]),
    (["server", "--tls", "o"], ["on", "off"]),
    (["tcp", "22", "--proxy-protocol", "v"], ["v1", "v2"]),
    (["completion", ""], ["bash", "zsh", "fish"]),
    (["help", "ki"], ["kick"]),
    (["server", "--threads", ""], []),
])
def test_bash_offers(script, words, offered):
    assert bash_offers(script("bash"), "ferrotunnel", *words) == offered


def test_bash_offers_files_where_a_file_is_meant(world, script):
    (world.work / "certificate.pem").touch()
    assert bash_offers(script("bash"), "ferrotunnel", "server", "--tls-cert", f"{world.work}/cert") == [f"{world.work}/certificate.pem"]


def test_bash_knows_every_command_and_flag(world, script):
    text = script("bash")
    for command in ("server", "http", "tcp", "client", "token new", "status", "kick", "drain", "version"):
        flags = re.findall(r"^    (--[a-z-]+)", world.run(*command.split(), "--help").stdout, re.M)
        assert set(bash_offers(text, "ferrotunnel", *command.split(), "--")) == {*flags, "--help"}


def test_zsh_takes_it(script):
    file = script("zsh")
    output([program("zsh"), "-n", file])
    said = output([program("zsh"), "-f", "-c", f"autoload -U compinit; compinit -D -u; source {file}; print $_comps[ferrotunnel]"])
    assert said == "_ferrotunnel\n"


def test_zsh_offers(world, script):
    """In a real zsh on a terminal: what is typed is completed."""
    (world.work / "zdot").mkdir()
    (world.work / "zdot/.zshrc").write_text(f"PS1='> '\nautoload -U compinit; compinit -D -u\nsource {script('zsh')}\n")
    shell = world.add(Terminal([program("zsh"), "-i"], world.work, "zsh", {**world.env, "TERM": "dumb", "ZDOTDIR": str(world.work / "zdot")}))
    shell.wait_screen("> ")
    for typed, whole in ((b"ferrotunnel serv\t", "ferrotunnel server "), (b"--http-l\t", "--http-listen "), (b"off --log-f\t", "--log-format "),
                         (b"j\t", "json ")):
        shell.type(typed)
        shell.wait_screen(whole)
    shell.type(b"\x15ferrotunnel token rev\t")
    shell.wait_screen("ferrotunnel token revoke ")
    shell.type(b"\x15exit\n")
    assert shell.wait_exit() == 0


@pytest.mark.parametrize("line, offered", [
    ("ferrotunnel serv", {"server"}),
    ("ferrotunnel token ", {"new", "list", "show", "revoke"}),
    ("ferrotunnel server --http-l", {"--http-listen"}),
    ("ferrotunnel server --tls o", {"on", "off"}),
    ("ferrotunnel token new --ex", {"--expires"}),
])
def test_fish_offers(world, script, line, offered):
    file = script("fish")
    output([program("fish"), "-n", file])
    said = output([program("fish"), "-N", "-c", f"source {file}; complete -C '{line}'"], env=world.env)
    assert {answer.split("\t")[0] for answer in said.splitlines()} == offered


def test_a_shell_that_is_none(world):
    for words in (["completion"], ["completion", "tcsh"]):
        done = world.run(*words)
        assert done.returncode == 2 and "bash, zsh or fish" in done.stderr


def test_the_manual_page_has_no_warnings_and_every_flag(world):
    page = world.run("man").stdout
    (world.work / "ferrotunnel.1").write_text(page)
    groff = subprocess.run([program("groff"), "-ww", "-man", "-Kutf8", "-Tutf8", "-P-cbou", world.work / "ferrotunnel.1"], capture_output=True, text=True, timeout=60)
    assert groff.returncode == 0 and not groff.stderr, groff.stderr
    shown = output([program("man"), "--warnings", "-l", world.work / "ferrotunnel.1"], env={**world.env, "LC_ALL": "C.UTF-8", "MANPAGER": "cat", "MANWIDTH": "100"})
    for text in (groff.stdout, shown):
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES"):
            assert re.search(rf"^{section}$", text, re.M), section
    for command in ("server", "http", "tcp", "client", "token new", "drain"):
        for flag, variable in re.findall(r"^    (--[a-z-]+).*?\[(FERROTUNNEL_\w+)\]", world.run(*command.split(), "--help").stdout, re.M | re.S):
            assert flag in shown and variable in shown
    assert re.search(r"^ +3 +refused by the server", shown, re.M)


def test_every_command_has_an_example_and_the_exit_codes(world):
    commands = re.findall(r"^    ferrotunnel ([a-z]+(?: (?:new|list|show|revoke))?)", re.search(r"SYNOPSIS\n(.*?)\n\n", world.run("--help").stdout, re.S)[1], re.M)
    assert len(commands) > 12
    for command in commands:
        text = world.run(*command.split(), "--help").stdout
        assert "\nEXAMPLES\n" in text and "\n    3  refused by the server" in text, command
        for block in re.findall(r"^    --.*?(?=^    --|^\S|\Z)", text[:text.index("\nEXAMPLES\n")], re.M | re.S):
            assert re.search(r"\[FERROTUNNEL_[A-Z_]+\]", block), block


def test_the_name_alone_on_a_terminal_prints_a_short_help(world):
    terminal = world.add(Terminal([BINARY], world.work, "bare", {**world.env, "TERM": "xterm"}))
    terminal.wait_screen("ferrotunnel --help names every command")
    assert terminal.wait_exit() == 2
    assert terminal.screen().count("\n") < 10
