"""The signal and the gradient that the weights predict at every site of a Keras model: its layers
as rules of `theory.propagation`.
"""
