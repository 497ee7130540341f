"""timing.py [BINARY] [TRIES]: does the time to a refusal tell an unknown grant from a wrong secret? Welch's |t| of TRIES (100,000) of each kind, in
an order of chance, stays under 4.5: of the handshake alone, in process, and over loopback without TLS (which would hide it)."""
import sys

import common

TRIES = sys.argv[2] if len(sys.argv) > 2 else "100000"
GOAL = 4.5
world = common.world()
secret = world.work / "secret"
secret.write_text("a secret of the measurement's own\n")
secret.chmod(0o600)
server = world.server("--tls", "off", "--grant", "laptop-m", "--secret-file", secret, "--log-level", "error")
runs = [[], [server.join]]
found = []
for words in runs:
    tool = world.tool("auth_timing", TRIES, *words)
    found.append(tool.wait_event("timing", patience=600))
    tool.wait_exit()
common.verdict("timing", all(abs(one["t"]) < GOAL for one in found),
               "; ".join(f"{one['where']}: t = {one['t']} (unknown {one['unknown_ns']:.0f} ns, wrong {one['wrong_ns']:.0f} ns, sd {one['unknown_sd']:.0f}; "
                         f"{TRIES} each, the slowest {one['left_out']} of both left out)" for one in found) + f"; goal |t| < {GOAL}")
