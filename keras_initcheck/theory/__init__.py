"""Pure maths of signal propagation: fans, moments, ratios, noise. Numbers in, numbers out, no
framework.
"""
