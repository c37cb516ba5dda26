"""Handle requests: authenticate, authorize, inject faults, and call the function for the verb."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import orjson

from demo.apiserver.access import ApiAccess, User, access_review, find_review
from demo.apiserver.bodies import body_json
from demo.apiserver.deleter import Deleter
from demo.apiserver.discovery import document
from demo.apiserver.errors import ApiError, internal, method_not_allowed
from demo.apiserver.faults import Faults
from demo.apiserver.messages import Request, Response
from demo.apiserver.queries import Watches, get, list_objects, parse_watch
from demo.apiserver.resource_types import Catalog
from demo.apiserver.routes import Route, find_route
from demo.apiserver.storage import Store
from demo.apiserver.wire import StreamingResponse
from demo.apiserver.writer import Writer

log = logging.getLogger("demo.apiserver")


@dataclass(slots=True)
class Api:
    """Handles every request. `faults` is None unless fault injection is enabled."""

    catalog: Catalog
    store: Store
    access: ApiAccess
    watches: Watches
    writer: Writer
    deleter: Deleter
    faults: Faults | None
    bookmark_interval: float

    async def handle(self, request: Request) -> Response | StreamingResponse:
        """Return the response: a Status object for every error. Raises `DropConnectionError` for injected faults."""
        try:
            return await self._handle(request)
        except ApiError as error:
            return error.response()
        except OSError as error:
            return internal(f"cannot store the change: {error.strerror}").response()
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
            # A body with an unexpected structure must not end the connection. The traceback shows the missing check.
            log.exception("%s %s", request.method, request.path)
            return internal("unexpected content").response()

    async def _handle(self, request: Request) -> Response | StreamingResponse:
        if self.faults is not None and request.path.startswith("/faults"):
            return self.faults.serve(request)
        user = self.access.authenticate(request)
        if review := find_review(request):
            return await self._review(review, request, user)
        route = find_route(self.catalog, request)
        if route is None:
            return document(self.catalog, request)
        self.access.authorize(user, route)
        if self.faults is None:
            return self._serve(route, request)
        record = await self.faults.before(route, request)
        response = self._serve(route, request)
        await self.faults.after(route, record)
        return response

    def _serve(self, route: Route, request: Request) -> Response | StreamingResponse:
        match route.verb:
            case "get":
                return get(self.store, route, request)
            case "list":
                return list_objects(self.store, route, request)
            case "watch":
                return self.watches.response(parse_watch(route, request, self.bookmark_interval))
        return self._write(route, request)

    def _write(self, route: Route, request: Request) -> Response:
        match route.verb, bool(route.name):
            case "create", False:
                return self.writer.create(route, request)
            case "update", True:
                return self.writer.update(route, request)
            case "patch", True:
                return self.writer.patch(route, request)
            case "delete", True if not route.subresource:
                return self.deleter.delete(route, request)
            case "deletecollection", False:
                return self.deleter.delete_collection(route, request)
        raise method_not_allowed()

    async def _review(self, route: Route, request: Request, user: User) -> Response:
        if self.faults is not None:
            await self.faults.before(route, request)
        return Response(201, orjson.dumps(access_review(self.access, user, route, body_json(request))))
