from __future__ import annotations

import asyncio

from mailblast.providers.smtp.opening import _set_done


async def test_connection_that_is_told_twice_or_too_late_is_no_error() -> None:
    loop = asyncio.get_running_loop()
    done, late = loop.create_future(), loop.create_future()
    _set_done(done)
    _set_done(done)
    late.cancel()
    _set_done(late)
    assert done.result() is None
    assert late.cancelled()
