"""Benchmark of the preparation job against a pandas script that writes an equivalent run.

    python bench/preparation.py --rows 1000000 5000000 25000000 --json out.json

The events are synthetic: log-normal user activity, Zipf item popularity, some repeated and some unusable
events, in one CSV file with text ids. `--skew 0.2` gives one user that share of all events.

Both run on the same machine, one after the other, each in a separate process and measured from start to exit.
Peak memory is the sampled resident memory of the process and all its children, including the JVM. The
benchmark fails if the counts of the two results differ. The growth of time with rows is reported without
start-up time, which is the job's time for a thousand rows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv as pa_csv

ROOT = Path(__file__).resolve().parents[1]
RUN_ID = "20261123T020000Z"
EVENTS_PER_USER = 25
EVENTS_PER_ITEM = 250
ITEM_SKEW = 0.9  # exponent of the Zipf distribution
ACTIVITY_SIGMA = 1.0
REPEATED = 0.03  # share of events that repeat an earlier pair
UNUSABLE = 0.0005  # share of events without a user
START_S, SPAN_S = 1_760_000_000, 30 * 24 * 3600
EARLIEST_S, LATEST_S = 631_152_000, 4_102_444_799  # limits of the job
CHUNK_ROWS = 1_000_000
STARTUP_ROWS = 1_000
SAMPLE_S = 0.1
MIB = 2**20


def write_events(path: Path, n_rows: int, skew: float, seed: int = 1) -> None:
    """Write synthetic events in chunks; one user has the share `skew` of them."""
    rng = np.random.default_rng(seed)
    n_users, n_items = max(20, n_rows // EVENTS_PER_USER), max(50, n_rows // EVENTS_PER_ITEM)
    users = np.cumsum(rng.lognormal(sigma=ACTIVITY_SIGMA, size=n_users))
    items = np.cumsum(np.arange(1, n_items + 1) ** -ITEM_SKEW)
    number_of = rng.permutation(n_items)
    schema = pa.schema([("user_id", pa.string()), ("item_id", pa.string()), ("timestamp", pa.int64())])
    with pa_csv.CSVWriter(path, schema, write_options=pa_csv.WriteOptions(quoting_style="none")) as writer:
        for start in range(0, n_rows, CHUNK_ROWS):
            n = min(CHUNK_ROWS, n_rows - start)
            user = np.searchsorted(users, rng.random(n) * users[-1])
            user[rng.random(n) < skew] = 0
            item = number_of[np.searchsorted(items, rng.random(n) * items[-1])]
            repeats = np.flatnonzero(rng.random(n) < REPEATED)
            user[repeats], item[repeats] = user[repeats - 1], item[repeats - 1]
            user_id = np.char.add("u", np.char.zfill(user.astype("U9"), 9))
            user_id[rng.random(n) < UNUSABLE] = ""
            item_id = np.char.add("i", np.char.zfill(item.astype("U8"), 8))
            times = START_S + np.sort(rng.integers(0, SPAN_S, n))
            writer.write_table(pa.table([user_id, item_id, times], schema=schema))


def with_pandas(source: Path, target: Path) -> dict[str, int]:
    """Prepare a run by the same rules with pandas; returns the counts."""
    target.mkdir(parents=True)
    pairs, counts = clean_with_pandas(source, target)
    kept = pairs[pairs.groupby("user_id")["item_id"].transform("size") >= 5]
    counts |= {"filtered": len(pairs) - len(kept), "kept": len(kept)}
    del pairs
    encoded = encode_with_pandas(kept, target)
    del kept
    counts |= {"users": encoded["user_index"].max() + 1, "items": encoded["item_index"].max() + 1}
    from_newest = encoded.groupby("user_index").cumcount(ascending=False)
    splits = {"test": from_newest == 0, "validation": from_newest == 1, "train": from_newest >= 2}
    for name, chosen in splits.items():
        split = encoded[chosen]
        counts[name] = len(split)
        split.to_parquet(target / f"{name}.parquet", index=False)
    n_train = encoded.loc[splits["train"], "item_index"].value_counts()
    items = np.arange(counts["items"], dtype="int32")
    popularity = n_train.reindex(items, fill_value=0).rename_axis("item_index")
    popularity.rename("n_interactions").reset_index().to_parquet(target / "popularity.parquet", index=False)
    features_with_pandas(encoded, from_newest, target)
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in target.glob("*.parquet")}
    counts = {name: int(n) for name, n in counts.items()}
    (target / "manifest.json").write_text(json.dumps({"counts": counts, "files": sums}))
    return counts


def clean_with_pandas(source: Path, target: Path) -> tuple[Any, dict[str, int]]:
    """Read, validate and deduplicate the events, and write the quarantine; returns the pairs and counts."""
    import pandas as pd  # noqa: PLC0415 (not imported when measuring the job)

    events = pd.read_csv(source, dtype="str", keep_default_na=False, na_values=[""])
    user_id, item_id = events["user_id"].str.strip(), events["item_id"].str.strip()
    timestamp = pd.to_numeric(events["timestamp"].str.strip(), errors="coerce")
    reason = pd.Series(None, index=events.index, dtype="str")
    for name, is_bad in {
        "time_out_of_range": ~timestamp.between(EARLIEST_S, LATEST_S),
        "unparsable_time": timestamp.isna(),
        "missing_item": item_id.fillna("") == "",
        "missing_user": user_id.fillna("") == "",
    }.items():
        reason[is_bad] = name
    events[reason.notna()].assign(reason=reason).to_json(
        target / "quarantine.json.gz", orient="records", lines=True
    )
    usable = pd.DataFrame({"user_id": user_id, "item_id": item_id, "timestamp": timestamp})[reason.isna()]
    usable["timestamp"] = usable["timestamp"].astype("int64")
    counts = {"events_read": len(events), "quarantined": int(reason.notna().sum())}
    del events, user_id, item_id, timestamp, reason
    pairs = usable.groupby(["user_id", "item_id"], as_index=False, sort=False)["timestamp"].max()
    return pairs, {**counts, "duplicates": len(usable) - len(pairs)}


def encode_with_pandas(kept: Any, target: Path) -> Any:
    """Write the id maps; returns the pairs by index, sorted by user, time and item."""
    import pandas as pd  # noqa: PLC0415

    user_index, user_ids = pd.factorize(kept["user_id"], sort=True)
    item_index, item_ids = pd.factorize(kept["item_id"], sort=True)
    encoded = pd.DataFrame(
        {
            "user_index": user_index.astype("int32"),
            "item_index": item_index.astype("int32"),
            "timestamp": kept["timestamp"].to_numpy(),
            "weight": np.float32(1.0),
        }
    )
    users = pd.DataFrame({"user_id": user_ids, "user_index": np.arange(len(user_ids), dtype="int32")})
    items = pd.DataFrame({"item_id": item_ids, "item_index": np.arange(len(item_ids), dtype="int32")})
    users.to_parquet(target / "users.parquet", index=False)
    items.to_parquet(target / "items.parquet", index=False)
    return encoded.sort_values(["user_index", "timestamp", "item_index"], ignore_index=True)


def features_with_pandas(encoded: Any, from_newest: Any, target: Path) -> None:
    """Write the features of users and items."""
    day = 86_400
    as_of = encoded["timestamp"].max()
    for key in ("user_index", "item_index"):
        groups = encoded.groupby(key)
        features = groups["timestamp"].agg(n_interactions="size", first_timestamp="min", last_timestamp="max")
        for days in (1, 7, 30):
            recent = encoded[encoded["timestamp"] > as_of - days * day]
            features[f"n_interactions_{days}d"] = (
                recent.groupby(key).size().reindex(features.index, fill_value=0)
            )
        features["total_weight"] = groups["weight"].sum()
        features["recency_days"] = (as_of - features["last_timestamp"]) / day
        if key == "user_index":
            newest = encoded[from_newest < 20].iloc[::-1]
            features["last_items"] = newest.groupby(key)["item_index"].agg(list)
        features.reset_index().to_parquet(target / f"{key.split('_')[0]}_features.parquet", index=False)


class PeakMemory(threading.Thread):
    """Thread that samples the resident memory of a process and its children until the process ends.

    A process is counted from its second sample on: a JVM forks itself to start a program, and the short-lived
    copy would be counted too.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self.mib = 0.0

    def run(self) -> None:
        previous: set[psutil.Process] = set()
        while True:
            try:
                processes = {self._process, *self._process.children(recursive=True)}
                rss = 0
                for each in processes & previous:
                    rss += each.memory_info().rss
                previous = processes
                self.mib = max(self.mib, rss / MIB)
                if self._process.status() == psutil.STATUS_ZOMBIE:
                    return
            except psutil.NoSuchProcess:
                if not self._process.is_running():
                    return
            time.sleep(SAMPLE_S)


