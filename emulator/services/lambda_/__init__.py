"""Lambda in the emulator: functions run from their deployed packages."""
