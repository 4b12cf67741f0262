"""Options that several commands have in common, declared once: typer reads the signature of a command."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Signature, signature
from typing import Any


def with_options(shared: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the parameters of `shared`, whose result becomes the command's first argument."""
    taken = list(signature(shared, eval_str=True).parameters.values())

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(signature(command, eval_str=True).parameters.values())[1:]

        def combined(**given: Any) -> None:
            result = shared(**{parameter.name: given.pop(parameter.name) for parameter in taken})
            command(result, **given)

        combined.__doc__ = command.__doc__
        combined.__signature__ = Signature([*taken, *own])  # type: ignore[attr-defined]
        combined.__annotations__ = {parameter.name: parameter.annotation for parameter in (*taken, *own)}
        return combined

    return decorate
