"""Benchmark of serving: retrieval, answer time, start and memory of the inference code on a large catalogue.

    python bench/serving.py --items 100000 --json out.json

Trains a model with the preset gmf for a few epochs on synthetic interactions with structure (each user
prefers a few categories, popularity follows Zipf's law), writes its artifact as the training job does, and
times `input_fn`, `predict_fn` and `output_fn` with one thread. Baselines of the same run: scoring the whole
catalogue (`predict_fn` without the index), one exact matrix product with torch, and faiss alone (one flat
index of the same codes, without ids, seen items and exact scores). CPU time is stated beside wall time, since
only it is comparable on a busy machine. `--model` keeps the artifact in a folder, and uses the one there.
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

from ml.ncf.data.interactions import Interactions
from ml.ncf.evaluation.evaluation_set import EvaluationSet
from ml.ncf.model import artifact
from ml.ncf.model.item_index import CODE_BITS
from ml.ncf.model.retrieval import best_items
from ml.ncf.training.plan import training_plan
from ml.ncf.training.runner import TrainingData, run_plan
from ml.serving import inference
from ml.serving.store import Recommender
from ml.settings import hyperparameters

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20
N_CATEGORIES_PER_USER = 8
ITEM_SKEW = 0.9  # exponent of Zipf's law within a category
N_WORKERS = 2
NOTHING = np.empty(0, dtype=np.int32)


def structured_pairs(n_users: int, n_items: int, n_interactions: int, seed: int) -> np.ndarray:
    """Distinct user-item pairs (n, 2); each user draws from a few categories."""
    rng = np.random.default_rng(seed)
    n_categories = max(2, round(0.7 * n_items**0.5))
    order = np.argsort(rng.permutation(np.arange(n_items) % n_categories), kind="stable")
    starts = np.linspace(0, n_items, n_categories + 1).astype(np.int64)
    activity = rng.lognormal(sigma=0.8, size=n_users)
    counts = np.maximum(6, activity / activity.sum() * n_interactions).astype(np.int64)
    users = np.repeat(np.arange(n_users), counts)
    weight = np.cumsum(np.arange(1, n_categories + 1) ** -0.5)
    preferred = np.searchsorted(weight, rng.random((n_users, N_CATEGORIES_PER_USER)) * weight[-1])
    slot = (rng.random(len(users)) ** 2 * N_CATEGORIES_PER_USER).astype(np.int64)
    category = preferred[users, slot]
    size = starts[category + 1] - starts[category]
    popularity = np.cumsum(np.arange(1, size.max() + 1) ** -ITEM_SKEW)
    place = np.searchsorted(popularity, rng.random(len(users)) * popularity[size - 1])
    keys = np.unique(users * n_items + order[starts[category] + np.minimum(place, size - 1)])
    return np.stack([keys // n_items, keys % n_items], axis=1)


def split(pairs: np.ndarray, n_users: int, n_items: int) -> tuple[Interactions, Interactions]:
    """Train split, and one held-out pair per user; items without interactions stay in the catalogue."""
    rng = np.random.default_rng(1)
    starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
    counts = np.diff(starts, append=len(pairs))
    is_held_out = np.zeros(len(pairs), dtype=bool)
    is_held_out[starts + (rng.random(len(starts)) * counts).astype(np.int64)] = True
    parts = (pairs[~is_held_out], pairs[is_held_out])
    train, held_out = (
        Interactions.from_pairs(part[:, 0], part[:, 1], n_users, n_items, np.zeros(len(part), dtype=np.int64))
        for part in parts
    )
    return train, held_out


def write_model(folder: Path, given: argparse.Namespace, flags: list[str]) -> None:
    """Train and write an artifact; users beyond the trained ones get the vectors of trained users."""
    settings = hyperparameters.parse(
        [
            *("--preset", "gmf", "--epochs", "2", "--refit", "false", "--pretrain", "false"),
            *("--pointwise-factor-num", "0", "--factor-num", str(given.factors), *flags),
        ]
    )
    pairs = structured_pairs(given.trained_users, given.items, given.interactions, seed=7)
    train, held_out = split(pairs, given.trained_users, given.items)
    seen = train.union(held_out)
    validation = EvaluationSet.sampled(held_out, seen, 99, np.random.default_rng(2), limit=5000)
    data = TrainingData(train=train, held_out=held_out, validation=validation)
    trained = run_plan(
        training_plan(settings), data, on_epoch=lambda epoch, _: print(f"  {epoch.phase} {epoch.metrics}")
    )
    model = trained.model
    n_users = max(given.users, seen.n_users)
    copies = torch.arange(n_users) % seen.n_users
    for table in model.user_tables():
        table.weight = torch.nn.Parameter(table.weight.detach()[copies])
    model.config = replace(model.config, n_users=n_users)
    counts = np.diff(seen.indptr)
    indptr = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts[copies.numpy()])])
    repeats = -(-n_users // seen.n_users)
    serving = artifact.ServingData.of(
        user_ids=np.array([f"u{n}" for n in range(n_users)]),
        item_ids=np.array([f"i{n}" for n in range(given.items)]),
        seen_indptr=indptr,
        seen_indices=np.tile(seen.indices, repeats)[: indptr[-1]],
        popularity=seen.item_counts(),
    )
    info = {"model_version": "bench", "hyperparameters": settings.as_dict()}
    began = time.perf_counter()
    artifact.write(folder, model, serving, info, ROOT)
    print(f"  written in {time.perf_counter() - began:.1f} s, the index included")


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


def measure(folder: Path, n: int) -> dict[str, Any]:
    """Times and recall of one process with one thread."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    began = time.perf_counter()
    model = inference.model_fn(str(folder))
    load_s = time.perf_counter() - began
    loaded = model.artifact
    if loaded.model is None or loaded.data is None:
        raise SystemExit(f"{folder}: no model")
    network, index = loaded.model, loaded.retrieval
    users = np.random.default_rng(3).permutation(network.config.n_users)
    exact = Recommender(replace(loaded, retrieval=None))
    n_exact = min(n, 50)
    result: dict[str, Any] = {
        "model_fn_s": load_s,
        "answer": times(lambda number: answer(model, users[[number]]), n),
        "answer_100_users": times(lambda number: answer(model, np.roll(users, -100 * number)[:100]), 10),
        "whole_catalogue": times(lambda number: answer(exact, users[[number]]), n_exact),
    }
    with torch.inference_mode():
        chosen = torch.from_numpy(users[:n_exact])
        features = network.user_features(chosen)
        vectors, table = network.query(features), network.item_vectors(torch.arange(network.config.n_items))
        if vectors is not None and table is not None:
            result["matrix_product"] = times(lambda number: (table @ vectors[number]).topk(10), n_exact)
            result["faiss_alone"] = faiss_alone(table.numpy(), vectors.numpy(), n_exact)
        hidden = [loaded.data.seen(user) for user in chosen.tolist()]
        found = best_items(network, index, features, hidden, 10, users=chosen)
        wanted = best_items(network, None, features, hidden, 10, users=chosen)
    same = [len(set(a.tolist()) & set(b.tolist())) / 10 for (a, _), (b, _) in zip(found, wanted, strict=True)]
    result["recall_at_10"] = float(np.mean(same))
    result["cpu_ratio_to_whole_catalogue"] = {
        name: result["whole_catalogue"]["cpu_median_ms"] / result[name]["cpu_median_ms"]
        for name in ("answer", "matrix_product", "faiss_alone")
        if name in result
    }
    return result


