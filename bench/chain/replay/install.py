"""Recorded `python -m pip install` of the build: takes its recorded time, and installs nothing."""

from __future__ import annotations

from bench.chain.replay.recorded import StepClock, own_recording

if __name__ == "__main__":
    recording = own_recording()
    StepClock(recording.index["scale"]).wait_until(recording.index["install_s"])
