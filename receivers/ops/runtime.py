"""The background of a serving process: the parts that it creates at its start, and their threads."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from datetime import timedelta
from typing import Final

from django.db import DatabaseError, InterfaceError

from kargoweb import VERSION, tracing
from kargoweb.configuration import Configuration
from receivers.accounts import access
from receivers.accounts.kubernetes_access import KubernetesAccess
from receivers.cluster.cache import ClusterCache
from receivers.cluster.client import connect
from receivers.cluster.freight_watch import FreightWatch
from receivers.cluster.heartbeats import Heartbeats
from receivers.cluster.kargo_version import KargoVersionDetector
from receivers.cluster.newest_freight import NewestFreight
from receivers.cluster.secret_cache import SecretCache
from receivers.cluster.stage_watch import StageWatch
from receivers.controller.receiver_controller import ReceiverController
from receivers.deliveries.body_quota import BodyQuota
from receivers.deliveries.hourly_figures import FigureRollUp
from receivers.deliveries.log_writer import LogWriter
from receivers.deliveries.retention import YIELD_SECONDS, Retention
from receivers.deliveries.spool import Spool
from receivers.deliveries.store import DeliveryStore
from receivers.health.access_reviews import AccessReviews
from receivers.health.known_controllers import KnownControllers
from receivers.health.missed_pushes import MissedPushDetector
from receivers.health.monitor import HealthMonitor
from receivers.health.rbac import RequiredPermission, required_permissions
from receivers.health.secret_checks import SecretChecks
from receivers.kargo.resources import ReceiverConfig, Resource, Warehouse, WarehouseKey
from receivers.ops.alerts.desk import AlertDesk
from receivers.ops.alerts.event_sender import EventSender
from receivers.ops.alerts.kubernetes_secrets import SecretLookup
from receivers.ops.alerts.outbox import Outbox
from receivers.ops.kubernetes_reviews import kubernetes_access
from receivers.ops.metrics import Gauges, Metrics
from receivers.ops.push_waiters import PushWaiters
from receivers.ops.scheduler import PeriodicTask, Scheduler
from receivers.refreshes.late_freight import LateFreightMatcher
from receivers.refreshes.leases import ReplicaLease, replica_id
from receivers.refreshes.promotion_refresher import PromotionRefresher
from receivers.refreshes.retry_policy import RetryPolicy
from receivers.refreshes.rollup import close_left_over
from receivers.refreshes.sender import PATCH_TIMEOUT, RefreshSender
from receivers.refreshes.takeover import Takeover
from receivers.refreshes.tracker import Tracker
from receivers.refreshes.work_queue import WorkQueue
from receivers.webhook.catch_up import CatchUp, RefusedPushes
from receivers.webhook.event_processor import EventProcessor
from receivers.webhook.incoming import IncomingRequest
from receivers.webhook.intake import Intake, Reply
from receivers.webhook.rate_limit import RateLimiter
from receivers.webhook.recovery import Recovery
from receivers.webhook.unknown_urls import UnknownUrlCounter
from receivers.webhook.upstream import configured_upstream
from receivers.webhook.url_registry import UrlRegistry
from receivers.webhook.url_sync import UrlSync

log = logging.getLogger(__name__)

MEBIBYTE: Final = 1024 * 1024
STOP_SECONDS: Final = 5.0  # for running tasks to finish when the process stops
# Of the tasks that run now and then. Two may wait for a slow API server or database without delaying the others.
PERIODIC_THREADS: Final = 3
# Share of the response timeout for the database: the rest is for the Warehouses, whether or not the database responds.
STORAGE_SHARE: Final = 0.4
SILENT_SECONDS: Final = 12.0  # until a database that is written to every two seconds counts as unavailable


class Runtime:
    """All parts of a serving process but its request threads. Created, started and stopped once."""

    def __init__(self, configuration: Configuration) -> None:
        """Create the parts: those that others need first. Nothing runs or is read before `start`."""
        self._watch_cluster(configuration)
        self._write_log(configuration)
        self._refresh_warehouses(configuration)
        self._answer_pushes(configuration)
        self._check_health(configuration)
        self._send_alerts(configuration)
        self.body_quota = BodyQuota(
            per_receiver=configuration.retention.receiver_body_quota * MEBIBYTE,
            total=configuration.retention.body_quota * MEBIBYTE,
        )
        self.waiters = PushWaiters(self._stage_version)
        self.metrics = Metrics()
        self.metrics.watch(
            Gauges(self.cache, self.freight, self.tracker, self.writer, self.spool, self.waiters, self.stages)
        )
        self.access: KubernetesAccess | None = None
        if configuration.access.by_kubernetes and configuration.role != "receiver":
            self.access = kubernetes_access(self.cache, configuration.access.seconds)
        self._add_listeners()
        # This task writes to the database, so its faults tell whether the database is available.
        self._lease_task = PeriodicTask("lease", Takeover(self.lease, self.tracker).work, pause=2.0)
        self._schedulers = self._create_schedulers(configuration)

    def _watch_cluster(self, configuration: Configuration) -> None:
        """Create what reads the cluster."""
        context = configuration.kube_context
        self.kargo_version = KargoVersionDetector(configuration.kargo_namespace, configuration.kargo_version)
        self.cache = ClusterCache(
            lambda: connect(context=context), configuration.namespaces, kargo_version=self.kargo_version
        )
        self.freight = FreightWatch(self.cache.cluster, configuration.namespaces)
        self.newest_freight = NewestFreight(self.cache.cluster)
        self.stages: StageWatch | None = None
        if configuration.follow_stages != "false":
            self.stages = StageWatch(
                self.cache.cluster,
                self.cache.config,
                configuration.namespaces,
                required=configuration.follow_stages == "true",
            )

    def _write_log(self, configuration: Configuration) -> None:
        """Create what saves deliveries."""
        self.lease = ReplicaLease(replica_id(configuration.port), VERSION, configuration.base_url)
        self.writer = LogWriter()
        self.spool = Spool(configuration.data_dir / "spool")
        self.store = DeliveryStore(self.writer, self.spool, _storage_timeout(configuration), self.lease.id)

    def _refresh_warehouses(self, configuration: Configuration) -> None:
        """Create what requests refreshes and tracks them."""
        queue = WorkQueue(self._warehouse)
        # A patch must succeed or fail before the response to the push is due.
        patch_timeout = min(PATCH_TIMEOUT, configuration.answer_timeout - _storage_timeout(configuration))
        self.sender = RefreshSender(self.cache.cluster, self._warehouse, queue, patch_timeout)
        self.tracker = Tracker(
            cache=self.cache,
            freight=self.freight,
            queue=queue,
            sender=self.sender,
            writer=self.writer,
            policy=RetryPolicy(**asdict(configuration.retries)),
            replica=self.lease.id,
        )
        self.late_freight = LateFreightMatcher(self.cache.cluster, self.writer)

    def _answer_pushes(self, configuration: Configuration) -> None:
        """Create what a request to a receiver URL goes through, and what makes up for requests that never came."""
        self.unknown = UnknownUrlCounter()
        self._urls = UrlRegistry()
        refused = RefusedPushes()
        self.intake = Intake(
            cache=self.cache,
            store=self.store,
            processor=EventProcessor(
                self.cache,
                self.sender,
                PromotionRefresher(self.cache.cluster, configuration.namespaces),
            ),
            urls=self._urls,
            unknown=self.unknown,
            tracker=self.tracker,
            limiter=RateLimiter(configuration.rate_limit),
            secrets=SecretCache(self.cache.cluster, configuration.system_namespace),
            answer_timeout=configuration.answer_timeout,
            refused=refused,
            upstream=configured_upstream(configuration.upstream),
        )
        self.catch_up = CatchUp(
            self.cache,
            self.store,
            refused,
            rate=configuration.catch_up_rate,
            min_interval=timedelta(seconds=configuration.kargo_min_interval),
        )

    def _check_health(self, configuration: Configuration) -> None:
        """Create the health checks and what gathers their facts."""
        self.heartbeats = Heartbeats(self.cache.cluster, configuration.kargo_namespace)
        self._secret_checks = SecretChecks(self.cache, configuration.system_namespace)
        shortest = timedelta(seconds=configuration.kargo_min_interval)
        self.health = HealthMonitor(
            self.cache,
            self.heartbeats,
            self._secret_checks,
            shortest,
            configuration.base_url,
            upstream=self.intake.upstream,
        )
        self.access_reviews = AccessReviews(self.cache.cluster, _required_permissions(configuration))
        self.missed = MissedPushDetector(self.cache, self.freight)

    def _send_alerts(self, configuration: Configuration) -> None:
        """Create what sends alerts."""
        self.alerts = AlertDesk(
            lease=self.lease,
            cache=self.cache,
            health=self.health,
            outbox=Outbox(
                configuration.base_url,
                configuration.alerts.group,
                configuration.alerts.rate,
                SecretLookup(self.cache.cluster, configuration.system_namespace),
            ),
            after=configuration.alerts.after,
            events_after=timedelta(seconds=configuration.alerts.group)
            if configuration.alerts.events
            else None,
        )

    def _add_listeners(self) -> None:
        """Connect what observes the cluster with what acts on it."""
        self.cache.add_listener(self.tracker.on_change)
        self.cache.add_listener(self._on_config)
        self.cache.add_listener(self.missed.on_change)
        self.cache.add_return_listener(self.freight.retry)
        self.cache.add_return_listener(self.tracker.retry_failed_requests)
        if self.stages is not None:
            self.cache.add_listener(self.stages.on_change)
            self.cache.add_return_listener(self.stages.retry)
        self.freight.add_listener(self.tracker.on_freight)
        self.freight.add_listener(self.late_freight.on_freight)
        self.freight.add_listener(self.newest_freight.on_freight)
        self.freight.add_listener(self.missed.on_freight)
        self.freight.add_restart_listener(self.late_freight.on_restart)
        self.freight.add_restart_listener(self.newest_freight.on_restart)
        self.tracker.add_end_listener(self.metrics.count_refresh)
        self.alerts.outbox.add_listener(self.metrics.count_alert)

    def _on_config(self, _: Resource, old: object, new: object) -> None:
        """Remember the receiver URLs of a configuration, so that they are known after they were retired."""
        if isinstance(new, ReceiverConfig):
            self._urls.add(new)

    def _create_schedulers(self, configuration: Configuration) -> list[Scheduler]:
        """Return the threads. What pushes wait for has one of its own, so that nothing slow delays it."""
        recovery = PeriodicTask("recovery", Recovery(self.intake, self.lease).work, pause=1.0)
        schedulers = [
            Scheduler("tracker", [PeriodicTask("tracker", self.tracker.work, pause=0.0)]),
            Scheduler("lease", [self._lease_task]),
            Scheduler("recovery", [recovery]),
            Scheduler("waiters", [PeriodicTask("waiters", self.waiters.work, pause=0.5)]),
            Scheduler("periodic", self._create_tasks(configuration), threads=PERIODIC_THREADS),
        ]
        # Alerts link to pages, and processes that face the internet send nothing out.
        if configuration.role != "receiver":
            tasks = [PeriodicTask("alerts", self.alerts.work, pause=1.0)]
            if configuration.alerts.events:
                sender = EventSender(self.cache, lambda: self.alerts.is_on_duty, configuration.base_url)
                tasks.append(PeriodicTask("events", sender.work, pause=1.0))
            # A thread for each, so that a slow API server doesn't delay the alert about it.
            schedulers.append(Scheduler("alerts", tasks, threads=len(tasks)))
        return schedulers

    def _create_tasks(self, configuration: Configuration) -> list[PeriodicTask]:
        """Return what runs now and then."""
        tasks = [
            PeriodicTask("late-freight", self.late_freight.work, pause=1.0),
            PeriodicTask("left-over-deliveries", close_left_over, pause=60.0),
            PeriodicTask("newest-freight", self.newest_freight.work, pause=1.0),
            PeriodicTask("spool", self.store.transfer_spooled, pause=1.0),
            PeriodicTask("url-sync", UrlSync(self.cache, self._urls, self.unknown).work, pause=1.0),
            PeriodicTask("catch-up", self.catch_up.work, pause=5.0),
            PeriodicTask("rate-limit", self._report_refused, pause=60.0),
            PeriodicTask("retention", _retention(configuration).work, pause=60.0, again=YIELD_SECONDS),
            PeriodicTask("figures", FigureRollUp(configuration.retention.keep_days).work, pause=2.0),
            PeriodicTask("body-quota", self.body_quota.work, pause=60.0),
            PeriodicTask("missed-pushes", self.missed.work, pause=5.0),
            PeriodicTask("health", self.health.work, pause=1.0),
            PeriodicTask("mutes", self.health.prune_mutes, pause=600.0),
            PeriodicTask("permissions", self.access_reviews.work, pause=1.0),
            PeriodicTask("heartbeats", KnownControllers(self.heartbeats).work, pause=30.0),
            PeriodicTask("secret-checks", self._secret_checks.work, pause=1.0),
        ]
        if configuration.manage_receivers:
            controller = ReceiverController(
                self.cache, self.cache.cluster, configuration.base_url, configuration.system_namespace
            )
            tasks.append(PeriodicTask("receiver-controller", controller.work, pause=0.5))
        return tasks

    def _report_refused(self) -> bool:
        self.intake.limiter.report()
        return False

    def _warehouse(self, key: WarehouseKey) -> Warehouse | None:
        return self.cache.warehouse(*key)

    def _stage_version(self, project: str) -> int:
        return self.stages.version(project) if self.stages is not None else 0

    def start(self) -> None:
        """Start all threads and return; `cache.ready` says when pushes are accepted."""
        access.use(self.access)
        self.spool.open()
        self.writer.start()
        self.cache.start()
        self.freight.start()
        if self.stages is not None:
            self.stages.start()
        for scheduler in self._schedulers:
            scheduler.start()

    def stop(self) -> None:
        """End all threads and commit the queued writes."""
        if self.access is not None:
            self.access.stop()
        for scheduler in self._schedulers:
            scheduler.stop()
        self.sender.stop()
        self.tracker.stop()
        self.freight.stop()
        if self.stages is not None:
            self.stages.stop()
        self.cache.stop()
        deadline = time.monotonic() + STOP_SECONDS
        for scheduler in self._schedulers:
            scheduler.join(max(0.0, deadline - time.monotonic()))
        self._release_duty()
        self.writer.stop(STOP_SECONDS)
        tracing.stop()
        access.use(None)

    def _release_duty(self) -> None:
        try:
            self.alerts.stop()
        except (DatabaseError, InterfaceError):  # then the lease expires
            log.warning("another replica sends the alerts once this one's lease has expired")

    @property
    def database_seen(self) -> bool:
        """Say whether the database was ever available."""
        return self._lease_task.done_at is not None

    def database_problem(self) -> str:
        """Return why the database isn't writable, without a query; empty if it is, as far as is known."""
        done_at = self._lease_task.done_at
        if self._lease_task.fault or done_at is None:
            return self._lease_task.fault or "no response yet"
        silent = time.monotonic() - done_at
        return f"no response for {silent:.0f} s" if silent > SILENT_SECONDS else ""


