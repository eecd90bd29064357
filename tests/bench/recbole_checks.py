"""Checks that need RecBole; `test_peer_models.py` runs them with the interpreter that has it.

`python tests/bench/recbole_checks.py FOLDER`
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.model.sequential_recommender.gru4rec import GRU4Rec
from recbole.model.sequential_recommender.sasrec import SASRec

from bench.peer_models import recbole_data, recbole_models
from bench.peer_models.peer import Rows
from bench.peer_models.registry import PEERS


def rows() -> Rows:
    """Histories of 2 to 9 items."""
    rng = np.random.default_rng(0)
    counts = rng.integers(2, 10, 30)
    items = np.concatenate([rng.choice(40, count, replace=False) for count in counts])
    return Rows(np.repeat(np.arange(30), counts), items, 30, 40)


def check_loss(folder: Path, name: str, original: type) -> None:
    """The loss over all positions is RecBole's mean loss over all prefixes, for histories in one window."""
    peer, known = PEERS[name].load(), rows()
    values = {key: each[0] for key, each in PEERS[name].space.items()}
    peer.write(folder, known, values)
    config = recbole_data.config_of(peer.model, folder, peer.settings(values))
    dataset, loader = recbole_data.training_loader(config)
    model = peer.model(config, dataset).eval()
    (windows,) = loader
    ours = model.calculate_loss(windows).item()

    items, lengths = windows["item_id_list"], windows["item_length"]
    prefixes, targets = [], []
    for row, length, last in zip(items, lengths.tolist(), windows["item_id"], strict=True):
        whole = torch.cat([row[:length], last[None]])
        for end in range(1, len(whole)):
            prefixes.append(torch.nn.functional.pad(whole[:end], (0, items.shape[1] - end)))
            targets.append(whole[end])
    assert len(targets) == len(known.users) - known.n_users
    batch = {
        "item_id_list": torch.stack(prefixes),
        "item_length": torch.tensor([int((each > 0).sum()) for each in prefixes]),
        "item_id": torch.stack(targets),
    }
    theirs = original.calculate_loss(model, Interaction(batch)).item()
    assert abs(ours - theirs) < 1e-5, f"{name}: {ours} and {theirs}"


def check_windows(folder: Path) -> None:
    """Each pair but the first of a user is a target once, and no window is longer than asked for."""
    known = rows()
    recbole_data.write_windows(folder, known, 4)
    _, *lines = (folder / "peers/peers.train.inter").read_text().splitlines()
    found = []
    for line in lines:
        user, window, last = line.split("\t")
        items = [*map(int, window.split()), int(last)]
        assert len(items) <= 5
        found += [(int(user), item) for item in items[1:]]
    first = known.ends[:-1]
    expected = np.delete(np.stack([known.users, known.items], axis=1), first, axis=0)
    assert sorted(found) == sorted(map(tuple, expected.tolist()))


if __name__ == "__main__":
    root = Path(sys.argv.pop())
    check_loss(root / "sasrec", "sasrec", SASRec)
    check_loss(root / "gru4rec", "gru4rec", GRU4Rec)
    check_windows(root / "windows")
    assert recbole_models.MAX_EPOCHS > 0
