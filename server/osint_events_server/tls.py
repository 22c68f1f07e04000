"""TLS, from files that may be replaced while the server runs."""

import ssl
from pathlib import Path


class TlsError(Exception):
    """The files cannot be used; the message says which, and why."""


class Tls:
    """A context for the server's side.

    Args:
        certificate: PEM file with the certificate, and those between it and the root.
        key: PEM file with the private key; None where it is in the same file.

    Raises TlsError, when made and wherever it reads.

    """

    def __init__(self, certificate: Path, key: Path | None) -> None:
        self._files = (certificate, key or certificate)
        self.context = self._loaded()

    def reload(self) -> None:
        """Read the files again, for connections made from now on; where that fails, nothing changes."""
        self._loaded()  # in a context of its own first: half a change would leave none that works
        self.context.load_cert_chain(*self._files)

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(*self._files)
        except OSError as error:  # ssl.SSLError is one
            files = " and ".join(dict.fromkeys(map(str, self._files)))
            reason = error.strerror or str(error)
            if isinstance(error, ssl.SSLError):
                reason = f"no certificate and key in PEM that belong together ({error.reason})"
            raise TlsError(f"{files}: {reason}") from None
        context.set_alpn_protocols(["http/1.1"])
        return context
