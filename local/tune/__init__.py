"""Search of hyperparameters on the validation split of a prepared run (`make tune`)."""
