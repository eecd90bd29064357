"""CodeBuild in the embedded cloud: a buildspec's phases, run from the source bundle."""
