"""`InitCheck` in a training: when it probes, on which batch, and how it reacts to findings."""
