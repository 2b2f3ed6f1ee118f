"""A report that was read from its JSON is the report: the same text again, and the same kinds of
numbers.
"""

import keras
import numpy as np

import keras_initcheck as ic


def test_report_gives_the_same_json_again():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    report = ic.check(model, np.ones((4, 6), "float32"))
    again = ic.Report.from_json(report.to_json())
    assert again.to_json() == report.to_json()
    assert {
        type(weight.fan_in) for weight in report.profile.weights if weight.role == "kernel"
    } == {float}