def worker(folder: Path, ready: Any, done: Any) -> None:
    """A worker of the model server: loads the artifact, answers 200 users, reports its memory."""
    torch.set_num_threads(1)
    model = inference.model_fn(str(folder))
    for user in range(200):
        answer(model, np.array([user * 37]))
    ready.put(None)
    done.wait()
    memory = psutil.Process().memory_full_info()
    ready.put((memory.pss, memory.uss))
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
        "all_mib": sum(pss for pss, _ in sizes) / MIB,
        "private_mib": sum(uss for _, uss in sizes) / MIB,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python bench/serving.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=100_000, help="in the artifact")
    parser.add_argument("--trained-users", type=int, default=20_000)
    parser.add_argument("--interactions", type=int, default=1_200_000)
    parser.add_argument("--factors", type=int, default=384)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--model", type=Path, help="folder of the artifact; written if absent")
    parser.add_argument("--json", type=Path, help="file for the result")
    given, flags = parser.parse_known_args(argv)
    with tempfile.TemporaryDirectory() as workspace:
        folder = given.model or Path(workspace) / "model"
        if not (folder / "model.json").is_file():
            write_model(folder, given, flags)
        result = measure(folder, given.requests) | {"memory": memory_of_workers(folder)}
    text = json.dumps(result, indent=2)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(f"{text}\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
