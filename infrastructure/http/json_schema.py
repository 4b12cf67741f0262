"""JSON Schemas (2020-12) of response types, as the components of an OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

Schema = dict[str, Any]

_MODULE: Final = re.compile(r"^.*[a-z]__(?=_?[A-Z])")
_REFERENCE: Final = "#/components/schemas/"


def components(types: Iterable[Any], *, mode: JsonSchemaMode = "serialization") -> dict[str, Schema]:
    """Return the named schemas of `types` and of all that they refer to, by name; `mode`: as written, or as read.

    Types whose name begins with `_` and enumerations are written out where they are used.
    """
    adapters = [(component_name(kind), mode, TypeAdapter(kind)) for kind in dict.fromkeys(types)]
    _, described = TypeAdapter.json_schemas(
        adapters,
        ref_template=_REFERENCE + "{model}",
        schema_generator=_Plain,
    )
    found: dict[str, Schema] = described.get("$defs", {})
    return {_name(key): _inlined(schema, found) for key, schema in found.items() if _is_named(key, schema)}


def component_name(kind: Any) -> str:
    """Return the name of a type's component; a generic type with an argument has pydantic's own, `Of_Argument_`."""
    arguments = "".join(f"_{component_name(each)}_" for each in get_args(kind))
    return re.sub(r"\W", "_", kind.__name__) + arguments


def reference(kind: type) -> Schema:
    """Refer to the component of a type."""
    return {"$ref": f"{_REFERENCE}{kind.__name__}"}


def object_schema(kind: Any) -> Schema:
    """Return the schema of a type, written out."""
    return TypeAdapter(kind).json_schema(schema_generator=_Plain)


def _name(key: str) -> str:
    """Return the name of a type; where an enumeration has the same, pydantic puts the module before it."""
    return _MODULE.sub("", key)


def _is_named(key: str, schema: Schema) -> bool:
    return not _name(key).startswith("_") and "enum" not in schema


def _inlined(value: Any, found: Mapping[str, Schema]) -> Any:
    if isinstance(value, list):
        return [_inlined(each, found) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        name = value["$ref"].removeprefix(_REFERENCE)
        if not _is_named(name, found[name]):
            rest = {key: each for key, each in value.items() if key != "$ref"}
            return _inlined({**_written_out(found[name]), **rest}, found)
        return {**value, "$ref": _REFERENCE + _name(name)}
    either = value.get("anyOf")
    if either is not None and len(either) == 2 and either[1] == {"type": "null"}:
        schema = _inlined(either[0], found)
        rest = {key: each for key, each in value.items() if key != "anyOf"}
        return {**_or_null(schema), **rest}
    return {key: _inlined(each, found) for key, each in value.items()}


def _written_out(schema: Schema) -> Schema:
    """Return a schema without the title and docstring of an enumeration."""
    return {"type": schema["type"], "enum": schema["enum"]} if "enum" in schema else schema


def _or_null(schema: Schema) -> Schema:
    """Return `schema`, which then also takes null."""
    if not isinstance(schema.get("type"), str):
        return {"anyOf": [schema, {"type": "null"}]}
    nullable = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable


class _Plain(GenerateJsonSchema):
    """Without titles: they would repeat the names. The docstring of a type is its description."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False."""
        del schema
        return False

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        """Return an object's schema without a title."""
        return _untitled(super().typed_dict_schema(schema))

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        """Return an object's schema without a title."""
        return _untitled(super().dataclass_schema(schema))

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Return True for what an answer always has: a default is for the code that builds it."""
        return field["type"] == "dataclass-field" or super().field_is_required(field, total)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Return the schema without the default."""
        return self.generate_inner(schema["schema"])


def _untitled(schema: JsonSchemaValue) -> JsonSchemaValue:
    schema.pop("title", None)
    return schema
