"""The kinds of values that responses consist of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

Count = Annotated[int, Field(ge=0)]
Place = Annotated[int, Field(ge=1)]
UtcText = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time that is text already."""

UuidText = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Base64 = Annotated[str, WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
FreeObject = dict[str, Any]
"""An object that is passed on as it came."""

Stage = Literal["completed", "failed"]
