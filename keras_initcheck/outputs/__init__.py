"""Forms of a report: terminal text, JSON, figures, HTML pages and TensorBoard's events.

Nothing here measures or judges, and nothing imports Keras.
"""
