"""Repairs: a plan from the findings, applied, verified by a new probe, and undone if not better."""
