"""What follows from a profile and is no finding. Pure: no Keras, no verdicts."""
