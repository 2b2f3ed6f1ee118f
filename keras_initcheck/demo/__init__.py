"""The demonstration: AlexNet on two photographs, and a short training on handwritten digits. Real
data, nothing downloaded.
"""
