"""Recommenders that `bench/peers.py` compares, behind one interface; a training is a job in a process."""
