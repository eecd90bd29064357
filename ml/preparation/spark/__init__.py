"""Spark runtime of the job: session, Hadoop file systems and concurrent actions."""
