"""Whether every public name of the package has a type that a type checker of a user knows.

    make types

Runs `pyright --verifytypes` and fails on any name that has none, but for those that inherit from or
hold what packages without types of their own define.
"""

import json
import subprocess
import sys

UNTYPED = {
    "keras_initcheck.callback.InitCheck": "its base is Keras' Callback",
    "keras_initcheck.outputs.event_writer": "TensorBoard's protocol buffers",
    "keras_initcheck.outputs.events": "TensorBoard's protocol buffers",
    "keras_initcheck.tensorboard_plugin": "TensorBoard's plugin and data provider",
}
"""Names, with all below them, and the package that lacks types."""
NO_LACK = ("Ambiguous base class override", 'Type of base class "keras_initcheck.rules.')
"""Messages about a class variable of a rule that narrows the type that `Rule` declares."""


def is_excused(name, message):
    """Whether a name lacks its type for one of the known reasons."""
    is_inherited = any(name == each or name.startswith(f"{each}.") for each in UNTYPED)
    return is_inherited or message.startswith(NO_LACK)


def main():
    command = [sys.argv[1], "--verifytypes", "keras_initcheck", "--ignoreexternal", "--outputjson"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    symbols = found["typeCompleteness"]["symbols"]
    lacking = [
        (symbol["name"], diagnostic["message"].splitlines()[0])
        for symbol in symbols
        for diagnostic in symbol["diagnostics"]
        if diagnostic["severity"] == "error"
    ]
    unexcused = [pair for pair in lacking if not is_excused(*pair)]
    for name, message in unexcused:
        print(f"{name}: {message}")
    print(f"{len(symbols)} names, {len(unexcused)} of them without a known type")
    sys.exit(bool(unexcused) or not symbols)


if __name__ == "__main__":
    main()
