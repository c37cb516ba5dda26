"""The tables, a module for each subject; `delivery.py` and `refresh.py` are the log itself.

Other rooms import them from here: `from receivers.models import Delivery`. May import `kargo`.
"""

from receivers.models.account import ApiToken, ProviderIdentity, SavedView, TokenScope
from receivers.models.alert import (
    Alert,
    AlertChannel,
    AlertDuty,
    AlertEnd,
    AlertMessage,
    AlertNotice,
    AlertSeverity,
    ChannelKind,
    PushFailure,
    WarehouseEvent,
)
from receivers.models.audit_entry import Audit, AuditAction
from receivers.models.columns import (
    ADDRESS_LENGTH,
    NAME_LENGTH,
    OUTCOME_LENGTH,
    PATH_LENGTH,
    REASON_LENGTH,
    TEXT_LENGTH,
    TRACEPARENT_LENGTH,
    storable,
)
from receivers.models.delivery import (
    COMPRESSED_FROM,
    COMPRESSION_LEVEL,
    DOCKER_HUBS,
    DROPPABLE_BODY,
    TESTS,
    UNDERSTOOD,
    Delivery,
    ProjectDelivery,
)
from receivers.models.figure import FigureScope, HourlyFigure, RolledUpHour
from receivers.models.health_memory import KargoController, MissedPush, Mute
from receivers.models.ids import first_id, new_id
from receivers.models.outcome import Origin, Outcome
from receivers.models.receiver_url import ReceiverUrl, UnknownCall
from receivers.models.refresh import Refresh
from receivers.models.replica import Downtime, Replica

__all__ = [
    "ADDRESS_LENGTH",
    "COMPRESSED_FROM",
    "COMPRESSION_LEVEL",
    "DOCKER_HUBS",
    "DROPPABLE_BODY",
    "NAME_LENGTH",
    "OUTCOME_LENGTH",
    "PATH_LENGTH",
    "REASON_LENGTH",
    "TESTS",
    "TEXT_LENGTH",
    "TRACEPARENT_LENGTH",
    "UNDERSTOOD",
    "Alert",
    "AlertChannel",
    "AlertDuty",
    "AlertEnd",
    "AlertMessage",
    "AlertNotice",
    "AlertSeverity",
    "ApiToken",
    "Audit",
    "AuditAction",
    "ChannelKind",
    "Delivery",
    "Downtime",
    "FigureScope",
    "HourlyFigure",
    "KargoController",
    "MissedPush",
    "Mute",
    "Origin",
    "Outcome",
    "ProjectDelivery",
    "ProviderIdentity",
    "PushFailure",
    "ReceiverUrl",
    "Refresh",
    "Replica",
    "RolledUpHour",
    "SavedView",
    "TokenScope",
    "UnknownCall",
    "WarehouseEvent",
    "first_id",
    "new_id",
    "storable",
]
