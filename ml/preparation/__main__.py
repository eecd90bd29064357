"""``python -m ml.preparation``."""

import sys

from ml.preparation.job import main

if __name__ == "__main__":
    sys.exit(main())
