"""Benchmark of serving: retrieval, answer time, start and memory of the inference code on a large catalogue.

    python bench/serving.py --items 100000 --json out.json

Trains a model for a few epochs on synthetic interactions (`bench/serving_model.py`), writes its artifact as
the training job does, and times `input_fn`, `predict_fn` and `output_fn` with one thread. Baselines of the
same run: scoring the whole catalogue (`predict_fn` without the index), one exact matrix product with torch,
and faiss alone (one flat index of the same codes, without ids, seen items and exact scores). CPU time is
stated beside wall time, since only it is comparable on a busy machine. The lists of `--compared` users are
compared with those of scoring the whole catalogue, and so is their NDCG. `--model` keeps the artifact in a
folder, and uses the one there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import faiss
import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from bench.serving_model import PRESETS, TEST_ITEMS_FILE, Sizes, write_model
from ml.ncf.model.artifact import Artifact
from ml.ncf.model.item_index import CODE_BITS
from ml.ncf.model.retrieval import best_items
from ml.serving import inference
from ml.serving.store import Recommender

MIB = 1 << 20
N_WORKERS = 2
SHOWN = 10  # items of a list
MAX_EXACT = 20  # users whose whole catalogue is scored for its time
COMPARED_BATCH = 10  # users whose lists are compared at once


def times(call: Callable[[int], Any], n: int) -> dict[str, float]:
    """Median and 99th percentile of calls, wall time and CPU time, in milliseconds."""
    call(0)
    wall, cpu = [], []
    for number in range(n):
        began, began_cpu = time.perf_counter(), time.process_time()
        call(number)
        wall.append((time.perf_counter() - began) * 1e3)
        cpu.append((time.process_time() - began_cpu) * 1e3)
    return {
        "median_ms": float(np.median(wall)),
        "p99_ms": float(np.quantile(wall, 0.99)),
        "cpu_median_ms": float(np.median(cpu)),
        "cpu_p99_ms": float(np.quantile(cpu, 0.99)),
        "n": n,
    }


def answer(model: Recommender, users: NDArray[np.int64]) -> str:
    body = json.dumps({"instances": [{"user_id": f"u{user}"} for user in users]})
    request = inference.input_fn(body, "application/json")
    return inference.output_fn(inference.predict_fn(request, model), "application/json")[0]


def faiss_alone(table: NDArray[np.float32], queries: NDArray[np.float32], n: int) -> dict[str, Any]:
    """The library without our segments and exact scores: its recall of the ten best, and its time."""
    width = table.shape[1]
    index = faiss.IndexPQFastScan(width, width // 2, CODE_BITS, faiss.METRIC_INNER_PRODUCT)
    index.train(table[:: max(1, len(table) // 20_000)])
    index.add(table)
    _, found = index.search(queries[:n], 10)
    exact = [np.argpartition(-(table @ query), 10)[:10] for query in queries[:n]]
    same = [len(np.intersect1d(a, b)) / 10 for a, b in zip(found, exact, strict=True)]
    return times(lambda number: index.search(queries[[number]], 10), n) | {
        "recall_at_10": float(np.mean(same))
    }


def load(folder: Path) -> tuple[Recommender, float]:
    """The model of a process with one thread, and the seconds of `model_fn`."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    began = time.perf_counter()
    return inference.model_fn(str(folder)), time.perf_counter() - began


def speed(model: Recommender, n: int) -> dict[str, Any]:
    """Times of answers, and of the baselines."""
    loaded = model.artifact
    assert loaded.model is not None  # noqa: S101 -- `run` has checked
    network = loaded.model
    users = np.random.default_rng(3).permutation(network.config.n_users)
    exact, n_exact = Recommender(replace(loaded, retrieval=None)), min(n, MAX_EXACT)
    result: dict[str, Any] = {
        "answer": times(lambda number: answer(model, users[[number]]), n),
        "answer_100_users": times(lambda number: answer(model, np.roll(users, -100 * number)[:100]), 10),
        "whole_catalogue": times(lambda number: answer(exact, users[[number]]), n_exact),
    }
    with torch.inference_mode():
        features = network.user_features(torch.from_numpy(users[:n_exact]))
        vectors, table = network.query(features), network.item_vectors()
        if vectors is not None and table is not None:
            result["matrix_product"] = times(lambda number: (table @ vectors[number]).topk(SHOWN), n_exact)
            result["faiss_alone"] = faiss_alone(table.numpy(), vectors.numpy(), n_exact)
    result["cpu_ratio_to_whole_catalogue"] = {
        name: result["whole_catalogue"]["cpu_median_ms"] / result[name]["cpu_median_ms"]
        for name in ("answer", "matrix_product", "faiss_alone")
        if name in result
    }
    return result


