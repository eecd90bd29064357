"""Recorded steps of the event chain: programs that write a step's recorded outputs, over its recorded time.

The files of this folder travel in the code bundle as `ml.replay`, and run where the steps run: in the build,
in the jobs and in the endpoint's container. They use the product's own code for the checks of their inputs.
"""