def _storage_timeout(configuration: Configuration) -> float:
    return configuration.answer_timeout * STORAGE_SHARE


def _required_permissions(configuration: Configuration) -> tuple[RequiredPermission, ...]:
    return required_permissions(
        manages=configuration.manage_receivers,
        namespaces=configuration.namespaces,
        system_namespace=configuration.system_namespace,
        kargo_namespace=configuration.kargo_namespace,
        follows_stages=configuration.follow_stages != "false",
        creates_receivers=configuration.create_receivers,
        records_events=configuration.alerts.events,
        reviews_access=configuration.access.by_kubernetes,
    )


def _retention(configuration: Configuration) -> Retention:
    limits = configuration.retention
    return Retention(limits.keep_days, limits.keep_body_days, limits.keep_deliveries)


_current: Runtime | None = None


def start(configuration: Configuration) -> Runtime:
    """Create and start the runtime of this process."""
    global _current  # noqa: PLW0603 - one per process, created at its start and not by racing threads
    if configuration.tracing:
        from kargoweb.otel import OtelTracer  # noqa: PLC0415 - an optional extra

        tracing.start(OtelTracer())
    _current = Runtime(configuration)
    _current.start()
    return _current


def current() -> Runtime:
    """Return the runtime of this process. Raises RuntimeError in a process that does not serve."""
    if _current is None:
        raise RuntimeError("this process does not serve; start it with `manage.py serve`")
    return _current


def is_known_url(kind: str, digest: str) -> bool:
    """Say whether a receiver URL leads anywhere now. Raises RuntimeError in a process that does not serve."""
    return current().intake.knows(kind, digest)


def take(request: IncomingRequest) -> Reply:
    """Process a request to a receiver URL and count the response.

    Raises RuntimeError in a process that does not serve.
    """
    runtime, started = current(), time.monotonic()
    reply = runtime.intake.take(request)
    runtime.metrics.count_response(reply.answer.status, time.monotonic() - started)
    return reply
