"""The user's command that restarts the server under test (RPL-8, RPL-9)."""

from __future__ import annotations

import asyncio
import shlex

_WITHIN = 60.0
"""Seconds that the command may take."""


class RestartFailed(Exception):
    """The server could not be restarted, so that nothing after it can be tested. Carries one clear line."""


class RestartCommand:
    """A command that ends once the server is about to serve again. It is run without a shell."""

    def __init__(self, command: str) -> None:
        self.words = shlex.split(command)

    async def __call__(self) -> None:
        """Run it; status 0 is success. Raises `RestartFailed`."""
        name = self.words[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self.words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise RestartFailed(f"cannot run {name}: {error.strerror}") from error
        assert process.stderr is not None
        try:
            async with asyncio.timeout(_WITHIN):
                # A server that it leaves behind may keep stderr open: its own end is what counts.
                status = await process.wait()
        except TimeoutError:
            raise RestartFailed(f"{name} did not end within {_WITHIN:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if status != 0:
            text = (await process.stderr.read()).decode(errors="replace")
            last = text.strip().rpartition("\n")[2]
            raise RestartFailed(f"{name} ended with status {status}: {last}")
