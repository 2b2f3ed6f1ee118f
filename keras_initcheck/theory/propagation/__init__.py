"""Prediction of signal and gradient through a whole network, from plain numbers, layer by layer.

`signal` describes one tensor, `rule` is the interface of a layer's rule, `graph` runs rules over a
network. Each of the other modules holds the rules of one family of layers.
"""
