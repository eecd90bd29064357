"""``python -m bench.peer_models JOB``: run the job of a JSON file."""

import json
import sys
from pathlib import Path

from bench.peer_models.job import Job, run

if __name__ == "__main__":
    given = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    del sys.argv[1:]  # RecBole reads the command line, too
    run(given)
