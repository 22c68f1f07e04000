"""A client of investigation events: connects, reconnects, resumes, and says what may have been lost."""

from osint_events_client.client import Client, connect
from osint_events_client.errors import CannotConnect, ClientError, Ended
from osint_events_client.items import Event, Gap, Item, Refused

__all__ = [
    "CannotConnect",
    "Client",
    "ClientError",
    "Ended",
    "Event",
    "Gap",
    "Item",
    "Refused",
    "connect",
]
