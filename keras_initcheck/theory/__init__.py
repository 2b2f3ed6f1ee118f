"""Pure maths of signal propagation: fans, moments, ratios and noise of plain numbers and arrays."""
