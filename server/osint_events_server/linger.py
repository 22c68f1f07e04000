"""Closing a socket without losing what was sent last.

Where a peer still sends when its socket is closed, TCP resets the connection, and the reset can destroy a
close frame that the peer has not read yet (RFC 9112, section 9.6, says the same of HTTP). So the socket is
held open a while, and what arrives is dropped.
"""

import asyncio
import logging
import socket

_log = logging.getLogger(__name__)
_CHUNK = 65536


class Lingering:
    """Sockets that are held open.

    Args:
        seconds: after which a socket is closed in any case.

    """

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def hold(self, transport: asyncio.Transport) -> None:
        """End the sending side of a transport that is being closed, and drop what the peer still sends.

        To be called before the event loop runs on. Where something is still to be written it does nothing:
        the transport itself waits for that.
        """
        if transport.get_write_buffer_size():
            return
        try:
            held: socket.socket = transport.get_extra_info("socket").dup()
        except OSError:  # closed already
            return
        held.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._drop(held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drop(self, held: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            held.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(self._seconds):
                while await loop.sock_recv(held, _CHUNK):
                    pass
        except (OSError, TimeoutError) as error:
            _log.debug("gone while lingering: %r", error)
        finally:
            held.close()
