"""Lists a page at a time, as every List operation does."""

import base64
import binascii

from .errors import invalid


def page(items, request, default=10):
    """The page that the request asks for, and the token of the next one, if there is one."""
    start = 0
    if token := request.get("NextToken"):
        try:
            start = int(base64.b64decode(token, validate=True))
        except (binascii.Error, ValueError):
            raise invalid("Invalid NextToken") from None
    end = start + request.get("MaxResults", default)
    following = {"NextToken": base64.b64encode(str(end).encode()).decode()} if end < len(items) else {}
    return items[start:end], following
