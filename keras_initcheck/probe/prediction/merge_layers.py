"""Propagation rules of operations that take several tensors, or a tensor and a number."""

import math

from keras_initcheck.probe.prediction.measured_weights import element_ratio
from keras_initcheck.probe.tap.site_record import Operand, SiteRecord
from keras_initcheck.theory.propagation.linear import Affine
from keras_initcheck.theory.propagation.merge import Concatenate, Maximum, Multiply, Sum
from keras_initcheck.theory.propagation.rule import PropagationRule, Unpredictable


def operands(record: SiteRecord) -> tuple[Operand, ...]:
    """The tensors among a site's arguments."""
    return tuple(argument for argument in record.arguments if isinstance(argument, Operand))


def sum_rule(record: SiteRecord, coefficients: tuple[float, ...] = ()) -> PropagationRule:
    """`sum c_i x_i`, with numbers among the terms, and with one tensor in several of them."""
    terms = list(zip(coefficients or (1.0,) * len(record.arguments), record.arguments, strict=True))
    tensors = [(coefficient, term) for coefficient, term in terms if isinstance(term, Operand)]
    offset = sum(coefficient * term for coefficient, term in terms if not isinstance(term, Operand))
    if len(tensors) == 1:
        return Affine.constant(tensors[0][0], offset)
    if offset or _has_repetitions(record):
        return Unpredictable("it adds a tensor to itself, or tensors and a number")
    return Sum(tuple(coefficient for coefficient, _ in tensors), repeats=_repeats(record))


def average_rule(record: SiteRecord) -> PropagationRule:
    """The mean of tensors."""
    return sum_rule(record, (1.0 / len(record.arguments),) * len(record.arguments))


def difference_rule(record: SiteRecord) -> PropagationRule:
    """The first tensor less the second."""
    return sum_rule(record, (1.0, -1.0))


def product_rule(record: SiteRecord) -> PropagationRule:
    """The product of tensors that are independent of each other, or of a tensor and a number."""
    numbers = [argument for argument in record.arguments if not isinstance(argument, Operand)]
    if len(operands(record)) == 1:
        return Affine.constant(math.prod(numbers))
    if numbers or _has_repetitions(record):
        return Unpredictable("it multiplies a tensor with itself, or tensors and a number")
    return Multiply(_repeats(record))


def quotient_rule(record: SiteRecord) -> PropagationRule:
    """A tensor divided by a number."""
    if (
        len(record.arguments) == 2
        and isinstance(record.arguments[0], Operand)
        and not isinstance(record.arguments[1], Operand)
    ):
        return Affine.constant(1.0 / record.arguments[1])
    return Unpredictable("it divides by a tensor")


def concatenate_rule(record: SiteRecord) -> PropagationRule:
    """Tensors side by side."""
    return Concatenate(tuple(float(math.prod(operand.shape)) for operand in operands(record)))


def maximum_rule(record: SiteRecord, is_minimum: bool = False) -> PropagationRule:
    """The largest of tensors, element by element."""
    if len(operands(record)) < len(record.arguments) or _has_repetitions(record):
        return Unpredictable("it compares a tensor with a number or with itself")
    return Maximum(is_minimum, _repeats(record))


def minimum_rule(record: SiteRecord) -> PropagationRule:
    """The smallest of tensors, element by element."""
    return maximum_rule(record, is_minimum=True)


def _repeats(record: SiteRecord) -> tuple[float, ...]:
    return tuple(
        element_ratio(record.output_shape or operand.shape, operand.shape)
        for operand in operands(record)
    )


def _has_repetitions(record: SiteRecord) -> bool:
    makers = [
        (operand.site, operand.name) for operand in operands(record) if operand.site is not None
    ]
    return len(set(makers)) < len(makers)
