"""The tests of keras_initcheck."""
