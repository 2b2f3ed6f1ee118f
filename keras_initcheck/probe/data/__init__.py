"""One batch: taken from any data that `fit` takes, from a running `fit`, or made up for a model
that comes without data.
"""
