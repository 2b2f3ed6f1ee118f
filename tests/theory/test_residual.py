import math

import pytest

from keras_initcheck.theory.residual import stream_growth


def linear_stream(num_blocks, variance):
    return [math.log(1.0 + variance * block) for block in range(num_blocks + 1)]


def exponential_stream(num_blocks, variance):
    return [block * math.log(1.0 + variance) for block in range(num_blocks + 1)]


def test_sum_of_branches_has_no_excess():
    growth = stream_growth(linear_stream(48, 0.32), [0.32] * 48)
    assert growth.excess == pytest.approx(0.0, abs=1e-12)
    assert growth.log_growth == pytest.approx(math.log(16.36))


def test_product_of_branches_exceeds_their_sum():
    # 3^48 against 1 + 2 * 48.
    growth = stream_growth(exponential_stream(48, 2.0), [2.0] * 48)
    assert growth.excess == pytest.approx(48 * math.log(3) - math.log(97))
    assert (growth.log_growth, growth.log_linear) == pytest.approx((48 * math.log(3), math.log(97)))


def test_small_branches_are_no_fault_by_either_law():
    # (1 + 1/L)^L -> e against 1 + 1.
    growth = stream_growth(exponential_stream(48, 1 / 48), [1 / 48] * 48)
    assert growth.excess == pytest.approx(1 - math.log(2), abs=0.02)


def test_branches_may_differ():
    stream = [5.0, 5.0 + math.log(2.0), 5.0 + math.log(2.5)]
    growth = stream_growth(stream, [1.0, 0.5])
    assert (growth.log_growth, growth.log_linear) == pytest.approx((math.log(2.5), math.log(2.5)))


def test_closed_branches_have_no_growth():
    assert stream_growth([0.0] * 11, [0.0] * 10).excess == 0.0


def test_stream_beyond_floats():
    assert stream_growth(exponential_stream(2000, 2.0), [2.0] * 2000).excess == pytest.approx(
        2000 * math.log(3) - math.log(4001)
    )


def test_stream_that_is_scaled_down_has_a_negative_excess():
    assert stream_growth([0.0] * 49, [1.0] * 48).excess == pytest.approx(-math.log(49))


@pytest.mark.parametrize(("stream", "branches"), [([0.0, 1.0], [1.0, 1.0]), ([0.0], [])])
def test_numbers_that_do_not_fit_are_refused(stream, branches):
    with pytest.raises(
        ValueError, match=r"one number more than `branch_variances`.*Received: \d and \d\."
    ):
        stream_growth(stream, branches)


def test_negative_branch_variance_is_refused():
    with pytest.raises(
        ValueError, match=r"must not be negative\. Received: -1\.0\. Pass second moments\."
    ):
        stream_growth([0.0, 0.0], [-1.0])
