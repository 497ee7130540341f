"""reconnect.py [BINARY] [CLIENTS] [SECONDS DOWN...]: so many client processes (500); the server is killed by `kill -9` and is back after so many seconds
(0.5, 3 and 10 by default). All are signed in and have their ports again within 5 s of its return, and the most sign-ins in one bucket of 100 ms are under 3
times the mean of the time from the first to the last."""
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime

import common
import origins
from processes import BINARY

CLIENTS = int(sys.argv[2]) if len(sys.argv) > 2 else 500
DOWN = [float(word) for word in sys.argv[3:]] or [0.5, 3, 10]
WITHIN, PEAK = 5.0, 3.0


def stamps(server, event):
    return [datetime.fromisoformat(e["time"].replace("Z", "+00:00")).timestamp() for e in server.events(event)]


world = common.world()
echo = origins.TcpOrigin(world, origins.echo)
server = world.server("--log-level", "info")
clients = []
world.later(lambda: [client.kill() for client in clients])
for n in range(CLIENTS):
    clients.append(subprocess.Popen([BINARY, "tcp", str(echo.port), "--no-save", "--join", server.join, "--log-level", "error"],
                                    env=world.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
common.until(lambda: len(server.events("tunnel_up")) == CLIENTS, "all are there at first", patience=120)
said, good = [], True
for down in DOWN:
    time.sleep(11)  # until a link counts as steady (BackoffOptions): what happens to a server that ran for a while
    server.kill()
    time.sleep(down)
    server = world.server("--log-level", "info", listen=server.listen, http=server.http, state=server.state)
    back = stamps(server, "ready")[0]
    common.until(lambda: len(server.events("tunnel_up")) >= CLIENTS, "all of them are back", patience=90)
    ups, tunnels = sorted(stamps(server, "session_up")), sorted(stamps(server, "tunnel_up"))
    buckets = Counter(int((up - ups[0]) * 10) for up in ups)
    peak, mean = max(buckets.values()), len(ups) / max(1, buckets and max(buckets) + 1)
    took = tunnels[CLIENTS - 1] - back
    good = good and took < WITHIN and peak < PEAK * mean and all(client.poll() is None for client in clients)
    said.append(f"down {down:g} s: all back after {took:.2f} s (first {ups[0] - back:.2f}), {len(ups)} sign-ins, peak {peak} in 100 ms, mean {mean:.1f}, "
                f"ratio {peak / mean:.2f}")
common.verdict("reconnect", good, f"{CLIENTS} client processes; " + "; ".join(said) + f" (goals: {WITHIN:.0f} s, ratio {PEAK:.0f})")
