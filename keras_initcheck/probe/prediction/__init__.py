"""Prediction of signal and gradient at every site: a model's layers as propagation rules."""
