"""1,000 downloads at once, each of a size and content of its own, hashed: through a TCP tunnel and through an HTTP tunnel."""
# ctest: timeout=300
import asyncio
import hashlib
import json
import os
import random
import sys

from processes import PATIENCE

DOWNLOADS = 1000
BLOCK = 4 << 20
# The origin is a process of its own: `python3 test_parallel.py SEED` serves slices of a block that the seed names.


def sizes(seed):
    """(offset, size) of each download; 64 KB to 1 MB, no two at the same offset."""
    chance = random.Random(seed)
    offsets = chance.sample(range(BLOCK - (1 << 20)), DOWNLOADS)
    return [(offset, chance.randrange(64 << 10, 1 << 20)) for offset in offsets]


async def serve(seed):
    block = random.Random(seed).randbytes(BLOCK)

    async def answer(reader, writer):
        try:
            while line := await reader.readline():
                words = line.split()
                if words[0] == b"GET":
                    while await reader.readline() not in (b"\r\n", b""):
                        pass
                    offset, size = map(int, words[1][1:].split(b"-"))
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                    writer.write(block[offset:offset + size])
                    await writer.drain()
                else:
                    offset, size = map(int, words)
                    writer.write(block[offset:offset + size])
                    break
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=2048)
    print(json.dumps({"event": "ready", "port": server.sockets[0].getsockname()[1]}), flush=True)
    async with server:
        await server.serve_forever()


def origin(world, seed):
    from processes import Process

    process = Process([sys.executable, __file__, seed], world.work, "origin")
    world.later(process.kill)
    return process.wait_event("ready")["port"]


def download_all(address, seed, request, skip_head):
    """Asks for every download before it reads any, then reads them all; gives what went wrong."""
    block = random.Random(seed).randbytes(BLOCK)

    async def one(offset, size, asked):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request(offset, size))
        await writer.drain()
        asked.add(offset)
        while len(asked) < DOWNLOADS:
            await asyncio.sleep(0.01)
        if skip_head:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
        hasher = hashlib.blake2b()
        left = size
        while left:
            data = await reader.read(min(left, 65536))
            assert data, f"ended {left} bytes early"
            hasher.update(data)
            left -= len(data)
        if not skip_head:
            assert not await reader.read(1), "more than was asked for"
        writer.close()
        assert hasher.digest() == hashlib.blake2b(block[offset:offset + size]).digest(), "other bytes than were asked for"

    async def all_of_them():
        asked = set()
        tasks = [asyncio.create_task(one(offset, size, asked)) for offset, size in sizes(seed)]
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE * 4)
        return [repr(result) for result in results if result is not None]

    return asyncio.run(all_of_them())


def test_through_tcp(world):
    seed = os.environ.get("FT_TEST_SEED", "tcp")
    server = world.server("--log-level", "warn")
    client = world.tcp_tunnel(server, origin(world, seed), "--log-level", "warn")
    failed = download_all(client.public, seed, lambda offset, size: b"%d %d\n" % (offset, size), skip_head=False)
    assert not failed, f"{len(failed)} of {DOWNLOADS}: {failed[:5]}"


def test_through_http(world):
    seed = os.environ.get("FT_TEST_SEED", "http")
    server = world.server("--log-level", "warn")
    world.http_tunnel(server, origin(world, seed), "app.test", "--log-level", "warn")
    failed = download_all(server.http_address, seed, lambda offset, size: b"GET /%d-%d HTTP/1.1\r\nHost: app.test\r\n\r\n" % (offset, size), skip_head=True)
    assert not failed, f"{len(failed)} of {DOWNLOADS}: {failed[:5]}"


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
