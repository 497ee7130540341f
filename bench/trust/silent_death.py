"""silent_death.py [BINARY] [LEASE]: a client falls silent behind a network that drops its packets (network namespaces of this script's own; root). Whoever
signs in under the same grant serves within 3 s: the same process on a new connection, and a new process with the same token. A client of another grant is
refused all the while; and with LEASE seconds (the server's host_lease; 0: not measured) for so long after the holder is gone."""
import os
import subprocess
import sys
import threading
import time
from datetime import datetime

if "FT_SILENT_DEATH" not in os.environ:  # in a network of its own from here on
    os.execvpe("unshare", ["unshare", "-n", sys.executable, *sys.argv], {**os.environ, "FT_SILENT_DEATH": "1"})

import common
from processes import BINARY, Process, program
from visitors import HttpVisitor

LEASE = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
WITHIN = 3.0
HOST = "app.test"


def sh(*words, inside=None):
    words = (["ip", "netns", "exec", inside] if inside else []) + [str(word) for word in words]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout


class Place:
    """A namespace with a way to the server's address."""

    def __init__(self, world, number):
        self.world, self.name = world, f"ft-silent-{os.getpid()}-{number}"
        here, there = f"10.213.7.{4 * number + 1}", f"10.213.7.{4 * number + 2}"
        sh("ip", "netns", "add", self.name)
        world.later(lambda: subprocess.run(["ip", "netns", "del", self.name], capture_output=True))
        sh("ip", "link", "add", f"ft{number}", "type", "veth", "peer", "name", "eth0", "netns", self.name)
        sh("ip", "address", "add", f"{here}/30", "dev", f"ft{number}")
        sh("ip", "link", "set", f"ft{number}", "up")
        sh("ip", "address", "add", f"{there}/30", "dev", "eth0", inside=self.name)
        sh("ip", "link", "set", "eth0", "up", inside=self.name)
        sh("ip", "route", "add", "default", "via", here, inside=self.name)
        sh(program("nft"), "add table inet ft; add chain inet ft in { type filter hook input priority 0; }; "
           "add chain inet ft out { type filter hook output priority 0; }", inside=self.name)

    def client(self, folder, join):
        argv = ["ip", "netns", "exec", self.name, BINARY, "http", str(folder), "--host", HOST, "--no-save", "--join", join]
        return self.world.add(Process(argv, self.world.work, self.world.name("client"), self.world.env))

    def drop(self, rule):
        """"": everything; else what nft matches, with PORT for sport on the way out and dport on the way in."""
        sh(program("nft"), f"add rule inet ft out {rule.replace('PORT', 'tcp sport')} drop; add rule inet ft in {rule.replace('PORT', 'tcp dport')} drop",
           inside=self.name)

    def port(self, pid):
        """The local port of this process's link."""
        lines = [line for line in sh(program("ss"), "-tnpH", "state", "established", inside=self.name).splitlines() if f"pid={pid}," in line]
        (line,) = lines
        return int(line.split()[2].rpartition(":")[2])


def at(event):
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


def serves(server, body):
    try:
        with HttpVisitor(server.http_address) as visitor:
            visitor.socket.settimeout(1)
            return visitor.ask("GET", "/who.txt", HOST).body == body
    except (OSError, AssertionError):
        return False


def serving(server, body, since):
    """Seconds from the sign-in `since` until a visitor gets this body."""
    common.until(lambda: serves(server, body), f"{body} serves", patience=60)
    return time.time() - at(since)


world = common.world()
sh("ip", "link", "set", "lo", "up")
places = [Place(world, number) for number in range(3)]
folders = []
for name in ("first", "second", "stranger"):
    folders.append(world.work / name)
    folders[-1].mkdir()
    (folders[-1] / "who.txt").write_text(name)
server = world.server(listen="10.213.7.1:0")
other_token = world.run("token", "new", "--name", "other", "--state", server.state).stdout.strip()

first = places[0].client(folders[0], server.join)
first.wait_event("tunnel_up")
assert serves(server, b"first")
stranger = places[2].client(folders[2], other_token)
stranger.wait_event("tunnel_rejected")
refusals = []
over = threading.Event()


def ask_on():
    """More askers of that grant, one after the other, each with a first try of its own: a client's second tries are slower."""
    while not over.is_set():
        asker = places[2].client(folders[2], other_token)
        told = None
        while not told and not over.is_set():
            told = asker.events("tunnel_rejected") or asker.events("tunnel_up")
            time.sleep(0.02)
        refusals.append(told[0]["event"] if told else "")
        asker.kill()
        world.processes.remove(asker)


watch = threading.Thread(target=ask_on, daemon=True)
watch.start()

# The same process: its connection is dead, a new one is not.
places[0].drop(f"PORT {places[0].port(first.pid)}")
cut = time.time()
again = first.wait_event("connected", after=1)
noticed = at(again) - cut
same = serving(server, b"first", again)

# A new process with the same token elsewhere; the first one's place is cut off from everything.
places[0].drop("")
cut = time.time()
second = places[1].client(folders[1], server.join)
signed_in = second.wait_event("connected")
new = serving(server, b"second", signed_in)
refused_first = bool(second.events("tunnel_rejected"))
over.set()
watch.join(60)
refusals = [told for told in refusals if told]
stranger_up = bool(stranger.events("tunnel_up")) or "tunnel_up" in refusals

# Then nobody of the grant is left.
lease = None
if LEASE:
    second.kill()
    world.processes.remove(second)
    gone = time.time()
    lease = at(stranger.wait_event("tunnel_up", patience=LEASE + 40)) - gone
first.kill()
world.processes.remove(first)
good = same < WITHIN and new < WITHIN and not stranger_up and (lease is None or LEASE - 1 <= lease <= LEASE + 10)
common.verdict("silent_death", good,
               f"same process: signed in anew {noticed:.1f} s after the cut, serving {same:.2f} s after that; new process with the same token: serving {new:.2f} s after "
               f"it signed in ({'after a refusal' if refused_first else 'at once'}); goal {WITHIN:.0f} s. Another grant meanwhile: "
               f"{'GOT THE HOST' if stranger_up else f'refused each of {1 + len(refusals)} times that it asked'}"
               + (f"; it had the host {lease:.1f} s after the holder was gone (lease {LEASE:g} s)" if lease is not None else ""))
