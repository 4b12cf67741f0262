"""An operation of an API: its address, its texts, what it takes and answers. Handlers answer through it.

An operation stands above its handler. The OpenAPI document and the check of queries are made from it, and mypy
holds what a handler answers to `answer`, from which the schema is generated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from application.json_text import json_bytes
from application.responses.service import Problem
from infrastructure.http.json_schema import object_schema, reference
from infrastructure.http.on_behalf import is_about_a_teacher
from infrastructure.http.parameters import Header, Parameter, path_parameter
from infrastructure.http.responses import json_response
from infrastructure.http.routing import CheckedRoute, Handler

JSON: Final = "application/json"
_PROBLEMS: Final = {
    400: "A value makes no sense, or a parameter is not known or given twice",
    401: "Headers are missing or not accepted",
    403: "Not for this service",
    404: "Not known",
    500: "What is recorded cannot be read by this release",
    409: "Something else is under way; try again later",
    422: "The content of the body is refused",
    503: "The database is unavailable, or what answers is not yet as far as asked; try again after `Retry-After` seconds",
}
_ETAG: Final = Header("If-None-Match", "An ETag got before; 304 when nothing changed")
_LOCATION: Final = {"Location": {"schema": {"type": "string"}}}

_T = TypeVar("_T")


class Operation(Generic[_T]):
    """A call that asks for key and service id. Without `answer` it answers nothing.

    `problems` are those besides 400, 401, 403 and 503, which every call may answer. `media_types`: JSON is as `answer`
    says, anything else text. `status`: 202 where what was begun is found at `Location`.
    """

    def __init__(
        self,
        path: str,
        summary: str,
        *,
        answer: type[_T] | None = None,
        method: str = "GET",
        parameters: Sequence[Parameter] = (),
        body: type | None = None,
        problems: Sequence[int] = (),
        description: str = "",
        media_types: Sequence[str] = (JSON,),
        status: int = 200,
    ) -> None:
        self.path = path
        self.method = method
        self.answer = answer
        self._summary = summary
        self._description = description
        self._parameters = parameters
        self._body = body
        self._problems = problems
        self._media_types = media_types
        self._status = status if answer is not None else 204

    def route(self, handler: Handler) -> CheckedRoute:
        """Return the route on which `handler` answers; it refuses queries that are not described."""
        known = frozenset(each.name for each in self._parameters if each.place == "query")
        return CheckedRoute(self.path, handler, methods=[self.method], known=known)

    def answered(
        self,
        request: Request,
        body: _T,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the answer: with an ETag, and 304 where the client has it, unless the call changed something."""
        content = json_bytes(body)
        if self._is_kept:
            return json_response(request, content, headers=headers)
        return Response(content, self._status, headers=headers, media_type=JSON)

    @property
    def _is_kept(self) -> bool:
        return self.method == "GET" and self.answer is not None

    def described(self) -> dict[str, Any]:
        """Return it as OpenAPI has it."""
        names = re.findall(r"{(\w+)}", self.path)
        found: dict[str, Any] = {
            "summary": self._summary,
            "description": self._description,
            "parameters": [
                *(path_parameter(name) for name in names),
                *([_ETAG.described()] if self._is_kept else ()),
                *(each.described() for each in self._parameters),
                *([{"$ref": "#/components/parameters/OnBehalfOf"}] if is_about_a_teacher(names) else ()),
                {"$ref": "#/components/parameters/CorrelationId"},
            ],
            "responses": self._responses(),
            "security": [{"key": [], "service": []}],
        }
        if self._body is not None:
            schema = object_schema(self._body)
            schema.pop("description", None)  # it is for the readers of the code
            found["requestBody"] = {
                "required": bool(schema.get("required")),
                "content": {JSON: {"schema": schema}},
            }
        return found

    def _responses(self) -> dict[str, Any]:
        responses: dict[str, Any] = {str(self._status): self._good_response()}
        if self._is_kept:
            responses["304"] = {"description": "Not modified"}
        for status in sorted({400, 401, 403, *self._problems, 503}):
            responses[str(status)] = {
                "description": _PROBLEMS[status],
                "content": {"application/problem+json": {"schema": reference(Problem)}},
            }
        if self._status == 202:
            for answered in ("202", "409"):
                responses[answered]["headers"] = _LOCATION
        return responses

    def _good_response(self) -> dict[str, Any]:
        if self.answer is None:
            return {"description": "Done"}
        descriptions = {200: "The answer" if self._is_kept else "What came of it", 202: "It is under way"}
        good: dict[str, Any] = {
            "description": descriptions[self._status],
            "content": {
                kind: {"schema": reference(self.answer) if kind == JSON else {"type": "string"}}
                for kind in self._media_types
            },
        }
        return good | {"headers": {"ETag": {"schema": {"type": "string"}}}} if self._is_kept else good


class OpenOperation(Operation[_T]):
    """A call that asks for no key and takes any query: probes add to it."""

    def __init__(
        self,
        path: str,
        summary: str,
        *,
        answer: type[_T] | None,
        media_type: str = JSON,
        also: Sequence[int] = (),
    ) -> None:
        super().__init__(path, summary, answer=answer)
        self._media_type = media_type
        self._also = also

    def route(self, handler: Handler) -> CheckedRoute:
        """Return the route on which `handler` answers."""
        return CheckedRoute(self.path, handler, methods=[self.method], known=None)

    def described(self) -> dict[str, Any]:
        """Return it as OpenAPI has it."""
        schema = {"type": "string"} if self.answer is None else reference(self.answer)
        answers = {"description": self._summary, "content": {self._media_type: {"schema": schema}}}
        responses = {str(status): answers for status in (200, *self._also)}
        return {"summary": self._summary, "responses": responses, "security": []}
