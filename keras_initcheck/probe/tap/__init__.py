"""The observed pass: what is wrapped, recorded, reduced to rows and put back."""
