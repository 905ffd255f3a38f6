"""The proof can fail: correct rewrites with one thing spoiled are not proved.

Where lightning is installed every mutation of ``fixtures/mutations.toml`` is trained; ``-m
training`` runs that alone.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lintmetrics.verify.mutation import Mutation, MutationError, mutated, read_mutations

if TYPE_CHECKING:
    from lintmetrics.verify.warm import WarmPythons

ROOT = Path(__file__).parent.parent / "fixtures"
MUTATIONS = read_mutations(ROOT / "mutations.toml")


def _lacking() -> str:
    """Return why nothing can be trained here; empty where it can."""
    needed = ("torch", "lightning", "torchmetrics", "sklearn", "platformdirs", "psutil")
    names = [name for name in needed if importlib.util.find_spec(name) is None]
    told = "training needs the verify extra and scikit-learn; not installed: "
    return told + ", ".join(names) if names else ""


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len(MUTATIONS) >= 10
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert len({mutation.fixture for mutation in MUTATIONS}) > 5


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_changes_one_place_of_a_copy(mutation: Mutation, tmp_path: Path) -> None:
    source = ROOT / mutation.fixture
    old = (source / "after.py").read_text(encoding="utf-8")
    case = mutated(mutation, ROOT, tmp_path)
    new = (case.folder / "after.py").read_text(encoding="utf-8")
    assert new == old.replace(mutation.text, mutation.becomes) != old
    compile(new, "after.py", "exec")
    assert (case.folder / "before.py").read_bytes() == (source / "before.py").read_bytes()
    assert (source / "after.py").read_text(encoding="utf-8") == old


@pytest.mark.parametrize(
    ("text", "told"), [("no such text", "not in"), ("import ", r"\d+ times in")]
)
def test_a_mutation_that_does_not_fit_is_an_error(tmp_path: Path, text: str, told: str) -> None:
    mutation = Mutation("odd", MUTATIONS[0].fixture, text, "", "nothing")
    with pytest.raises(MutationError, match=told):
        mutated(mutation, ROOT, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_mutation_of_no_fixture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MutationError, match="nowhere"):
        mutated(Mutation("odd", "nowhere", "a", "b", "nothing"), ROOT, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[[mutation",
        '[[mutation]]\nname = "a"\n',
        '[[mutation]]\nname="a"\nfixture="b"\ntext="c"\nbecomes="d"\nwrong="e"\nmore="f"\n',
    ],
)
def test_a_table_that_cannot_be_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mutations.toml"
    path.write_text(text)
    with pytest.raises(MutationError, match=r"mutations\.toml"):
        read_mutations(path)


# What the trainings show ------------------------------------------------------------------------


@pytest.mark.training
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_proof_says_no(
    mutation: Mutation,
    forking: WarmPythons,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if _lacking():
        pytest.skip(_lacking())
    from lintmetrics.verify.proof import prove
    from lintmetrics.verify.verdict import Verdict

    # A neighbour that tests as well has the other core.
    workers = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2
    case = mutated(mutation, ROOT, tmp_path)
    (proof,) = prove([case], today=False, workers=workers, warm=forking)
    with capsys.disabled():
        print(f"\n{mutation.fixture}, {mutation.name}: {proof.verdict.value}", end="")
    assert [side.outcome for side in proof.sides] == ["finished", "finished"], proof.sides
    assert not proof.verdict.holds
    assert proof.verdict is not Verdict.FAILED
