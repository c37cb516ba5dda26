"""Groups notices into messages and sends them: in order, limited in rate, and retried until they arrive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from kargoweb import tracing
from receivers.models import TEXT_LENGTH, AlertChannel, AlertMessage, AlertNotice, new_id, storable
from receivers.ops.alerts.bulletin import Bulletin, Item
from receivers.ops.alerts.sending import Lookup, SendResult, send
from receivers.refreshes.retry_policy import seconds_to_next_request

log = logging.getLogger(__name__)

MOST_NOTICES: Final = 1_000  # in one message, which names a few and counts the others
CONCURRENT: Final = 4  # channels that are sent to at the same time, so that a slow one delays few others
RATE_WINDOW: Final = timedelta(minutes=1)


class Outbox:
    """The messages of all channels. Only the replica on duty may call `work`."""

    def __init__(self, base_url: str, group: float, rate: int, look_up: Lookup) -> None:
        self._base_url = base_url
        self._group = timedelta(seconds=group)
        self._rate = rate
        self._look_up = look_up
        self._sent_listeners: list[Callable[[bool], None]] = []

    def add_listener(self, listener: Callable[[bool], None]) -> None:
        """Call `listener` after each attempt with whether the message arrived."""
        self._sent_listeners.append(listener)

    def work(self) -> None:
        """Form the messages whose notices have waited long enough, and send what is due."""
        now = timezone.now()
        for channel in AlertChannel.objects.filter(enabled=True):
            self._form(channel, now)
        due = AlertMessage.objects.filter(due_at__lte=now, channel__enabled=True)
        messages = list(due.select_related("channel").order_by("due_at")[: 10 * CONCURRENT])
        if not messages:
            return
        with ThreadPoolExecutor(CONCURRENT, thread_name_prefix="alert") as pool:
            list(pool.map(self._send, messages))

    def send_test(self, channel: AlertChannel) -> AlertMessage:
        """Send a test message now, and return it with the answer. It is not retried."""
        message = AlertMessage(channel=channel, attempts=1)
        bulletin = Bulletin.test(message.pk, channel.name, timezone.now(), self._base_url)
        message.title = bulletin.title
        result = send(channel, bulletin, self._look_up)
        message.answer, message.sent_at = result.answer, timezone.now() if result.ok else None
        message.save(force_insert=True)
        return message

    def _form(self, channel: AlertChannel, now: datetime) -> None:
        """Group the notices that wait for a channel into a message, unless one is on its way or the rate forbids it."""
        waiting = AlertNotice.objects.filter(channel=channel, message=None)
        oldest = waiting.order_by("created_at").values_list("created_at", flat=True).first()
        if oldest is None or now - oldest < self._group:
            return
        messages = AlertMessage.objects.filter(channel=channel)
        if messages.filter(due_at__isnull=False).exists():
            return
        if messages.filter(created_at__gt=now - RATE_WINDOW).count() >= self._rate:
            return
        with transaction.atomic():
            notices = list(waiting.select_related("alert").order_by("created_at")[:MOST_NOTICES])
            message = AlertMessage(pk=new_id(), channel=channel, due_at=now, created_at=now)
            message.title = storable(self._bulletin(message, notices).title, TEXT_LENGTH)
            message.save(force_insert=True)
            AlertNotice.objects.filter(pk__in=[notice.pk for notice in notices]).update(message=message)

    def _bulletin(self, message: AlertMessage, notices: Iterable[AlertNotice]) -> Bulletin:
        items = [Item.of(each.alert, self._base_url, resolved=each.resolved) for each in notices]
        return Bulletin.of(message.pk, items, self._base_url)

    def _send(self, message: AlertMessage) -> None:
        try:
            notices = list(message.notices.select_related("alert").order_by("created_at"))
            if not notices:  # its alerts are older than anyone would want to know of
                message.delete()
                return
            attributes: dict[str, tracing.Value] = {
                "kargoweb.alert.message": str(message.pk),
                "kargoweb.alert.channel": message.channel.kind,
                "kargoweb.alert.count": len(notices),
            }
            with tracing.span("send alert", tracing.Kind.CLIENT, attributes=attributes) as span:
                result = send(message.channel, self._bulletin(message, notices), self._look_up)
                if not result.ok:
                    span.fail("not_accepted")
            self._record(message, result)
        finally:
            connection.close()  # this thread ends soon, and would leave it open

    def _record(self, message: AlertMessage, result: SendResult) -> None:
        now = timezone.now()
        attempts = message.attempts + 1
        due_at: datetime | None = None
        if not result.ok:
            seconds = seconds_to_next_request(attempts, result.retry_after)
            due_at = now + timedelta(seconds=seconds) if seconds is not None else None
            log.warning(
                "alert message %s to channel %s failed (attempt %d): %s",
                message.pk,
                message.channel.name,
                attempts,
                result.answer,
            )
        AlertMessage.objects.filter(pk=message.pk).update(
            attempts=attempts, sent_at=now if result.ok else None, due_at=due_at, answer=result.answer
        )
        for listener in self._sent_listeners:
            listener(result.ok)


def drop_unsent(channel: AlertChannel) -> None:
    """Forget what a channel has not sent yet: it is disabled, or sends elsewhere now."""
    AlertNotice.objects.filter(channel=channel, message=None).delete()
    AlertMessage.objects.filter(channel=channel, due_at__isnull=False).update(
        due_at=None, answer="not sent: the channel was disabled"
    )
