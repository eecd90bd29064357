"""Modules of the DAG `prepare_interactions`, deployed with it in the DAGs folder."""
