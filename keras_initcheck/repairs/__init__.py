"""Re-initialises what drifted: a plan from a report, applied to the model, verified by a new probe,
and undone if it is not better.
"""
