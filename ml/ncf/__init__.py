"""Neural Collaborative Filtering (He et al. 2017): data, model, training, evaluation and the model artifact.

`ml.ncf.model` also travels inside the artifact and serves it: it needs numpy and torch only.
"""
