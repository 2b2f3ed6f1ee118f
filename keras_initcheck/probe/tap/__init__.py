"""The observed pass: calls are wrapped, recorded, reduced to rows, and put back."""
