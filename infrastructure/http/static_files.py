"""Files of the pages, with the same conditional requests as answers of the API."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.staticfiles import StaticFiles

from infrastructure.http.responses import tag_that_client_has


class TaggedFiles(StaticFiles):
    """A folder of files whose ETags match however a proxy has marked them."""

    def is_not_modified(self, response_headers: Headers, request_headers: Headers) -> bool:
        """Whether the client has the file already."""
        if "if-none-match" not in request_headers:
            return super().is_not_modified(response_headers, request_headers)
        known = tag_that_client_has(request_headers, response_headers["etag"].strip('"'))
        if known is not None and isinstance(response_headers, MutableHeaders):
            response_headers["etag"] = known
        return known is not None
