"""Data-parallel training: process group and gradient averaging.

DistributedDataParallel is not used because it wraps `forward` only, and the catalogue objectives call other
methods of the model. The backend is nccl on GPUs and gloo on CPUs.
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

from ml.ncf.data.sharding import SINGLE_PROCESS, ProcessRank

PORT = 29500  # default of torch.distributed
JOIN_TIMEOUT = timedelta(minutes=10)  # instances of a job start minutes apart


@contextmanager
def process_group() -> Iterator[ProcessRank]:
    """Context in which this process is a member of the job's process group.

    Rank and world size come from RANK and WORLD_SIZE (torchrun), else from SM_HOSTS and SM_CURRENT_HOST
    (SageMaker); without either, or with one process, there is no group.
    """
    process, address = _from_environment()
    if process.world_size == 1:
        yield process
        return
    dist.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        init_method=f"tcp://{address}",
        rank=process.rank,
        world_size=process.world_size,
        timeout=JOIN_TIMEOUT,
    )
    try:
        yield process
        dist.barrier()  # no process may leave while another one waits for it
    finally:
        dist.destroy_process_group()


def _from_environment() -> tuple[ProcessRank, str]:
    """Rank of this process, and the address of the process of rank 0."""
    environment = os.environ
    if "WORLD_SIZE" in environment:
        host, port = environment.get("MASTER_ADDR", "127.0.0.1"), environment.get("MASTER_PORT", str(PORT))
        return ProcessRank(int(environment["RANK"]), int(environment["WORLD_SIZE"])), f"{host}:{port}"
    hosts = sorted(json.loads(environment.get("SM_HOSTS", "[]")))
    if len(hosts) < 2:
        return SINGLE_PROCESS, ""
    return ProcessRank(hosts.index(environment["SM_CURRENT_HOST"]), len(hosts)), f"{hosts[0]}:{PORT}"


def mean_over_terms(loss: Tensor, n_terms: int) -> tuple[Tensor, Tensor]:
    """Loss of this process's shard, weighted by its number of terms, and the mean loss of the whole batch.

    The average of the weighted losses' gradients is the gradient of the whole batch's loss; shards differ in
    their number of terms because users differ in their number of items.
    """
    if not dist.is_initialized():
        return loss, loss.detach()
    totals = torch.stack([loss.detach() * n_terms, torch.tensor(float(n_terms))])
    dist.all_reduce(totals)
    return loss * (n_terms * dist.get_world_size() / totals[1]), totals[0] / totals[1]


def average_gradients(model: nn.Module) -> None:
    """Replace every gradient by its mean over the processes; the dense gradients are reduced in one call."""
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
