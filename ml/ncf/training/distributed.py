"""Several processes that train one model: who they are, and how their gradients become one.

Gradients are averaged by hand rather than by DistributedDataParallel, which wraps `forward` alone: objectives
here score users, items and catalogues through other methods. nccl on GPUs, gloo on CPUs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ml.ncf.objectives.catalogue import Share

PORT = 29500  # torch.distributed's own default
JOIN_TIMEOUT = timedelta(minutes=10)  # instances of a job start minutes apart


@contextmanager
def processes() -> Iterator[Share]:
    """This process among the job's, joined while the context lasts.

    torchrun's RANK and WORLD_SIZE say so, or else SageMaker's SM_HOSTS and SM_CURRENT_HOST; alone otherwise.
    """
    share, address = _place()
    if share.n_processes == 1:
        yield share
        return
    dist.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        init_method=f"tcp://{address}",
        rank=share.rank,
        world_size=share.n_processes,
        timeout=JOIN_TIMEOUT,
    )
    try:
        yield share
        dist.barrier()  # none leaves while another still waits for it
    finally:
        dist.destroy_process_group()


def _place() -> tuple[Share, str]:
    """This process's share and where the first process listens."""
    environment = os.environ
    if "WORLD_SIZE" in environment:
        host, port = environment.get("MASTER_ADDR", "127.0.0.1"), environment.get("MASTER_PORT", str(PORT))
        return Share(int(environment["RANK"]), int(environment["WORLD_SIZE"])), f"{host}:{port}"
    hosts = sorted(json.loads(environment.get("SM_HOSTS", "[]")))
    if len(hosts) < 2:
        return Share(), ""
    return Share(hosts.index(environment["SM_CURRENT_HOST"]), len(hosts)), f"{hosts[0]}:{PORT}"


def mean_over_terms(loss: Tensor, n_terms: int) -> tuple[Tensor, Tensor]:
    """The loss weighted so that averaged gradients are those of the whole batch; and the whole batch's loss.

    Parts of a batch hold different numbers of terms: a user has more items than another.
    """
    if not dist.is_initialized():
        return loss, loss.detach()
    totals = torch.stack([loss.detach() * n_terms, torch.tensor(float(n_terms))])
    dist.all_reduce(totals)
    return loss * (n_terms * dist.get_world_size() / totals[1]), totals[0] / totals[1]


def average_gradients(model: nn.Module) -> None:
    """Replace every gradient by its mean over the processes: dense ones in one call, sparse ones as rows."""
    if not dist.is_initialized():
        return
    world = dist.get_world_size()
    dense = []
    for parameter in model.parameters():
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            gradient = parameter.grad.coalesce()
            dist.all_reduce(gradient)
            parameter.grad = gradient / world
        else:
            dense.append(parameter.grad)
    if dense:
        flat = torch.cat([gradient.flatten() for gradient in dense])
        dist.all_reduce(flat)
        parts = (flat / world).split([gradient.numel() for gradient in dense])
        for gradient, part in zip(dense, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
