"""Pulumi program of an AWS account: GitLab's identity provider and the roles of CI, for every stage in it."""

import sys
from pathlib import Path

import pulumi

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Pulumi adds this folder only

from account.config import load
from account.roles import AccountRoles

for name, value in AccountRoles("ci", load()).outputs.items():
    pulumi.export(name, value)
