"""aiopppp's public way for frames, measured as L{benchmarks.receiver} measures ours."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from aiopppp import DeviceDescriptor, JsonSession  # type: ignore[import-untyped]
from aiopppp.types import DeviceID  # type: ignore[import-untyped]

from benchmarks import material
from benchmarks.processes import Json, Stopwatch, say

__all__: list[str] = []


async def receive(command: Json) -> Json:
    """Receive C{frames} frames; one more begins, for only then does it hand out the last."""
    device = DeviceDescriptor(
        DeviceID("LBCS", "0", "CCCJJ"), "127.0.0.1", command["ports"][0], is_json=True
    )
    session = JsonSession(device, lambda lost: None)
    main = session.start()
    await session.device_is_ready.wait()
    last = (command["frames"] - 1) * material.FRAME_DATAGRAMS
    watch = Stopwatch()
    await session.start_video()
    while (frame := session.frame_buffer.latest_frame) is None or frame.idx < last:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(session.frame_buffer.get(), 0.2)
    answer = {**watch.read(), "datagrams": command["frames"] * material.FRAME_DATAGRAMS}
    await session.send_close_pkt()
    session.stop()
    await asyncio.wait(session.running_tasks())
    main.cancelled()
    return answer


async def answer_all() -> None:
    """Until standard input ends."""
    say({})
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        say(await receive(json.loads(line)))


if __name__ == "__main__":
    asyncio.run(answer_all())
