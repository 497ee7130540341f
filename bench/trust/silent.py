"""silent.py [BINARY]: 5,000 connections to the control port that say nothing: a real client signs in within 1 s, and they are gone within 6 s. Then
10,000 sign-ins with a wrong token from one address: at most 10 are listened to, and a real client from another signs in within 1 s all the while."""
import selectors
import socket
import time

import common
import origins
from processes import address

SILENT, WRONG = 5_000, 10_000


def sign_in(world, server, echo):
    """Seconds from the start of the process until its tunnel carries a byte."""
    began = time.monotonic()
    client = world.client("tcp", echo.port, "--no-save", join=server)
    assert common.pings(("127.0.0.1", client.wait_event("tunnel_up")["port"]))
    took = common.seconds(began)
    client.stop()
    return took


world = common.world()
echo = origins.TcpOrigin(world, origins.echo)
server = world.server("--log-level", "error")
began = time.monotonic()
gone = selectors.EpollSelector()
silent = []
for n in range(SILENT):
    one = socket.create_connection(address(server.listen), source_address=(f"127.0.2.{n % 200 + 1}", 0))
    gone.register(one, selectors.EVENT_READ)
    silent.append(one)
opened = common.seconds(began)
last = time.monotonic()
beside = sign_in(world, server, echo)
ended = 0
while ended < SILENT and common.seconds(last) < 30:
    for key, _ in gone.select(1):
        try:
            assert key.fileobj.recv(1) == b""
        except ConnectionResetError:
            pass
        gone.unregister(key.fileobj)
        key.fileobj.close()
        ended += 1
took = common.seconds(last)
common.until(lambda: common.status(world, server)["handshakes_waiting"] == 0, "no handshake waits")

attack = world.tool("hostile_client", server.join, f"wrong-token@{WRONG}")
began = time.monotonic()
worst = 0.0
while not attack.events("over"):
    worst = max(worst, sign_in(world, server, echo))
wrong = attack.wait_event("attack")
lasted = common.seconds(began)
figures = common.status(world, server)
common.verdict(
    "silent", ended == SILENT and beside < 1 and took < 6 and worst < 1 and wrong["rejected"] <= 10 and figures["sign_ins_throttled"] >= WRONG - 10,
    f"{SILENT} silent connections (opened in {opened:.1f} s): a client beside them served after {beside:.2f} s (goal 1), the last of them gone {took:.2f} s after "
    f"it came (goal 6); {WRONG} wrong tokens of one address in {wrong['ms'] / 1000:.1f} s: {wrong['rejected']} listened to (goal 10), "
    f"{figures['sign_ins_throttled']} not; the slowest client of another address meanwhile served after {worst:.2f} s (goal 1)")
