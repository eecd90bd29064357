"""What the DAG `prepare_interactions` is made of; it ships beside it, in the folder of DAGs."""
