"""Pulumi program: load the stage's configuration, create its platform, export the stack outputs."""

import pulumi

from stacks.config import load
from stacks.platform import Platform

for name, value in Platform(load()).outputs().items():
    pulumi.export(name, value)
