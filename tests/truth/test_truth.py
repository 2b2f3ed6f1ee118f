"""Every network of the truth table is judged as the table says, on one draw; `make bench-truth`
takes five.
"""

import pytest

from keras_initcheck.repairs.options import ModelRepairOptions
from keras_initcheck.repairs.planner import plan
from tests.truth.judging import judged, wrong
from tests.truth.nets import FAULTY, HEALTHY


@pytest.mark.filterwarnings(
    "ignore:You are using a softmax over axis -1"
)  # Keras itself sees that one
@pytest.mark.parametrize("net", [*HEALTHY, *FAULTY], ids=lambda net: net.name)
def test_verdict(net):
    report = judged(net, seed=0)
    assert not wrong(net, report)
    if not net.codes:
        assert "IC210" not in {finding.code for finding in report.findings}, (
            "the prediction holds in healthy networks, whatever their kind"
        )
        assert not plan(report.profile, report.findings, ModelRepairOptions()).steps, (
            "a repair leaves healthy networks alone"
        )


def test_table_is_large_enough():
    assert len(HEALTHY) + len(FAULTY) >= 60
