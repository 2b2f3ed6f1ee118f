"""What the command `initcheck` needs around `check`: its arguments, a backend that is there, and
what the arguments name.
"""
