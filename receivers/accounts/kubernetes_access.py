"""Access that Kubernetes decides: reviews of what users of the provider or the proxy may do with Warehouses.

Users who may `get` the Warehouses of a project are its viewers, and those who may also `patch` them its operators.
Permissions in all namespaces give the role everywhere. Most users take one or two reviews.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Final

from receivers.accounts.roles import Access, Role

REVIEW_SECONDS: Final = 5.0  # for all reviews of a request; someone waits for the page
PARALLEL_REVIEWS: Final = 8  # of a process; a thousand projects take about two seconds on a busy machine
FAILURE_SECONDS: Final = (
    2.0  # without reviews after one failed, so that few wait for an API server that hangs
)
MOST_VERDICTS: Final = 200_000  # of all users together; about 40 MB

AUTHENTICATED: Final = "system:authenticated"  # the group that the API server adds to everyone who signs in
RESERVED: Final = "system:"  # begins the names of Kubernetes' own users and groups

SLOW: Final = "Kubernetes is still reviewing your access. Reload the page in a few seconds."
FAILED: Final = "Kubernetes can't review your access at the moment: {}. Try again in a few seconds."
NOT_SERVING: Final = "Only a serving process can ask Kubernetes."


class ReviewFailed(Exception):
    """A review failed. The text says why, for users."""


@dataclass(frozen=True, slots=True)
class ReviewSubject:
    """A user as Kubernetes knows them."""

    user: str
    groups: tuple[str, ...]


EVERYWHERE: Final = ""
"""The scope of all namespaces. Other scopes are projects."""

Review = Callable[[ReviewSubject, str, str | None], bool]
"""Returns whether a subject may do a verb on Warehouses in a namespace or, with None, in all. Raises `ReviewFailed`."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The role of a subject in a scope."""

    role: Role | None
    valid_until: float


