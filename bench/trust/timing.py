"""timing.py [BINARY] [TRIES] [PROCESSES]: does the time to a refusal tell an unknown grant from a wrong secret? Welch's |t| of TRIES (100,000) of each kind, in
an order of chance, stays under 4.5: of the handshake alone, in PROCESSES (20) processes, since it may hang on where each one's memory lies, and over
loopback without TLS (which would hide it)."""
import sys

import common

TRIES = sys.argv[2] if len(sys.argv) > 2 else "100000"
PROCESSES = int(sys.argv[3]) if len(sys.argv) > 3 else 20
GOAL = 4.5
world = common.world()
secret = world.work / "secret"
secret.write_text("a secret of the measurement's own\n")
secret.chmod(0o600)
server = world.server("--tls", "off", "--grant", "laptop-m", "--secret-file", secret, "--log-level", "error")
runs = [[]] * PROCESSES + [[server.join]]
found = []
for words in runs:
    tool = world.tool("auth_timing", TRIES, *words)
    found.append(tool.wait_event("timing", patience=600))
    tool.wait_exit()
worst = max(found[:-1], key=lambda one: abs(one["t"]))
over = sum(abs(one["t"]) >= GOAL for one in found[:-1])
common.verdict("timing", all(abs(one["t"]) < GOAL for one in found),
               f"{PROCESSES} processes, {over} at or over the goal, the worst: " +
               "; ".join(f"{one['where']}: t = {one['t']} (unknown {one['unknown_ns']:.0f} ns, wrong {one['wrong_ns']:.0f} ns, sd {one['unknown_sd']:.0f}; "
                         f"{TRIES} each, the slowest {one['left_out']} of both left out)" for one in [worst, found[-1]]) + f"; goal |t| < {GOAL}")
