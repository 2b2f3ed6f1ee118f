"""What `InitCheck` does from the start of a training to its end: when it probes, on which batch,
and what it does about findings.
"""
