from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

MEASURE = Path(__file__).parents[1] / "measure"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="the benchmark needs Linux and cc"
)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import one of the benchmark's modules, which are scripts and no package."""
    monkeypatch.syspath_prepend(str(MEASURE))
    return importlib.import_module


def test_the_drain_sees_every_event_of_the_reference_server(script: Callable[[str], Any]) -> None:
    processes, measures = script("processes"), script("measures")
    phase = processes.Phase("offered", {"rate": 100, "publishers": 2, "warmup": 0, "seconds": 0.3})
    with processes.serving(measures.REFERENCE) as server:
        figures = processes.measured(server, [phase], connections=7)["offered"]
    assert figures["published"] > 0
    assert figures["deliveries"] > 0
    assert figures["under_way"] == 0
    assert figures["ended"] == 0


def test_the_drain_reports_events_that_do_not_arrive(script: Callable[[str], Any]) -> None:
    processes, measures = script("processes"), script("measures")
    phase = processes.Phase("offered", {"rate": 100, "warmup": 0, "seconds": 0.2, "grace": 0.1})
    with processes.serving(measures.BARE_C) as server:
        # It knows no POST, so nothing arrives.
        figures = processes.measured(server, [phase], connections=3, http=1)["offered"]
    assert figures["under_way"] > 0


def test_a_run_writes_figures_of_all_contenders_and_a_plot(tmp_path: Path) -> None:
    ended = subprocess.run(  # noqa: S603 - our own script
        [
            sys.executable,
            str(MEASURE / "bench_server.py"),
            *("--rounds=1", "--seconds=0.1", "--receivers=10", "--only=fan-out", "--only=offered"),
            *(f"--json={tmp_path / 'figures.json'}", f"--svg={tmp_path / 'plot.svg'}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    document = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    measured = {(row["measure"], row["server"]) for row in document["figures"]}
    assert {("single", "reference"), ("burst", "reference, replay"), ("single", "bare C")} <= measured
    assert {aim["number"] for aim in document["aims"]} == {1, 2, 3}
    assert "aim 1" in ended.stdout
    texts = [element.text for element in ET.parse(tmp_path / "plot.svg").iter()]  # noqa: S314 - our own
    assert {"reference", "reference, replay", "deliveries/s", "p99 latency, ms"} <= set(texts)


def test_a_peer_that_is_not_there_is_skipped_and_said_once(script: Callable[[str], Any]) -> None:
    processes, measures = script("processes"), script("measures")

    def missing() -> list[str]:
        raise processes.Unavailable("the package nowhere is not installed")

    told: list[str] = []
    with ExitStack() as stack:
        bench = measures.Bench(1, 0.1, stack, told.append)
        absent = processes.Contender("absent", missing)
        assert bench.server(absent) is None
        assert bench.server(absent) is None
    assert told == ["skipped absent: the package nowhere is not installed"]


def test_a_server_that_does_not_start_is_skipped_with_its_last_word(script: Callable[[str], Any]) -> None:
    processes = script("processes")
    broken = processes.Contender("broken", lambda: [sys.executable, "-c", "raise SystemExit('no port left')"])
    with pytest.raises(processes.Unavailable, match="no port left"), processes.serving(broken):
        pass


def test_ratios_are_of_figures_of_the_same_round(script: Callable[[str], Any]) -> None:
    aims, measures = script("aims"), script("measures")
    samples = measures.Samples()
    for ours, theirs in ((10, 1), (20, 4), (90, 30)):
        samples.round += 1
        samples.add("single", "a", rate=ours)
        samples.add("single", "b", rate=theirs)
    samples.round += 1
    samples.add("single", "b", rate=7)  # of "a" there is nothing in this round
    samples.round += 1
    samples.add("single", "a", rate=7)
    assert aims.ratio(("single", "a", "rate"), ("single", "b", "rate"))(samples) == [10, 5, 3]


def test_an_aim_is_held_against_the_median_and_left_out_where_nothing_was_measured(
    script: Callable[[str], Any],
) -> None:
    aims, measures = script("aims"), script("measures")
    samples = measures.Samples()
    assert list(aims.judge(samples)) == []
    for samples.round, value in enumerate((400_000, 1_100_000, 1_200_000)):
        samples.add("burst", "reference", deliveries_per_second=value)
    (judged,) = aims.judge(samples)
    assert judged.is_met
    for samples.round, value in enumerate((1, 2), 3):
        samples.add("burst", "reference", deliveries_per_second=value)
    (judged,) = aims.judge(samples)
    assert not judged.is_met
    assert (judged.value.low, judged.value.median, judged.value.high) == (1, 400_000, 1_200_000)


def test_the_axes_of_the_plot_hold_all_its_points(script: Callable[[str], Any]) -> None:
    chart = script("chart")
    drawn = ET.fromstring(  # noqa: S314 - our own
        chart.svg(
            ("one", {"a & b": [(25, 3.0), (400, 4e6)]}),
            ("two", {"a & b": [(25, 0.4), (400, 900)], "c": [(50, 20)]}),
            "a caption",
        )
    )
    circles = [element for element in drawn.iter() if element.tag.endswith("circle")]
    assert len(circles) == 5
    for circle in circles:
        x, y = float(circle.attrib["cx"]), float(circle.attrib["cy"])
        assert any(start <= x <= start + chart.WIDTH for start in (chart.LEFT, chart.WIDTH + chart.LEFT))
        assert chart.TOP <= y <= chart.HEIGHT - chart.BOTTOM
