"""Facts about Keras: layers, activations, losses, optimizers, graphs, and its private names."""
