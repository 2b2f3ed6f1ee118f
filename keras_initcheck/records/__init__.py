"""Frozen records of measurements and findings.

Nothing here measures or judges.
"""
