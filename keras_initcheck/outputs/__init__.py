"""What a `Report` looks like: terminal text, JSON and TensorBoard events. Nothing here measures or
judges, and nothing imports Keras.
"""
