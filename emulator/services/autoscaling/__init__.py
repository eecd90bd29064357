"""Application Auto Scaling: tags of scalable targets."""
