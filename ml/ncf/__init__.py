"""Neural Collaborative Filtering (He et al. 2017): data, model, training, evaluation and the model artifact.

`ml.ncf.model` is copied into the artifact, where it is used for serving: it needs numpy and torch only.
"""
