"""``python -m ml.preparation``: the job, or with ``--explain`` how it would read a file."""

import sys

if __name__ == "__main__":
    if "--explain" in sys.argv[1:]:
        from ml.preparation.detect.explain import main as explain

        sys.exit(explain(sys.argv[1:]))
    from ml.preparation.job import main

    sys.exit(main())
