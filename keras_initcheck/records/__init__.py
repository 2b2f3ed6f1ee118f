"""Frozen records of plain numbers: what was measured, and what was found. Nothing here measures,
judges or renders.
"""
