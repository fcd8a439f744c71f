#!/usr/bin/env python3
"""A kept-alive HTTP/1.1 origin: GET /size/N has N bytes, anything else a short text; a request body is read and dropped.

Usage: backend.py PORT. It prints "ready" once it listens. Example: tests/suites/slowhttp/backend.py 8001
SPDX-License-Identifier: Apache-2.0
"""
import asyncio
import sys

SIZE_MAX = 16 << 20


async def serve(reader, writer):
    try:
        while True:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
            fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
            if "chunked" in fields.get("transfer-encoding", "").lower():
                while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                    await reader.readexactly(size + 2)
                await reader.readuntil(b"\r\n")
            await reader.readexactly(int(fields.get("content-length", "0")))
            words = lines[0].split(" ")[1].split("/")
            body = bytes(min(int(words[2]), SIZE_MAX)) if words[1] == "size" else b"hello\n"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError, IndexError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=512)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["--help"]:
        sys.exit(print(__doc__))
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
