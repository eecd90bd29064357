"""Neural Collaborative Filtering (He et al. 2017): data, model, training, evaluation and the model artifact.

`model` and `artifact` also travel inside the artifact and serve it: they need numpy and torch only.
"""