def measure(command: list[str]) -> tuple[float, float]:
    """Run a command; returns seconds and peak MiB.

    Raises:
        SystemExit: the command failed.
    """
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        memory = PeakMemory(process.pid)
        memory.start()
        status = process.wait()
    if status:
        raise SystemExit(f"{' '.join(command)}: exit status {status}")
    return time.perf_counter() - began, memory.mib


def run_job(source: Path, folder: Path) -> tuple[float, float, dict[str, int]]:
    """Run the job; returns seconds, peak MiB and the counts of the manifest."""
    command = [sys.executable, "-m", "ml.preparation", "--input", str(source), "--output", str(folder)]
    seconds, peak = measure([*command, "--run-id", RUN_ID])
    counts = json.loads((folder / f"run={RUN_ID}" / "manifest.json").read_text())["counts"]
    return seconds, peak, {**counts, "quarantined": sum(counts["quarantined"].values())}


def compare(n_rows: int, skew: float) -> dict[str, Any]:
    """Run the job and the pandas script on the same events; returns the measurements."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, pandas_counts = folder / "events.csv", folder / "pandas.json"
        write_events(source, n_rows, skew)
        seconds, peak, counts = run_job(source, folder / "prepared")
        plain = [sys.executable, __file__, "--pandas", str(source), "--json", str(pandas_counts)]
        pandas_seconds, pandas_peak = measure(plain)
        differing = {
            key: (counts[key], value)
            for key, value in json.loads(pandas_counts.read_text()).items()
            if counts[key] != value
        }
        if differing:
            raise SystemExit(f"{n_rows} rows: the results differ (job, pandas): {differing}")
    found = {
        "rows": n_rows,
        "seconds": seconds,
        "rows_per_s": n_rows / seconds,
        "peak_memory_mib": peak,
        "pandas_seconds": pandas_seconds,
        "pandas_peak_memory_mib": pandas_peak,
    }
    print(
        f"{n_rows} rows: {seconds:.1f} s, {found['rows_per_s']:.0f} rows/s, peak {peak:.0f} MiB; "
        f"pandas {pandas_seconds:.1f} s, peak {pandas_peak:.0f} MiB",
        flush=True,
    )
    return found


def startup_seconds() -> float:
    """Seconds that the job takes for STARTUP_ROWS rows."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "events.csv"
        write_events(source, STARTUP_ROWS, 0.0)
        return run_job(source, Path(name) / "prepared")[0]


