"""Several probes beside each other, as text."""

import math

from keras_initcheck.outputs.comparison import render
from keras_initcheck.records.statistics import Places


def test_probes_stand_below_each_other_in_columns(make):
    reports = [
        (
            "before",
            make.report(
                findings=[make.finding("a"), make.finding("b", severity="warning")],
                log10_forward_gain=9.0,
            ),
        ),
        (
            "after_the_repair",
            make.report(
                [make.site(0, "a", 4.0)], log10_forward_gain=0.0, log10_backward_gain=None, step=7
            ),
        ),
    ]
    lines = render(reports).splitlines()
    assert lines[:3] == [
        "probe             step  verdict             signal  gradient  worst layer",
        "before               0  1 error, 1 warning  31,600     0.562        ×1.41",
        "after_the_repair     7  healthy               1.00         -        ×2.00",
    ]
    assert max(map(len, lines)) <= 80


def test_title_is_cleaned_and_shortened(make):
    line = render([("\x1b[31m" + "x" * 90, make.report())]).splitlines()[1]
    assert line.startswith("�[31mxxxxxx…xxxxxxxxxxxxxxxx  ")


def test_gain_is_nan_where_the_signal_is(make):
    broken = Places(
        make.moments(), make.moments(), make.moments(share_nonfinite=1.0, second_moment=0.0)
    )
    report = make.report(
        [make.site(0, "a", math.nan, activations=broken)],
        log10_forward_gain=-math.inf,
        log10_backward_gain=0.0,
    )
    assert render([("a", report)]).splitlines()[1].split()[-3:-1] == ["nan", "1.00"]
