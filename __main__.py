"""The Pulumi program: read the stage, build its platform, export what others need to find it."""

import pulumi

from stacks.config import load
from stacks.platform import Platform

for name, value in Platform(load()).outputs().items():
    pulumi.export(name, value)
