"""One batch through a model: everything that is measured, and nothing that is judged."""
