"""How to start this project for the shared bench scripts (peers.py, http_peers.py, wan.py).

start(work, service_port, ingress_port, host="127.0.0.1", kind="tcp", tls=False, carry="auto") -> [server argv, client argv]
  host: where the server listens for its client. kind: "tcp" gives the service a port of its own; "http" routes the hosts x.test and
  127.0.0.1 to it. carry: how visitors of a "tcp" one are carried, as the flag --carry of the command tcp; of "http" it is always the link.
The binary is build/release/ferrotunnel, or $FERROTUNNEL_BIN.
"""
import json
import os
import subprocess

_HERE = os.path.dirname(os.path.abspath(os.environ.get("FERROTUNNEL_PEER", __file__ if "__file__" in globals() else "bench/peer.py")))
_CONTROL = 19250
_SECRET = "bench-secret-of-some-length"


def start(work, service_port, ingress_port, host="127.0.0.1", kind="tcp", tls=False, carry="auto"):
    binary = os.environ.get("FERROTUNNEL_BIN") or os.path.join(_HERE, "..", "build", "release", "ferrotunnel")
    binary = os.path.abspath(binary)
    secret = os.path.join(work, "ferrotunnel.secret")
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(_SECRET)
    state = os.path.join(work, "ferrotunnel-state")
    server = [binary, "server", "--listen", f"{host}:{_CONTROL}", "--tcp-listen-host", "127.0.0.1", "--state", state, "--http-listen",
              f"127.0.0.1:{ingress_port}" if kind == "http" else "", "--tls", "on" if tls else "off", "--grant", "bench", "--secret-file", secret]
    if kind == "http":
        server += ["--log-level", "warn"]  # no line for each request, as of the others
    client = [binary, "client", "--server", f"{host}:{_CONTROL}"]
    client += ["--join", _token(binary, state, secret)] if tls else ["--tls", "off", "--grant", "bench", "--secret-file", secret]
    if kind == "http":
        client += ["--http", f"a=127.0.0.1:{service_port},host=x.test", "--http", f"b=127.0.0.1:{service_port},host=127.0.0.1"]
    else:
        client += ["--tcp", f"x=127.0.0.1:{service_port},port={ingress_port},carry={carry}"]
    return [server, client + ["--no-save"]]


def _token(binary, state, secret):
    """The join token (it pins the server's key): a server started once on a port of its own makes the key and prints it."""
    once = subprocess.Popen([binary, "server", "--listen", "127.0.0.1:0", "--http-listen", "", "--state", state, "--grant", "bench",
                             "--secret-file", secret, "--log-format", "json"], stdout=subprocess.PIPE, text=True)
    try:
        for line in once.stdout:
            said = json.loads(line)
            if said.get("event") == "ready":
                return said["join"]
        raise RuntimeError("the server ended before it was ready")
    finally:
        once.terminate()
        once.wait(10)
        once.stdout.close()
