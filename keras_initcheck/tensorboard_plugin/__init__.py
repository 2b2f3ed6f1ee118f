"""The TensorBoard tab.

TensorBoard imports `plugin` when it starts, so that module must import quickly and must not fail.
"""
