"""Which steps are probed, counted without `on_train_batch_end`."""

import pytest

from keras_initcheck.watch.pace import Pace


def probed_steps(pace, epochs):
    """The steps at which a probe is due, where each epoch is a number of executions and whether the
    last one found no data.
    """
    found = []

    def ask():
        if pace.is_due:
            pace.mark_probe()
            found.append(pace.taken)

    for executions, found_nothing in epochs:
        for _ in range(executions):
            pace.before_execution()
            ask()
        pace.after_epoch(found_nothing)
        ask()
    return found


@pytest.mark.parametrize(
    ("pace", "epochs", "steps"),
    [
        (Pace(None), [(5, False)], []),
        (Pace(1), [(3, False)], [1, 2, 3]),
        (Pace(3, 1, 8), [(8, False), (8, False)], [3, 6, 9, 12, 15]),
        (Pace(4, 1, 8), [(8, False)], [4, 8]),
        (Pace(3), [(9, True), (8, False)], [3, 6, 9, 12, 15]),
        (Pace(4, 3, 7), [(3, False), (3, False)], [6, 10, 14]),
    ],
    ids=[
        "epochs only",
        "every step",
        "over two epochs",
        "at an epoch's end",
        "unknown length",
        "several steps per execution",
    ],
)
def test_a_probe_is_due_every_so_many_steps(pace, epochs, steps):
    assert probed_steps(pace, epochs) == steps
