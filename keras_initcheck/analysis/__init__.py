"""Analysis: conclusions from a profile that are no findings. Pure: no Keras, no verdicts."""
