"""Prediction of signal and gradient through a whole network, layer by layer, from plain numbers and
without a framework.

`signal` is what is predicted of one tensor, `rule` what every layer's rule answers, `graph` runs
rules over a network. Each of the other modules holds the rules of one family of layers.
"""