@dataclass(slots=True)
class _Verdicts:
    """The verdicts on a subject by scope. `lock` is held by the thread that requests them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    by_scope: dict[str, _Verdict] = field(default_factory=dict)

    def forget_outdated(self) -> None:
        """Drop the verdicts that are too old."""
        now = time.monotonic()
        self.by_scope = {
            scope: verdict for scope, verdict in self.by_scope.items() if now < verdict.valid_until
        }


class KubernetesAccess:
    """Requests reviews, and keeps their verdicts for a short time. Thread-safe."""

    def __init__(self, review: Review, projects: Callable[[], Iterable[str]], seconds: float) -> None:
        """Create it. Verdicts are valid for `seconds` from their request.

        `projects` returns the names of all projects, or raises `ReviewFailed` if they are not known.
        """
        self._review = review
        self._projects = projects
        self._seconds = seconds
        self._lock = threading.Lock()
        self._subjects: OrderedDict[ReviewSubject, _Verdicts] = OrderedDict()  # the least recently seen first
        self._pool = ThreadPoolExecutor(PARALLEL_REVIEWS, "access-review")
        self._failed_at = -FAILURE_SECONDS
        self._failure = ""

    def access_of(self, subject: ReviewSubject) -> Access:
        """Return the roles that Kubernetes grants now. If it can't decide, there are none, and a `problem`."""
        deadline = time.monotonic() + REVIEW_SECONDS
        verdicts = self._verdicts(subject)
        # A page and its fragments need the same verdicts at the same time.
        if not verdicts.lock.acquire(timeout=REVIEW_SECONDS):
            return Access(problem=SLOW)
        try:
            return self._access(subject, verdicts, deadline)
        except ReviewFailed as error:
            return Access(problem=str(error))
        finally:
            verdicts.lock.release()

    def stop(self) -> None:
        """Request no more reviews."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verdicts(self, subject: ReviewSubject) -> _Verdicts:
        with self._lock:
            if subject in self._subjects:
                self._subjects.move_to_end(subject)
                return self._subjects[subject]
            stored = sum(1 + len(verdicts.by_scope) for verdicts in self._subjects.values())
            while stored > MOST_VERDICTS:
                stored -= 1 + len(self._subjects.popitem(last=False)[1].by_scope)
            return self._subjects.setdefault(subject, _Verdicts())

    def _access(self, subject: ReviewSubject, verdicts: _Verdicts, deadline: float) -> Access:
        verdicts.forget_outdated()
        if EVERYWHERE not in verdicts.by_scope:
            self._decide(subject, verdicts, [EVERYWHERE], deadline)
        everywhere = verdicts.by_scope[EVERYWHERE].role
        if (
            everywhere is Role.OPERATOR
        ):  # the highest role that Kubernetes grants, so no project can add to it
            return Access(everywhere)
        try:
            projects = frozenset(self._projects())
        except ReviewFailed as error:
            raise ReviewFailed(FAILED.format(error)) from error
        # All of them before the page is shown: with a part of the projects, it would look as if the others were gone.
        self._decide(subject, verdicts, sorted(projects - verdicts.by_scope.keys()), deadline)
        roles = {name: verdicts.by_scope[name].role for name in projects}
        return Access(everywhere, {name: role for name, role in roles.items() if role})

    def _decide(
        self, subject: ReviewSubject, verdicts: _Verdicts, scopes: Collection[str], deadline: float
    ) -> None:
        """Add the verdicts on these scopes. Raises `ReviewFailed` if one is missing; the others are kept."""
        if not scopes:
            return
        self._raise_recent_failure()
        sees = EVERYWHERE in verdicts.by_scope and verdicts.by_scope[EVERYWHERE].role is not None
        try:
            requests = {self._pool.submit(self._role, subject, scope, sees): scope for scope in scopes}
        except RuntimeError:  # the process stops
            raise ReviewFailed(SLOW) from None
        # After one failure the result can't be complete, and the API server is probably away.
        done, waiting = wait(requests, max(0.0, deadline - time.monotonic()), FIRST_EXCEPTION)
        for request in waiting:
            request.cancel()
        # Those that are done count: when the user reloads a page that took too long, only the others are requested.
        self._keep(verdicts, requests, done)
        if waiting:
            raise ReviewFailed(SLOW)

    def _keep(
        self, verdicts: _Verdicts, requests: dict[Future[_Verdict], str], done: Collection[Future[_Verdict]]
    ) -> None:
        failure: ReviewFailed | None = None
        for request in done:
            try:
                verdicts.by_scope[requests[request]] = request.result()
            except ReviewFailed as error:
                failure = error
        if failure is not None:
            with self._lock:
                self._failed_at, self._failure = time.monotonic(), str(failure)
            raise ReviewFailed(FAILED.format(failure))

    def _raise_recent_failure(self) -> None:
        with self._lock:
            if time.monotonic() - self._failed_at < FAILURE_SECONDS:
                raise ReviewFailed(FAILED.format(self._failure))

    def _role(self, subject: ReviewSubject, scope: str, sees: bool) -> _Verdict:
        """Request the verdict on a scope. `sees`: the subject is known to be a viewer."""
        # From before the reviews, so that a permission withdrawn meanwhile doesn't count for longer.
        valid_until = time.monotonic() + self._seconds
        namespace = scope or None
        role = None
        if sees or self._review(subject, "get", namespace):
            role = Role.OPERATOR if self._review(subject, "patch", namespace) else Role.VIEWER
        return _Verdict(role, valid_until)


def subject_of(
    name: str, groups: Iterable[str], *, username_prefix: str, groups_prefix: str
) -> ReviewSubject | None:
    """Return how Kubernetes knows a user, with the prefixes of the API server; None if it can't.

    A provider can't name users and groups of Kubernetes itself: members of `system:masters` may do everything.
    """
    user = username_prefix + name
    if not name.strip() or user.startswith(RESERVED):
        return None
    prefixed = {groups_prefix + group for group in groups if group}
    own = sorted(group for group in prefixed if not group.startswith(RESERVED))
    return ReviewSubject(user, (*own, AUTHENTICATED))
