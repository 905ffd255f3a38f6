"""What a proof looks like: in the terminal, as JSON, and as a page in a real browser."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lintmetrics.report.terminal import Paint
from lintmetrics.verify.record import Moment, Point
from lintmetrics.verify.report import markdown
from lintmetrics.verify.report.machine import to_json
from lintmetrics.verify.report.terminal import line, table
from lintmetrics.verify.verdict import KeyVerdict, Proof, Side, Verdict

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)> '",
    "</style><style>body{display:none}",
    "{{ 7 * 7 }}{% raw %}",
    "line\nbreak\r\x1b[31mred\x07\x00",
    "\u202egnp.exe\u202c \u0627\u0644\u062f\u0642\u0629",
    "emoji 🎯 数学 $\\frac{1}{2}$ & &amp; &#60;",
    "\udcff lone surrogate",
    "x" * 3000,
)
ENVIRONMENT = {"lightning": "2.6.6", "torch": "2.13.0", "python": "3.11.7", "device": "cpu"}


def _points(values: Sequence[float], key: str = "val_f1", via: str = "logger") -> tuple[Point, ...]:
    return tuple(
        Point(i, via, Moment(0, "validate", i, 11 * (i + 1)), key, value)
        for i, value in enumerate(values)
    )


def _row(key: str, verdict: Verdict, relation: str = "preserves") -> KeyVerdict:
    before, after = _points([0.81, 0.83, 0.86], key), _points([0.85, 0.91, 0.9629629], key)
    held = verdict is Verdict.SAME
    oracle = verdict in (Verdict.CORRECTED, Verdict.WRONG)
    return KeyVerdict(
        key,
        key,
        "logger",
        "validate",
        relation,
        verdict,
        after if held else before,
        after,
        after if oracle else (),
        after if oracle else (),
        3,
        0.0 if verdict.holds else 0.1,
        0.1 if oracle else 0.0,
        after[1] if not verdict.holds else None,
        "1e-06 absolute: float32 sums in another order",
        "equals the oracle at 3 points; the original misses it by up to 0.1"
        if verdict is Verdict.CORRECTED
        else "equal at 3 points"
        if held
        else "epoch 1 after 22 batches it is 0.91 and was 0.83; apart at 3 of 3 points",
    )


WEIGHTS = KeyVerdict(
    "weights", "weights", "weights", "train", "preserves", Verdict.SAME, detail="the same"
)
GOOD = Proof(
    "averaged_batch_value",
    Verdict.CORRECTED,
    (
        _row("val_f1", Verdict.CORRECTED, "corrects"),
        _row("val_loss", Verdict.SAME),
        replace(_row("val_loss", Verdict.SAME), via="callback"),
        WEIGHTS,
    ),
    (
        Side("before", "finished", {**ENVIRONMENT, "lightning": "1.9.5"}, 7.25),
        Side("after", "finished", ENVIRONMENT, 6.5),
    ),
    "--- a/before.py\n+++ b/after.py\n@@ -1,3 +1,3 @@\n class Model:\n"
    '-        self.log("val_f1", self.f1(y_hat, y), on_epoch=True)\n'
    '+        self.f1(y_hat, y)\n+        self.log("val_f1", self.f1, on_epoch=True)\n',
    "F1 of each batch, averaged over the epoch",
    original_today="silently different: val_f1 is 0.859 and is truly 0.963",
)
BAD = Proof(
    "dropped_reset",
    Verdict.WRONG,
    (_row("val_f1", Verdict.WRONG, "corrects"), _row("val_loss", Verdict.SAME), WEIGHTS),
    GOOD.sides,
    GOOD.diff,
)
CRASHED = Proof(
    "crashes",
    Verdict.FAILED,
    (),
    (
        Side("before", "finished", ENVIRONMENT, 3.0),
        Side("after", "timed out", {}, 300.0, "Traceback ...\nValueError: no batch"),
    ),
)


def _hostile() -> Proof:
    rows = tuple(
        replace(_row(name, Verdict.DIFFERENT), detail=name, tolerance=name, before_key=name[::-1])
        for name in HOSTILE
    )
    text = "".join(HOSTILE)
    sides = (Side(text, text, {"device": text, "torch": text}, 1.0, text),)
    diff = "".join(f"+{name}\n" for name in HOSTILE)
    return Proof(text, Verdict.DIFFERENT, rows, sides, diff, text, text, 2, text)


# Terminal -------------------------------------------------------------------------------------


def test_each_case_is_one_line_with_what_a_reader_asks_first() -> None:
    out = table([GOOD, BAD], Paint(False)).splitlines()
    assert re.split(r"  +", out[0]) == [
        "case", "relation", "keys", "compared", "largest gap", "original off by", "verdict",
    ]  # fmt: skip
    assert re.split(r"  +", out[1]) == [
        "averaged_batch_value", "corrects, preserves", "2", "9", "0", "0.1", "corrected",
    ]  # fmt: skip
    assert out[2].endswith("wrong")
    assert "Not proved: 1 of 2 cases" in out[-1]


def test_what_the_original_does_today_is_told() -> None:
    out = table([GOOD, BAD], Paint(False))
    assert "  averaged_batch_value  silently different: val_f1 is 0.859 and is truly 0.963" in out
    cells = markdown.table([GOOD]).splitlines()[2].split(" | ")
    assert cells[-2:] == ["0.1", "silently different: val\\_f1 is 0.859 and is truly 0.963 |"]
    assert len(markdown.table([_hostile()]).splitlines()) == 3


def test_only_what_does_not_hold_is_told_key_by_key() -> None:
    out = table([GOOD, BAD, CRASHED], Paint(False))
    assert "wrong  val_f1  [logger, validate]" in out
    assert "epoch 1, batch 22: before 0.83  after 0.91  oracle 0.91" in out
    assert "val_loss" not in out
    assert "after: timed out after 300.0 s" in out
    assert "ValueError: no batch" in out


def test_colours_are_for_those_who_want_them() -> None:
    assert "\x1b" not in table([GOOD, BAD], Paint(False))
    assert "\x1b[32mcorrected\x1b[0m" in table([GOOD, BAD], Paint(True))


def test_names_cannot_steer_a_terminal() -> None:
    out = table([_hostile()], Paint(False)) + line(_hostile(), Paint(False))
    assert not {char for char in out if not char.isprintable() and char != "\n"}
    out.encode("utf-8")
    assert max(len(text) for text in out.splitlines()) < 1000


def test_nothing_is_no_proof() -> None:
    assert "Nothing was verified" in table([], Paint(False))
    assert json.loads(to_json([]))["holds"] is False


# JSON -----------------------------------------------------------------------------------------


def test_a_program_that_logs_nothing_is_told_of() -> None:
    told = table([Proof("quiet", Verdict.FAILED)], Paint(False))
    assert "neither side logs a number" in told
    assert "neither side" not in table([CRASHED], Paint(False))


def test_json_tells_everything_under_stable_names() -> None:
    told = json.loads(to_json([GOOD, BAD]))
    assert (told["version"], told["holds"]) == (1, False)
    case = told["cases"][0]
    assert case.keys() == {
        "name", "about", "verdict", "holds", "accelerator", "processes", "original_today", "keys",
        "sides", "diff",
    }  # fmt: skip
    key = case["keys"][0]
    assert key.keys() == {
        "key", "before_key", "via", "stage", "relation", "verdict", "holds", "compared", "gap",
        "before_gap", "tolerance", "parted", "detail", "before", "after", "oracle",
        "oracle_before",
    }  # fmt: skip
    assert key["after"][1] == {"run": 0, "epoch": 1, "batches": 22, "step": None, "value": 0.91}
    assert told["cases"][1]["keys"][0]["parted"]["epoch"] == 1
    assert case["sides"][0]["environment"]["lightning"] == "1.9.5"


def test_the_page_of_the_json_report_names_every_key() -> None:
    text = (Path(__file__).parent.parent / "docs" / "verify-report.md").read_text(encoding="utf-8")

    def names(value: object) -> set[str]:
        if isinstance(value, dict):
            inner = (names(item) for key, item in value.items() if key != "environment")
            return set(value).union(*inner)
        return set().union(*map(names, value)) if isinstance(value, list) else set()

    assert {
        name for name in names(json.loads(to_json([GOOD, BAD]))) if f"`{name}`" not in text
    } == (set())
    assert {verdict.value for verdict in Verdict if f"`{verdict.value}`" not in text} == set()


def test_json_is_strict_whatever_was_logged() -> None:
    row = replace(GOOD.keys[0], after=_points([math.nan, math.inf, -math.inf]), gap=math.inf)
    proof = replace(_hostile(), keys=(row, *_hostile().keys))
    told = json.loads(to_json([proof]), parse_constant=pytest.fail)
    key = told["cases"][0]["keys"][0]
    assert [point["value"] for point in key["after"]] == ["NaN", "Infinity", "-Infinity"]
    assert told["cases"][0]["keys"][1]["key"] == HOSTILE[0]


# The page -------------------------------------------------------------------------------------


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name.split(":")[-1] in ("href", "src") and not (value or "").startswith("#"):
                self.outside.append(f"{tag} {name}={value}")


def _page(proofs: Sequence[Proof]) -> str:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    from lintmetrics.verify.report.page import page

    return page(proofs)


def test_a_page_has_no_script_and_no_road_out() -> None:
    text = _page([GOOD, BAD, CRASHED, _hostile()])
    tags = _Tags()
    tags.feed(text)
    assert not tags.tags & {"script", "img", "iframe", "object", "link", "form", "base"}
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert tags.outside == []
    assert text.count("<style") == 1
    assert "default-src 'none'" in text
    assert "7 * 7" in text
    text.encode("utf-8")


def test_a_page_is_the_same_each_time() -> None:
    assert _page([GOOD]) == _page([GOOD])


def test_curves_are_drawn_whatever_the_numbers() -> None:
    pytest.importorskip("matplotlib")
    from lintmetrics.verify.report.curves import curve

    row = GOOD.keys[0]
    assert "var(--oracle)" in curve(row)
    assert curve(replace(row, before=(), after=(), oracle=())) == ""
    assert curve(replace(row, before=(), after=_points([math.nan, math.nan]), oracle=())) == ""
    odd = _points([math.nan, math.inf, 1e308, -1e308, 0.0, 5e-324])
    assert curve(replace(row, after=odd)).startswith("<svg")
    many = tuple(
        Point(i, "logger", Moment(i // 50_000, "train", 0, i), "a", float(i % 7))
        for i in range(100_000)
    )
    assert len(curve(replace(row, before=many, after=many, oracle=(), parted=None))) < 500_000


def test_nothing_heavy_is_imported_before_a_page_is_wanted() -> None:
    probe = (
        "import sys, lintmetrics.verify.compare, lintmetrics.verify.case\n"
        "import lintmetrics.verify.report.terminal, lintmetrics.verify.report.machine\n"
        "import lintmetrics.verify.report.page\n"
        "print({'torch', 'numpy', 'matplotlib', 'jinja2', 'lightning'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def _chromium(folder: Path, *options: str) -> str:
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium (apt-get install chromium)")
    quiet = ("quic", "background-networking", "component-update", "sync", "gpu")
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--no-first-run",
            "--hide-scrollbars",
            *("--disable-" + name for name in quiet),
            f"--user-data-dir={folder / 'profile'}",
            *options,
            (folder / "page.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def test_a_browser_shows_hostile_names_as_text(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(_page([_hostile()]), encoding="utf-8")
    dom = _chromium(tmp_path, "--dump-dom")
    tags = _Tags()
    tags.feed(dom)
    assert not tags.tags & {"script", "img", "iframe"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in dom
    assert "7 * 7" in dom
    assert "\u202e" not in dom
    assert dom.count("<svg") == len(HOSTILE)


def test_a_browser_draws_the_page(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(_page([GOOD, BAD, CRASHED]), encoding="utf-8")
    dom = _chromium(tmp_path, "--dump-dom")
    assert "2 of 3 cases not proved" in dom
    assert dom.count("<svg") == 4
    picture = tmp_path / "page.png"
    _chromium(tmp_path, "--window-size=1400,1800", f"--screenshot={picture}")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000
