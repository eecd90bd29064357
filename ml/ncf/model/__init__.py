"""Models and the artifact that they travel in; serving imports this package: numpy and torch only."""
