"""Checks the arguments of requests, and turns results and errors into strict JSON.

Nothing here is specific to probes.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from tensorboard import errors
from tensorboard.backend import http_util
from werkzeug import wrappers

LOGGER = logging.getLogger(__name__)

Handler = Callable[[wrappers.Request], object]


def respond_with(handler: Handler) -> Any:
    """Makes a WSGI application of a handler.

    Args:
        handler: Returns a response, JSON text, or an object that `json` can write strictly.
    """

    def application(request: wrappers.Request) -> wrappers.Response:
        content, code = _outcome(handler, request)
        if isinstance(content, wrappers.Response):
            return content
        text = (
            content
            if isinstance(content, str)
            else json.dumps(content, allow_nan=False, separators=(",", ":"))
        )
        return http_util.Respond(request, text, "application/json", code=code)

    return wrappers.Request.application(application)


def _outcome(handler: Handler, request: wrappers.Request) -> tuple[object, int]:
    """The content and the HTTP status of a response; an error concerns this tab alone."""
    try:
        return handler(request), 200
    except errors.PublicError as error:
        return {"error": str(error)}, error.http_code
    except ImportError as error:
        return {"error": _missing(error)}, 503
    except Exception as error:
        LOGGER.exception("%s failed", request.path)
        return {
            "error": f"{type(error).__name__}: {error}. TensorBoard's own output has the details."
        }, 500


def _missing(error: ImportError) -> str:
    if not error.name:
        return str(error)
    package = error.name.partition(".")[0]
    return f"{error}. Install it where TensorBoard runs: pip install {package}"


def repeated_argument(request: wrappers.Request, name: str, most: int | None = None) -> list[str]:
    """Returns all values of an argument.

    Args:
        request: The request.
        name: Name of the argument.
        most: Number of values that are allowed; there must be at least one.

    Raises:
        errors.InvalidArgumentError: There is no value, or there are too many.
    """
    values: list[str] = request.args.getlist(name)
    if not values:
        raise errors.InvalidArgumentError(f"`{name}` must be given.")
    if most is not None and len(values) > most:
        raise errors.InvalidArgumentError(
            f"`{name}` must be given {most} times at most. Received: {len(values)} times. Choose"
            " fewer runs."
        )
    return values


def single_argument(request: wrappers.Request, name: str) -> str:
    """Returns the only value of an argument.

    Raises:
        errors.InvalidArgumentError: There is no value, or more than one.
    """
    values = repeated_argument(request, name)
    if len(values) > 1:
        raise errors.InvalidArgumentError(
            f"`{name}` must be given once. Received: {len(values)} times."
        )
    return values[0]


def boolean_argument(request: wrappers.Request, name: str) -> bool:
    """Returns whether an argument is 1; 0 is the default.

    Raises:
        errors.InvalidArgumentError: It is neither 0 nor 1.
    """
    value = request.args.get(name, "0")
    if value not in ("0", "1"):
        raise errors.InvalidArgumentError(f"`{name}` must be 0 or 1. Received: {value[:200]!r}.")
    return bool(value == "1")