def growth(found: Sequence[Mapping[str, Any]], startup_s: float) -> list[str]:
    """One line per measurement after the first: rows and time by those of the one before."""
    lines = []
    for smaller, larger in pairwise(found):
        time_ratio = (larger["seconds"] - startup_s) / (smaller["seconds"] - startup_s)
        rows_ratio = larger["rows"] / smaller["rows"]
        lines.append(f"{rows_ratio:.1f} x the rows, {time_ratio:.2f} x the time without start-up")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python bench/preparation.py", description=__doc__.split("\n", 1)[0]
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000, 25_000_000])
    parser.add_argument("--skew", type=float, default=0.0, help="share of the events of one user")
    parser.add_argument("--json", type=Path, help="output file for the measurements")
    parser.add_argument("--pandas", type=Path, help=argparse.SUPPRESS)  # the script, in the child process
    given = parser.parse_args(argv)
    if given.pandas:
        counts = with_pandas(given.pandas, given.pandas.parent / "pandas")
        given.json.write_text(json.dumps(counts))
        return 0
    startup = None
    if len(given.rows) > 1:  # only the growth needs it
        startup = startup_seconds()
        print(f"start-up: {startup:.1f} s", flush=True)
    found = [compare(n_rows, given.skew) for n_rows in given.rows]
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    if startup is not None:
        print(*growth(found, startup), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
