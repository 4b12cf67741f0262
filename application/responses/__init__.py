"""The shape of each answer, typed once.

mypy holds the code that builds an answer to its type, and the HTTP side generates the OpenAPI document from the
same type. A type whose name begins with `_` is described where it is used; the others are named components.
"""
