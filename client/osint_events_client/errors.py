"""What ends a client, by cause.

ClientError
 ├── CannotConnect   the first connection could not be made, or the server refuses the handshake
 └── Ended           the connection ended with a code after which a client stops
"""


class ClientError(Exception):
    """The client ended, and what came before that was handed over; one line says why."""


class CannotConnect(ClientError):
    """There is no connection, and trying again is of no use."""


class Ended(ClientError):
    """The connection ended with a code after which a client does not come back.

    Attributes:
        code: the close code (RFC 6455, section 7.4, and the protocol's own from 4000 on).
        reason: what the close frame said.

    """

    def __init__(self, code: int, reason: str, said: str | None = None) -> None:
        parts = [f"the connection ended with {code}", reason, said and f"the server said before: {said}"]
        super().__init__(", ".join(part for part in parts if part))
        self.code = code
        self.reason = reason
