"""What an `OSError` says to a person."""

import os


def reason(error: OSError) -> str:
    """Return the operating system's words for an error.

    asyncio words some of them itself, at length; a failed look-up of a name has numbers of its own, below 0.
    """
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
