"""The demonstration: AlexNet on two photographs, and a short training on handwritten digits.

All data are real, and nothing is downloaded.
"""
