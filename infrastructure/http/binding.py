"""Finds out for which teacher a request is: `X-On-Behalf-Of`, or a token of that teacher."""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection

from infrastructure.http.identity import OPERATOR, InvalidTokenError, TokenVerifier, bearer_token
from infrastructure.http.on_behalf import HEADER, Bound, Owners
from infrastructure.http.problems import Problem

LONGEST_NAME: Final = 255


class Binding:
    """Finds out for whom a request is."""

    def __init__(self, verifier: TokenVerifier, owners: Owners) -> None:
        self._verifier = verifier
        self._owners = owners

    async def of(self, connection: HTTPConnection) -> Bound | None:
        """Return for whom the request is, None for one that says nothing.

        A token with the role operator binds to nobody. Raises Problem 400 for a header that makes no sense, 401 for a
        token that proves nothing, and 403 where header and token name two teachers.
        """
        given = connection.headers.getlist(HEADER)
        token = bearer_token(connection)
        if not given and token is None:
            return None
        said = given[0].strip() if given else None
        if len(given) > 1 or said == "" or (said is not None and len(said) > LONGEST_NAME):
            raise Problem(400, f"{HEADER} must name one teacher.")
        if token is not None:
            try:
                identity = await self._verifier.verify(token)
            except InvalidTokenError as error:
                raise Problem(401, str(error), WWW_Authenticate="Bearer") from error
            if OPERATOR not in identity.roles:
                if said not in (None, identity.subject):
                    raise Problem(403, f"{HEADER} and the token name two teachers.")
                said = identity.subject
        return None if said is None else Bound(said, self._owners)
