"""Authorisation of requests with a role's credentials: policies, operations, resources, decisions."""
