"""Spark runtime of the job: session, Hadoop file systems, concurrent actions."""
