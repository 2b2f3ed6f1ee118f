"""Lists the rules, one rule's page, the thresholds and the schema of a report."""

import json
import textwrap
from dataclasses import asdict

from keras_initcheck.records.errors import InitCheckError
from keras_initcheck.rules.catalogue import RULES, explain
from keras_initcheck.rules.thresholds import DEFAULTS, MEANINGS

WIDTH = 80


def page(code: str) -> str:
    """Returns the page of one rule.

    Raises:
        InitCheckError: No rule has that code or slug.
    """
    try:
        return explain(code)
    except ValueError as error:
        raise InitCheckError(str(error).replace("`code_or_slug`", "--explain")) from error


def rules() -> str:
    """Returns a line for each rule."""
    longest = max(len(rule.slug) for rule in RULES)
    return "".join(f"{rule.code}  {rule.slug:<{longest}}  {rule.title}\n" for rule in RULES)


def thresholds() -> str:
    """Returns the name, the default and the meaning of each threshold."""
    return "".join(
        f"{name}={default:g}\n{_indented(MEANINGS[name])}\n"
        for name, default in asdict(DEFAULTS).items()
    )


def schema() -> str:
    """Returns the JSON Schema of a report, as text."""
    from keras_initcheck.outputs import json_format

    return f"{json.dumps(json_format.schema(), indent=2)}\n"


def _indented(text: str) -> str:
    return textwrap.indent(textwrap.fill(text, WIDTH - 4, break_on_hyphens=False), " " * 4)
