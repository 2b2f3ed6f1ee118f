"""One batch: taken from the user's data, or made up for a model that comes without any."""
