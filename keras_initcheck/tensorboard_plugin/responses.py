"""Requests and answers: arguments are checked, what comes back is strict JSON, and so is what went
wrong. Knows nothing of probes.
"""

import functools
import json
import logging
from collections.abc import Callable
from typing import Any

from tensorboard import errors
from tensorboard.backend import http_util
from werkzeug import wrappers

LOGGER = logging.getLogger(__name__)

Handler = Callable[[wrappers.Request], object]


def answering(handler: Handler) -> Any:
    """A WSGI application that answers with what the handler returns: a response, JSON text, or what
    `json` can write strictly.
    """

    @functools.wraps(handler)
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
    try:
        return handler(request), 200
    except errors.PublicError as error:
        return {"error": str(error)}, error.http_code
    except ImportError as error:
        hint = (
            f" Install it where TensorBoard runs: pip install {error.name.partition('.')[0]}"
            if error.name
            else ""
        )
        return {"error": f"{error}{hint}"}, 503
    except Exception as error:  # the tab says what happened; the rest of TensorBoard goes on
        LOGGER.exception("%s failed", request.path)
        return {
            "error": f"{type(error).__name__}: {error}. TensorBoard's own output has the details."
        }, 500


def arguments(request: wrappers.Request, name: str, most: int | None = None) -> list[str]:
    """Every value of that argument, at least one and at most so many.

    Raises:
        errors.InvalidArgumentError: There is none, or there are more.
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
    """The one value of that argument.

    Raises:
        errors.InvalidArgumentError: There is none, or more than one.
    """
    values = arguments(request, name)
    if len(values) > 1:
        raise errors.InvalidArgumentError(
            f"`{name}` must be given once. Received: {len(values)} times."
        )
    return values[0]


def boolean_argument(request: wrappers.Request, name: str) -> bool:
    """Whether that argument is 1; it may be left out.

    Raises:
        errors.InvalidArgumentError: It is neither 0 nor 1.
    """
    value = request.args.get(name, "0")
    if value not in ("0", "1"):
        raise errors.InvalidArgumentError(f"`{name}` must be 0 or 1. Received: {value[:200]!r}.")
    return bool(value == "1")
