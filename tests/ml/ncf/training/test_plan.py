from __future__ import annotations

from ml.ncf.training.plan import plan_text, training_plan
from ml.settings import hyperparameters


def names(*flags: str) -> list[str]:
    return [phase.name for phase in training_plan(hyperparameters.parse(flags))]


def test_default_plan_is_one_phase() -> None:
    assert names() == ["neumf"]


def test_preset_neumf_trains_its_parts_fuses_and_refits_them() -> None:
    parts = ["gmf", "gmf-pointwise", "gmf-ease", "mlp", "fused"]
    assert names("--preset", "neumf") == [*parts, *(f"{name}-refit" for name in parts)]


def test_refit_starts_from_refitted_parts_and_repeats_a_selected_phase() -> None:
    *_, last = training_plan(hyperparameters.parse(["--preset", "gmf"]))
    assert last.parts == ("gmf-refit", "gmf-pointwise-refit")
    assert last.repeats == "fused"


def test_random_streams_of_a_refit_are_those_of_the_phase_that_it_repeats() -> None:
    plan = training_plan(hyperparameters.parse(["--preset", "neumf"]))
    index = {phase.name: phase.index for phase in plan}
    assert all(phase.index == index[phase.repeats] for phase in plan if phase.repeats)
    assert sorted(phase.index for phase in plan if not phase.repeats) == [0, 1, 2, 3, 4]


def test_plan_text_has_one_line_per_phase() -> None:
    header, *lines = plan_text(training_plan(hyperparameters.parse(["--preset", "gmf"]))).splitlines()
    assert header.split()[:3] == ["phase", "model", "data"]
    assert [line.split()[0] for line in lines] == names("--preset", "gmf")
    assert "blend of gmf, gmf-pointwise" in lines[2]
    assert "train + validation" in lines[3]
    assert "best of gmf" in lines[3]
