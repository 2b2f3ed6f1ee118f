"""The parts of the command `initcheck`: its arguments, the backend, and the model and the data."""
