"""The user's command that restarts the server under test (RPL-8, RPL-9)."""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from typing import IO

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
        # A file, since a server that the command leaves behind keeps a pipe open: that would be waited for.
        with tempfile.TemporaryFile() as errors:
            status = await self._status(errors)
            if status != 0:
                errors.seek(0)
                last = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise RestartFailed(f"{self.words[0]} ended with status {status}: {last}")

    async def _status(self, errors: IO[bytes]) -> int:
        name = self.words[0]
        try:
            process = await asyncio.create_subprocess_exec(
                *self.words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
            )
        except OSError as error:
            raise RestartFailed(f"cannot run {name}: {error.strerror}") from error
        try:
            async with asyncio.timeout(_WITHIN):
                return await process.wait()
        except TimeoutError:
            raise RestartFailed(f"{name} did not end within {_WITHIN:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
