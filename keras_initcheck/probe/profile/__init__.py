"""From the rows of a pass to a `Profile`: structure, measurement, ratios, names of histograms."""
