"""CodeBuild in the emulator: builds run the phases of a buildspec as child processes."""
