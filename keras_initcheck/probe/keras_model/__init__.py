"""What must be known of Keras: its layers, activations, losses and optimizers, and the names that
it does not publish.
"""
