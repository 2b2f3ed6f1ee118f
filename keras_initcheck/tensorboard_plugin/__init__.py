"""The TensorBoard tab. TensorBoard loads it when it starts, so nothing here may be slow to import,
or fail to be imported.
"""
