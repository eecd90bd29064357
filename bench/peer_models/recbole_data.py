"""Atomic files, config and loader of RecBole for known pairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.utils import get_dataloader
from recbole.sampler import Sampler

from bench.peer_models.peer import Rows

DATASET = "peers"
SEQUENCE = "item_id_list"


def write_pairs(folder: Path, rows: Rows) -> None:
    """Write one line per pair."""
    lines = (f"{user}\t{item}\n" for user, item in zip(rows.users, rows.items, strict=True))
    _write(folder, "user_id:token\titem_id:token\n", lines)


def write_windows(folder: Path, rows: Rows, length: int) -> None:
    """Write one line per window of at most `length` items and the item after it.

    The windows of a user are cut from the newest pair on, so that each pair but the first is a target once.
    """

    def lines() -> Iterator[str]:
        ends = rows.ends
        for user in range(rows.n_users):
            items = rows.items[ends[user] : ends[user + 1]]
            for last in range(len(items) - 1, 0, -length):
                window = " ".join(map(str, items[max(0, last - length) : last]))
                yield f"{user}\t{window}\t{items[last]}\n"

    _write(folder, f"user_id:token\t{SEQUENCE}:token_seq\titem_id:token\n", lines())


def _write(folder: Path, header: str, lines: Iterator[str]) -> None:
    path = folder / DATASET / f"{DATASET}.train.inter"
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8") as file:
        file.write(header)
        file.writelines(lines)


def config_of(model: type, workspace: Path, settings: dict[str, Any]) -> Config:
    """RecBole's defaults for a model class, with settings that replace them."""
    return Config(
        model=model,
        dataset=DATASET,
        config_dict={
            "data_path": str(workspace),
            "benchmark_filename": ["train"],
            "checkpoint_dir": str(workspace / "saved"),
            "use_gpu": False,
            "show_progress": False,
            **settings,
        },
    )


def training_loader(config: Config) -> tuple[Any, Any]:
    """RecBole's data set, and its loader of training batches."""
    dataset = create_dataset(config)
    (train,) = dataset.build()
    negatives = config["train_neg_sample_args"]["distribution"]
    sampler = None if negatives == "none" else Sampler("train", train, negatives).set_phase("train")
    return train, get_dataloader(config, "train")(config, train, sampler, shuffle=True)


def numbers_of(dataset: Any, field: str, n: int) -> NDArray[np.int64]:
    """RecBole's number of each user or item; 0, its padding, if no pair has it: (n,)."""
    known = dataset.field2token_id[field]
    return np.array([known.get(str(index), 0) for index in range(n)], dtype=np.int64)


def last_items(rows: Rows, item_numbers: NDArray[np.int64], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The newest items of each user by RecBole's numbers, and how many they are: (U, length) and (U,)."""
    sequences = np.zeros((rows.n_users, length), dtype=np.int64)
    counts = np.ones(rows.n_users, dtype=np.int64)  # RecBole reads the output of item count - 1
    ends = rows.ends
    for user in range(rows.n_users):
        newest = item_numbers[rows.items[ends[user] : ends[user + 1]]][-length:]
        sequences[user, : len(newest)] = newest
        counts[user] = max(1, len(newest))
    return torch.from_numpy(sequences), torch.from_numpy(counts)
