"""CodeBuild in the emulator: a buildspec's phases, run from the source bundle."""
