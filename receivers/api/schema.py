"""The OpenAPI schema of the API: what drf-spectacular can't read from the views."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer, inline_serializer
from rest_framework import serializers

from receivers.api.problems import MEDIA_TYPE, ProblemSerializer
from receivers.api.strict_fields import BodySerializer, PatternField
from receivers.deliveries.serializers import DeliverySerializer


class ApiSchema(AutoSchema):
    """The schema of a view. Every operation may respond with problem details."""

    def get_summary(self) -> str:
        """Return the first sentence of the description, without its full stop."""
        return str(self.get_description()).partition(". ")[0].partition("\n")[0].removesuffix(".")

    def _get_request_body(self, direction: Any = "request") -> Any:
        body = super()._get_request_body(direction)
        # drf-spectacular knows which fields of a serializer are required, but not of one or the other.
        if body and isinstance(self.get_request_serializer(), PolymorphicProxySerializer):
            body["required"] = True
        return body

    def _insert_field_validators(self, field: Any, schema: Any) -> None:
        # For a text that may be empty, drf-spectacular adds an alternative, and the empty text would match both.
        if not isinstance(field, PatternField):
            super()._insert_field_validators(field, schema)

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        problem = OpenApiResponse(ProblemSerializer, "An error.")
        bodies["default"] = self._get_response_for_code(problem, "default", [MEDIA_TYPE], direction)
        return bodies


class PatternFieldSchema(OpenApiSerializerFieldExtension):
    """A text with a pattern."""

    target_class = PatternField
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Any:
        """Return the schema."""
        field: PatternField = self.target
        limit = {} if field.max_length is None else {"maxLength": field.max_length}
        return {"type": "string", "pattern": field.pattern, **limit}


class BodySchema(OpenApiSerializerExtension):
    """The body of a request."""

    target_class = BodySerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> Any:
        """Return the schema, without unknown names."""
        own = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**own, "additionalProperties": False}


class TokenScheme(OpenApiAuthenticationExtension):
    """API tokens."""

    target_class = "receivers.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> Any:
        """Return the scheme."""
        return build_bearer_security_scheme_object(header_name="Authorization", token_prefix="Bearer")  # noqa: S106 - no secret


class DeliveryDetailsSchema(OpenApiSerializerExtension):
    """All data of a delivery: that of lists, and more."""

    target_class = "receivers.deliveries.serializers.DeliveryDetailsSerializer"

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> Any:
        """Return the schema of both."""
        listed = auto_schema.resolve_serializer(DeliverySerializer, direction).ref
        own = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {"allOf": [listed, own]}


def describe(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Return the schema with descriptions of fields as nouns, and with one for each response.

    drf-spectacular describes a computed field by the docstring of its method, which begins with a verb.
    """
    for component in result["components"]["schemas"].values():
        for field in component.get("properties", {}).values():
            text = field.get("description", "")
            for verb in ("Return ", "Say "):
                if text.startswith(verb):
                    noun = text.removeprefix(verb)
                    field["description"] = noun[:1].upper() + noun[1:]
    for operations in result["paths"].values():
        for operation in operations.values():
            for code, response in operation["responses"].items():
                if not response["description"]:
                    response["description"] = HTTPStatus(int(code)).phrase
    return result


class CachedGenerator(SchemaGenerator):
    """Generates the schema, which is the same for everyone, once in each process: it takes half a second."""

    def get_schema(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the schema, which must not be changed."""
        return _generated()


@cache
def _generated() -> dict[str, Any]:
    schema: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    return schema


def page_of(
    name: str,
    row: type[serializers.BaseSerializer[Any]],
    *,
    looked_to: bool = False,
    pages: bool = True,
) -> serializers.Serializer[Any]:
    """Return the serializer of a list named `name`.

    If the list has `pages`, it is that of one page, with the cursor of the next one; with `looked_to`, also with the
    time at which a search stopped.
    """
    fields: dict[str, serializers.Field[Any, Any, Any, Any]] = {name: row(many=True)}
    if pages:
        fields["next"] = serializers.CharField(
            help_text="The cursor of the next page; empty on the last one."
        )
    if looked_to:
        fields["looked_to"] = serializers.DateTimeField(
            allow_null=True, help_text="The time back to which the search has read; null if it is complete."
        )
    return inline_serializer(f"PageOf{name.capitalize()}", fields)
