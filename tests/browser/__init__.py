"""A package, so that its browser and its TensorBoard end with its tests."""
