"""`python -m keras_initcheck` is the command `initcheck`."""

import sys

from keras_initcheck.cli import main

if __name__ == "__main__":
    sys.exit(main())
