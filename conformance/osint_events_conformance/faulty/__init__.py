"""The zoo: one correct server, every fault a small documented liar that overrides a method or two of it.

A judge can be trusted that kills each of them for the right reason, and none of the odd but correct ones.
"""

from types import MappingProxyType
from typing import TYPE_CHECKING

from . import (
    connection,
    delivery,
    events,
    fragments,
    load,
    malformed,
    matching,
    messages,
    odd_connections,
    odd_times,
    oddities,
    order,
    own_events,
    receivers,
    robustness,
    scalars,
    subscribe_fields,
    subscribing,
    subscriptions,
    twins,
)
from .capable import (
    compression,
    flowing,
    guarding,
    hand_over,
    heartbeats,
    negotiation,
    odd,
    origins,
    replaying,
    resuming,
    scoping,
    sequence,
)
from .catalogue import FAULTS as _FAULTS
from .catalogue import ODDITIES as _ODDITIES
from .catalogue import Fault, Oddity
from .running import RunningServer, start

if TYPE_CHECKING:
    from collections.abc import Mapping

# Importing the sections is what fills the catalogue.
SECTIONS = (
    connection,
    twins,
    fragments,
    messages,
    subscribing,
    subscriptions,
    subscribe_fields,
    malformed,
    robustness,
    load,
    events,
    scalars,
    own_events,
    delivery,
    order,
    matching,
    receivers,
    oddities,
    odd_times,
    odd_connections,
    negotiation,
    heartbeats,
    compression,
    sequence,
    resuming,
    replaying,
    hand_over,
    scoping,
    flowing,
    guarding,
    origins,
    odd,
)
FAULTS: "Mapping[str, Fault]" = MappingProxyType(_FAULTS)
ODDITIES: "Mapping[str, Oddity]" = MappingProxyType(_ODDITIES)

__all__ = ["FAULTS", "ODDITIES", "Fault", "Oddity", "RunningServer", "start"]
