"""Rules: from the evidence of a profile to findings.

A rule is a small class that reads numbers: nothing here measures, renders or imports Keras.

Codes are stable and never reused: `IC1xx` weights, `IC2xx` signal, `IC3xx` gradient, `IC4xx` data,
head and loss, `IC5xx` architecture, `IC6xx` the first step.
"""
