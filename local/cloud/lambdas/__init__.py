"""Lambda in the embedded cloud: functions run from their deployed packages."""