@torch.inference_mode()
def quality(loaded: Artifact, test_items: NDArray[np.int32], n: int) -> dict[str, Any]:
    """Lists of n users against those of the full model's scores of the whole catalogue.

    NDCG is that of the user's test item among all items that the user has not seen; recall is the share of
    the exact list that is found.
    """
    network, data = loaded.model, loaded.data
    assert network is not None and data is not None  # noqa: S101, PT018 -- `run` has checked
    users = np.random.default_rng(4).choice(len(test_items), min(n, len(test_items)), replace=False)
    same, gains, exact_gains = [], [], []
    for part in np.array_split(users, max(1, len(users) // COMPARED_BATCH)):
        chosen = torch.from_numpy(part)
        features, hidden = network.user_features(chosen), [data.seen(user) for user in part.tolist()]
        found = best_items(network, loaded.retrieval, features, hidden, SHOWN, users=chosen)
        exact = best_items(network, None, features, hidden, SHOWN, users=chosen)
        for (items, _), (wanted, _), test_item in zip(found, exact, test_items[part].tolist(), strict=True):
            same.append(len(np.intersect1d(items, wanted)) / SHOWN)
            gains.append(gain(items, test_item))
            exact_gains.append(gain(wanted, test_item))
    difference = np.subtract(gains, exact_gains)
    return {
        "users": len(users),
        "recall_at_10": float(np.mean(same)),
        "lowest_recall_at_10": float(np.min(same)),
        "ndcg_at_10": float(np.mean(gains)),
        "exact_ndcg_at_10": float(np.mean(exact_gains)),
        "ndcg_difference": float(difference.mean()),
        "standard_error": float(difference.std() / len(users) ** 0.5),
    }


def gain(items: NDArray[np.int64], test_item: int) -> float:
    """NDCG of a list with one relevant item."""
    place = np.flatnonzero(items == test_item)
    return float(1 / np.log2(place[0] + 2)) if len(place) else 0.0


def worker(folder: Path, ready: Any, done: Any) -> None:
    """A worker of the model server: loads the artifact, answers 200 users, reports its memory."""
    model, _ = load(folder)
    loaded = psutil.Process().memory_full_info()
    for user in range(200):
        answer(model, np.array([user * 37]))
    ready.put(None)
    done.wait()
    memory = psutil.Process().memory_full_info()
    ready.put((memory.pss, memory.uss, loaded.uss))
    done.wait()


def memory_of_workers(folder: Path) -> dict[str, float]:
    """Proportional set size of the workers, which counts shared pages once, and their private memory."""
    context = multiprocessing.get_context("spawn")
    ready, done = context.Queue(), context.Event()
    processes = [context.Process(target=worker, args=(folder, ready, done)) for _ in range(N_WORKERS)]
    for process in processes:
        process.start()
    for _ in processes:
        ready.get()
    done.set()
    sizes = [ready.get() for _ in processes]
    for process in processes:
        process.join()
    return {
        "workers": N_WORKERS,
        "all_mib": sum(pss for pss, _, _ in sizes) / MIB,
        "private_mib": sum(uss for _, uss, _ in sizes) / MIB,
        "private_after_model_fn_mib": sum(uss for _, _, uss in sizes) / MIB,
    }


def run(folder: Path, n_requests: int, n_compared: int) -> dict[str, Any]:
    """All measurements of an artifact."""
    model, load_s = load(folder)
    if model.artifact.model is None or model.artifact.data is None:
        raise SystemExit(f"{folder}: no model")
    return {
        "model": model.artifact.info["model"],
        "model_fn_s": load_s,
        "memory": memory_of_workers(folder),
        **speed(model, n_requests),
        "quality": quality(model.artifact, np.load(folder / TEST_ITEMS_FILE), n_compared),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python bench/serving.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--preset", choices=PRESETS, default="neumf-recent")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=100_000, help="in the artifact")
    parser.add_argument("--trained-users", type=int, default=20_000)
    parser.add_argument("--interactions", type=int, default=2_000_000)
    parser.add_argument("--factors", type=int, default=384)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--compared", type=int, default=200, help="users whose lists are compared")
    parser.add_argument("--model", type=Path, help="folder of the artifact; written if absent")
    parser.add_argument("--json", type=Path, help="file for the result")
    given, flags = parser.parse_known_args(argv)
    sizes = Sizes(given.users, given.trained_users, given.items, given.interactions, given.factors)
    with tempfile.TemporaryDirectory() as workspace:
        folder = given.model or Path(workspace) / "model"
        if not (folder / TEST_ITEMS_FILE).is_file():
            write_model(folder, sizes, given.preset, flags)
        result = run(folder, given.requests, given.compared)
    text = json.dumps(result, indent=2)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(f"{text}\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
